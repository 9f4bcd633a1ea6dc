"""Statistics over seeds against the published aggregates."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ta_assets.core.results.aggregate import aggregate, interval_table, seed_table, summary_table, with_leads

NAMES = ["pilot", "full", "llama_correct", "qwen_correct"]
Interval = dict[str, float | None]
DELTAS: Interval = {"point_delta": 0.1, "delta_mean": 0.1}


def cell(**models: tuple[float | None, float | None]) -> dict[str, Any]:
    """A cell with one metric, as (val, test) of every model."""
    return {"models": {name: {"val": {"ap": val}, "test": {"ap": test}} for name, (val, test) in models.items()}}


def in_our_words(comparison: str) -> str:
    return comparison.replace("score_", "").replace("_minus_", " - ")


def interval(low: float | None, high: float | None, t: tuple[float | None, float | None] = (None, None)) -> Interval:
    """Both intervals of a difference, as a cell has them."""
    return {"percentile_low": low, "percentile_high": high, "t_low": t[0], "t_high": t[1]}


def published_cells(shared_folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """The predecessor's metrics in the shape of our cells."""
    content = json.loads((shared_folder / f"reference/published/{name}.json").read_text())
    return {
        int(seed): {
            "models": {model: {part: one[part][model] for part in ("val", "test")} for model in one["val"]},
            "confidence_intervals": {
                in_our_words(key): value | interval(value["ci_low"], value["ci_high"])
                for key, value in one["confidence_intervals"].items()
            },
        }
        for seed, one in content["seeds"].items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_published_aggregates_come_back(shared_folder: Path, name: str) -> None:
    published = json.loads((shared_folder / f"reference/published/{name}_aggregate.json").read_text())
    ours = aggregate(published_cells(shared_folder, name), primary_metric="pr_auc", best_of_k=published["best_of_k"])
    assert json.loads(json.dumps(ours, allow_nan=False)) == ours
    assert ours["best_model"] == published["best_model_by_primary_metric"]
    for mine, theirs in (
        ("summary_by_model", "summary_by_model"),
        ("best_of_k_by_model", "best_of_k_summary_by_model"),
    ):
        assert len(ours[mine]) == len(published[theirs])
        for row, expected in zip(ours[mine], published[theirs], strict=True):
            assert {key: row[key] for key in expected} == {
                key: pytest.approx(value, abs=1e-12) if isinstance(value, float) else value
                for key, value in expected.items()
            }
    best = published["best_seed_by_primary_metric"]
    assert ours["best_seed"] == {
        "model": best["model"],
        "seed": best["seed"],
        "val": best["val_primary_metric"],
        "test": best["test_primary_metric"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_published_interval_summaries_come_back(shared_folder: Path, name: str) -> None:
    published = json.loads((shared_folder / f"reference/published/{name}_aggregate.json").read_text())
    ours = aggregate(published_cells(shared_folder, name), primary_metric="pr_auc")
    for row, expected in zip(ours["ci_summary"], published["ci_summary"], strict=True):
        wanted = {key: value for key, value in expected.items() if "delta" in key}
        assert row["comparison"] == in_our_words(expected["comparison"])
        assert {key: row[key] for key in wanted} == pytest.approx(wanted, abs=1e-12)
        # the published counts are of every seed, although no seed changes these models
        own = [one["percentile_excludes_zero"] for one in ours["ci_records"] if one["comparison"] == row["comparison"]]
        assert (sum(own), len(own)) == (expected["ci_excludes_zero_count"], expected["seed_count"])
        assert (row["depends_on_seed"], row["seed_count"]) == (False, 1)
        assert row["percentile_excludes_zero_count"] == own[0]
    assert [row["percentile_excludes_zero"] for row in ours["ci_records"]] == [
        row["ci_excludes_zero"] for row in published["ci_records"]
    ]


def test_an_interval_counts_once_where_no_seed_changes_the_models_and_once_a_seed_elsewhere() -> None:
    same = "activations_plus_position - position_baseline"
    cells = {
        seed: cell(a=(0.1, 0.2))
        | {
            "confidence_intervals": {
                same: DELTAS | interval(0.1, 0.2, (0.05, 0.3)),
                "mlp_probe - position_baseline": DELTAS | interval(0.1, 0.2, (0.05 if seed else -0.05, 0.3)),
            }
        }
        for seed in range(5)
    }
    summary = aggregate(cells, primary_metric="ap")["ci_summary"]
    kinds = ("depends_on_seed", "percentile_excludes_zero_count", "t_excludes_zero_count", "seed_count")
    assert [[row[kind] for kind in kinds] for row in summary] == [[False, 1, 1, 1], [True, 5, 4, 5]]


def test_mean_and_population_std_are_over_seeds_of_test() -> None:
    ours = aggregate({0: cell(mlp_probe=(0.5, 0.1)), 1: cell(mlp_probe=(0.6, 0.3))}, primary_metric="ap")[
        "summary_by_model"
    ]
    assert ours == [
        {"model": "mlp_probe", "depends_on_seed": True, "ap_mean": pytest.approx(0.2), "ap_std": pytest.approx(0.1)}
    ]


def test_only_models_with_a_seed_are_said_to_depend_on_it() -> None:
    ours = aggregate({0: cell(mlp_probe=(0.5, 0.1), linear_probe=(0.5, 0.2))}, primary_metric="ap")
    assert {row["model"]: row["depends_on_seed"] for row in ours["summary_by_model"]} == {
        "mlp_probe": True,
        "linear_probe": False,
    }


def test_an_undefined_value_makes_its_mean_undefined_and_sorts_last() -> None:
    cells = {0: cell(a=(0.9, None), b=(0.1, 0.2), c=(0.1, 0.2)), 1: cell(a=(None, 0.9), b=(0.1, 0.2), c=(0.1, 0.2))}
    ours = aggregate(cells, primary_metric="ap")
    assert [row["model"] for row in ours["summary_by_model"]] == ["b", "c", "a"]
    assert ours["summary_by_model"][2]["ap_mean"] is None
    assert ours["best_model"] == "b"
    assert ours["best_seed"] == {"model": "a", "seed": 0, "val": 0.9, "test": None}
    assert math.isnan(summary_table(ours)["ap_mean"].iloc[2])


def test_without_a_defined_value_nothing_is_best() -> None:
    ours = aggregate({0: cell(a=(None, None))}, primary_metric="ap")
    assert ours["best_model"] is None
    assert ours["best_seed"]["val"] is None


def test_equal_seeds_and_models_are_decided_by_the_smaller_seed_and_the_name() -> None:
    cells = {3: cell(b=(0.5, 0.1), a=(0.5, 0.1)), 1: cell(b=(0.5, 0.2), a=(0.5, 0.2))}
    assert aggregate(cells, primary_metric="ap")["best_seed"] == {"model": "a", "seed": 1, "val": 0.5, "test": 0.2}


def test_the_best_seeds_are_chosen_by_val_and_reported_on_test() -> None:
    cells = {0: cell(a=(0.1, 0.9)), 1: cell(a=(0.8, 0.2)), 2: cell(a=(None, 0.5)), 3: cell(a=(0.8, 0.4))}
    row = aggregate(cells, primary_metric="ap", best_of_k=2)["best_of_k_by_model"][0]
    assert row["selected_seeds"] == [1, 3]
    assert row["ap_mean"] == pytest.approx(0.3)
    assert aggregate(cells, primary_metric="ap", best_of_k=9)["best_of_k_by_model"][0]["k"] == 4


def test_tables_have_a_row_for_every_record() -> None:
    delta = DELTAS | interval(0.05, 0.2)
    cells = {seed: cell(a=(0.1, 0.2)) | {"confidence_intervals": {"a - b": delta}} for seed in (0, 1)}
    ours = aggregate(cells, primary_metric="ap")
    assert seed_table(ours)[["seed", "split", "ap"]].to_numpy().tolist() == [
        [0, "val", 0.1],
        [0, "test", 0.2],
        [1, "val", 0.1],
        [1, "test", 0.2],
    ]
    assert interval_table(ours)["percentile_excludes_zero"].tolist() == [True, True]
    assert summary_table(ours)["ap_mean"].tolist() == [0.2]
    assert interval_table(aggregate({0: cell(a=(0.1, 0.2))}, primary_metric="ap")).empty


def test_an_undefined_interval_excludes_nothing() -> None:
    delta = dict.fromkeys(DELTAS) | interval(None, None)
    ours = aggregate({0: cell(a=(0.1, 0.2)) | {"confidence_intervals": {"a - b": delta}}}, primary_metric="ap")
    assert ours["ci_records"][0]["percentile_excludes_zero"] is False
    assert ours["ci_records"][0]["t_excludes_zero"] is None
    assert ours["ci_summary"][0]["t_excludes_zero_count"] is None, "nothing was tested, which is not none of one"
    assert ours["ci_summary"][0]["delta_mean_mean"] is None


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({}, "no cells"),
        ({0: {"models": {}}}, "no models"),
        ({0: cell(a=(1, 1)), 1: cell(b=(1, 1)), 2: cell(a=(1, 1))}, "seeds 1 vs 0"),
        ({0: cell(a=(1, 1)), 4: {"models": {"a": {"val": {"ap": 1}, "test": {"f1": 1}}}}}, "seeds 4 vs 0"),
    ],
)
def test_cells_that_do_not_belong_together_are_refused(cells: dict[int, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate(cells, primary_metric="ap")


def test_an_unknown_metric_and_no_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="no metric 'average_precision', only ap"):
        aggregate({0: cell(a=(1, 1))})
    with pytest.raises(ValueError, match="best_of_k is 0"):
        aggregate({0: cell(a=(1, 1))}, primary_metric="ap", best_of_k=0)


def test_leads_stand_beside_the_models_that_have_them_with_the_interval_of_the_smallest_seed() -> None:
    lead = {"macro_delta": 0.2, **DELTAS, **interval(0.0, 0.4, (0.1, 0.3))}
    cells = {
        seed: {**cell(a=(0.5, 0.6), b=(0.3, 0.4)), "confidence_intervals": {"a - b": {**lead, "t_low": 0.1 * seed}}}
        for seed in (1, 2)
    }
    found = aggregate(cells, primary_metric="ap", best_of_k=1)
    table = with_leads(summary_table(found), found).set_index("model")
    assert table.loc["a", ["lead_over_b", "lead_over_b_low", "lead_over_b_high"]].tolist() == [0.2, 0.1, 0.3]
    assert table.loc["b", ["lead_over_b", "lead_over_b_low", "lead_over_b_high"]].isna().all()
    plain = aggregate({1: cell(a=(0.5, 0.6))}, primary_metric="ap", best_of_k=1)
    assert with_leads(summary_table(plain), plain).equals(summary_table(plain))
