"""Metrics and deferral plans of a table that no study made, and the command that gives them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from ta_assets import measure
from ta_assets.core.results.deferral import Objective, Rows, choose
from ta_assets.core.results.elsewhere import Columns, measured, planned

COLUMNS = Columns(("probe", "guess"), "hit", "document", "weight", "part", "language")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A table with words of its own: 12 documents, half of each part, in two languages."""
    rng = np.random.default_rng(0)
    n = 240
    hit = (rng.random(n) < 0.3).astype(int)
    return pd.DataFrame(
        {
            "document": [f"d{i // 20}" for i in range(n)],
            "part": np.where((np.arange(n) // 20) % 2, "val", "test"),
            "language": np.where(np.arange(n) % 3, "en", "de"),
            "hit": hit,
            "weight": rng.random(n),
            "probe": hit + rng.normal(size=n),
            "guess": rng.normal(size=n),
        }
    )


def test_metrics_are_those_of_the_library_and_of_a_cell(table: pd.DataFrame) -> None:
    found = measured(table, COLUMNS, (5,))
    for score in COLUMNS.scores:
        for part in ("val", "test"):
            rows = table[table["part"] == part]
            assert found[score][part]["n"] == 120
            expected = average_precision_score(rows["hit"], rows[score])
            assert found[score][part]["average_precision"] == pytest.approx(expected)
            assert {"spearman_mean", "top_5_recall"} < set(found[score][part])
    alone = measured(table, Columns(("probe",), "hit", "document"), (5,))
    assert set(alone["probe"]) == {"all"}
    assert "spearman_mean" not in alone["probe"]["all"]


@pytest.mark.parametrize("objective", [Objective("budget", 0.2), Objective("error", 0.1)])
def test_a_plan_is_chosen_on_val_within_each_group_of_any_column(table: pd.DataFrame, objective: Objective) -> None:
    found = planned(table, COLUMNS, objective, 21)["probe"]
    assert set(found["groups"]) == {"de", "en"}
    for group, plan in found["groups"].items():
        rows = table[(table["part"] == "val") & (table["language"] == group)]
        alone = choose(Rows(np.asarray(rows["probe"]), np.asarray(rows["hit"])), objective, 21)
        assert (plan["t_neg"], plan["t_pos"]) == (alone.thresholds.negative, alone.thresholds.positive)
    assert found["test"]["n"] == sum(plan["test"]["n"] for plan in found["groups"].values()) == 120
    changed = table.assign(hit=np.where(table["part"] == "test", 1 - table["hit"], table["hit"]))
    again = planned(changed, COLUMNS, objective, 21)["probe"]
    assert {g: p["t_pos"] for g, p in again["groups"].items()} == {g: p["t_pos"] for g, p in found["groups"].items()}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_reads_both_kinds_of_file(table: pd.DataFrame, tmp_path: Path, suffix: str, capsys) -> None:
    path = tmp_path / f"table{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    arguments = [str(path), "--scores", "probe", "--label", "hit", "--problem", "document", "--split", "part"]
    assert measure.main([*arguments, "--objective", "budget", "--group", "language", "--quantiles", "21"]) == 0
    answer = json.loads(capsys.readouterr().out)
    plan = planned(
        table, Columns(("probe",), "hit", "document", None, "part", "language"), Objective("budget", 0.2), 21
    )
    assert answer["deferral"]["scores"]["probe"]["test"] == pytest.approx(plan["probe"]["test"])
    assert answer["metrics"]["probe"]["test"]["n"] == 120
    assert measure.main(arguments) == 0
    assert "deferral" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"probe": None}, "columns: found"),
        ({"hit": 2}, "hit: found [2], expected only 0 and 1"),
        ({"probe": "high"}, "probe: found"),
        ({"probe": np.nan}, "240 values absent or not finite"),
        ({"part": "train"}, "no rows of val and test"),
        ({"document": None}, "columns: found"),
    ],
)
def test_a_table_that_does_not_do_is_refused_by_its_column(
    table: pd.DataFrame, tmp_path: Path, change: dict, words: str, capsys
) -> None:
    path = tmp_path / "table.parquet"
    (name, value), *_ = change.items()
    (table.drop(columns=name) if value is None else table.assign(**change)).to_parquet(path)
    arguments = [str(path), "--scores", "probe", "--label", "hit", "--problem", "document", "--split", "part"]
    assert measure.main([*arguments, "--objective", "error"]) == 2
    assert words in capsys.readouterr().err
