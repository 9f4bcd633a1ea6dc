"""Leaving one problem out: the folds by a table of cases, and what is said over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from ta_assets.core.results.lopo import aggregate_folds, join_cells, join_scores, lopo_splits, scores_of
from ta_assets.core.values import CellResult, SeedFreeScores, Split

METRIC = "average_precision"
ENDS = ("percentile_low", "percentile_high", "t_low", "t_high")
Table = Mapping[str, Sequence[Sequence[float | None]]]


@pytest.mark.parametrize(
    ("n", "val_fraction", "n_val"),
    [(20, 0.15, 3), (20, 0.0, 0), (20, 0.01, 1), (3, 0.15, 1), (3, 0.99, 1), (5, 0.5, 2), (6, 0.5, 2), (2, 0.0, 0)],
)
def test_folds_are_as_many_as_problems_and_validate_on_the_smallest_ids(
    n: int, val_fraction: float, n_val: int
) -> None:
    ids = [10 * one for one in range(1, n + 1)]
    folds = lopo_splits(reversed(ids * 2), val_fraction)
    assert list(folds) == ids
    for left_out, split in folds.items():
        others = [one for one in ids if one != left_out]
        assert split == Split(train=tuple(others[n_val:]), val=tuple(others[:n_val]), test=(left_out,))


@pytest.mark.parametrize(("n", "val_fraction"), [(2, 0.15), (1, 0.0), (5, 1.0), (5, -0.1), (5, float("nan"))])
def test_too_few_problems_or_no_fraction_are_refused(n: int, val_fraction: float) -> None:
    with pytest.raises(ValueError, match="cannot make folds"):
        lopo_splits(range(n), val_fraction)


@given(st.sets(st.integers(0, 10_000), min_size=3, max_size=30), st.floats(0.001, 0.999))
def test_a_fold_holds_every_problem_once_and_trains_on_some(ids: set[int], val_fraction: float) -> None:
    for split in lopo_splits(ids, val_fraction).values():
        assert sorted([*split.train, *split.val, *split.test]) == sorted(ids)
        assert split.train
        assert split.val


def scored(fold: int) -> SeedFreeScores:
    rows = pd.DataFrame(
        {"problem_id": [1, 2], "chunk_idx": [0, 0], "score_linear_probe": np.array([0.1, fold], dtype=np.float32)}
    )
    return SeedFreeScores(rows, {"linear_probe": {"converged": True}}, f"hash {fold}")


def test_scores_of_a_fold_come_back_with_the_hash_of_their_data() -> None:
    joined = join_scores({2: scored(2), 1: scored(1)})
    for fold in (1, 2):
        found = scores_of(joined, fold)
        pd.testing.assert_frame_equal(found.scores, scored(fold).scores)
        assert (found.fits, found.data_sha256) == (scored(fold).fits, f"hash {fold}")
    with pytest.raises(ValueError, match="no fold 3"):
        scores_of(joined, 3)


def fold_cell(seed: int, values: dict[str, float | None]) -> CellResult:
    models = {model: {"val": {METRIC: value}, "test": {METRIC: value}} for model, value in values.items()}
    counts = {"train": 3, "val": 1, "test": 1}
    kind = {"target": "anchor_binary", "primary_metric": METRIC}
    metrics = {"seed": seed, **kind, "models": models, "rows": counts, "splits": counts}
    return CellResult(metrics, pd.DataFrame({"problem_id": [7], "split": ["test"], "score_linear_probe": [0.5]}))


def cells(table: Table) -> dict[int, dict[str, Any]]:
    """Model -> for each seed, its value in each fold."""
    shape = next(iter(table.values()))
    return {
        seed: join_cells(
            {
                10 + fold: fold_cell(seed, {model: values[seed][fold] for model, values in table.items()})
                for fold in range(len(shape[0]))
            }
        ).metrics
        for seed in range(len(shape))
    }


def test_a_cell_is_the_mean_over_its_folds_and_an_undefined_fold_is_not_averaged_away() -> None:
    joined = join_cells({2: fold_cell(0, {"a": 0.5, "b": None}), 1: fold_cell(0, {"a": 0.25, "b": 1.0})})
    assert joined.metrics["models"]["a"]["test"] == {METRIC: 0.375}
    assert joined.metrics["models"]["b"]["test"] == {METRIC: None}
    assert list(joined.metrics["folds"]) == ["1", "2"]
    assert joined.metrics["confidence_intervals"] == {}
    assert joined.predictions["fold_id"].tolist() == [1, 2]
    assert joined.metrics["rows"] == {"train": 6, "val": 2, "test": 2}
    assert "residual" not in joined.metrics


def test_residual_metrics_are_averaged_over_folds_too() -> None:
    folds = {1: fold_cell(0, {"a": 0.25}), 2: fold_cell(0, {"a": 0.5})}
    for fold, value in ((1, 0.1), (2, 0.3)):
        models = {"a": {"val": {"residual_spearman": value}, "test": {"residual_spearman": value}, "fit": None}}
        folds[fold].metrics["residual"] = {"against": "position", "models": models}
    found = join_cells(folds).metrics["residual"]
    assert found["against"] == "position"
    assert found["models"]["a"]["test"] == {"residual_spearman": pytest.approx(0.2)}


def test_seeds_are_averaged_within_a_fold_before_folds_are() -> None:
    rng = np.random.default_rng(0)
    mlp, base = rng.random((3, 6)), rng.random((3, 6))
    found = aggregate_folds(cells({"mlp_probe": mlp.tolist(), "position_baseline": base.tolist()}), bootstrap=200)
    rows = {row["model"]: row for row in found["mean_seeds"]}
    assert rows["mlp_probe"][f"{METRIC}_mean"] == pytest.approx(mlp.mean())
    assert rows["mlp_probe"][f"{METRIC}_std"] == pytest.approx(mlp.mean(axis=0).std())
    best = {row["model"]: row for row in found["best_of_k"]}
    assert best["mlp_probe"][f"{METRIC}_mean"] == pytest.approx(mlp.max(axis=0).mean())
    (delta,) = found["paired_deltas"]
    deltas = pd.Series((mlp - base).mean(axis=0))
    assert (delta["comparison"], delta["folds"]) == ("mlp_probe - position_baseline", 6)
    assert delta["delta_mean"] == pytest.approx(deltas.mean())
    assert delta["delta_std"] == pytest.approx(deltas.std(ddof=0))
    assert (delta["positive_count"], delta["positive_fraction"]) == ((deltas > 0).sum(), (deltas > 0).mean())
    draws = np.array([deltas.sample(frac=1, replace=True, random_state=i).to_numpy().mean() for i in range(200)])
    ends = [delta["percentile_low"], delta["percentile_high"]]
    assert ends == pytest.approx(np.percentile(draws, [2.5, 97.5]).tolist())
    wanted = ttest_1samp(deltas, 0).confidence_interval(0.95)
    assert (delta["n_problems"], delta["t_low"], delta["t_high"]) == (
        6,
        pytest.approx(wanted.low),
        pytest.approx(wanted.high),
    )


def test_ties_go_by_name_and_undefined_models_come_last() -> None:
    table = {"b": [[0.5, 0.5]], "a": [[0.5, 0.5]], "undefined": [[None, 1.0]]}
    found = aggregate_folds(cells(table))
    assert [row["model"] for row in found["mean_seeds"]] == ["a", "b", "undefined"]
    assert found["best_model"] == "a"


def test_an_interval_over_few_folds_is_refused() -> None:
    table: Table = {"linear_probe": [[0.5, 0.6, 0.7, 0.8]], "position_baseline": [[0.1, 0.1, 0.1, 0.1]]}
    (delta,) = aggregate_folds(cells(table))["paired_deltas"]
    assert delta["delta_mean"] == pytest.approx(0.55)
    assert (delta["n_problems"], [delta[end] for end in ENDS]) == (4, [None] * 4)


def test_an_undefined_fold_leaves_no_interval_of_a_paired_delta() -> None:
    table: Table = {"linear_probe": [[0.5, 0.6, 0.7, 0.8, 0.9, None]], "position_baseline": [[0.1] * 6]}
    (delta,) = aggregate_folds(cells(table), bootstrap=20)["paired_deltas"]
    assert (delta["folds"], delta["n_problems"], delta["delta_mean"]) == (6, 5, None)
    assert [delta[end] for end in ENDS] == [None] * 4


def test_cells_with_other_folds_are_not_averaged() -> None:
    table = cells({"a": [[0.5, 0.5], [0.5, 0.5]]})
    del table[1]["folds"]["11"]
    with pytest.raises(ValueError, match=r"seeds \[1\]"):
        aggregate_folds(table)
