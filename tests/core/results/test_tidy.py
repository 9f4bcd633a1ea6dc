"""Metrics survive the tidy table, and statistics over it pass over nothing that is undefined."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ta_assets.core.results.tidy import nested, over, ranked, tidy

MODELS = {
    "linear_probe": {"val": {"pr_auc": 0.25, "roc_auc": 0.5}, "test": {"pr_auc": 0.75, "roc_auc": None}, "fit": {}},
    "mlp_probe": {"val": {"pr_auc": 0.125, "roc_auc": 1.0}, "test": {"pr_auc": 0.5, "roc_auc": 0.25}, "fit": {}},
}


def test_a_cell_comes_back_without_its_fits() -> None:
    found = nested(tidy(MODELS))
    assert math.isnan(found["linear_probe"]["test"].pop("roc_auc"))
    wanted = {model: {part: dict(parts[part]) for part in ("val", "test")} for model, parts in MODELS.items()}
    del wanted["linear_probe"]["test"]["roc_auc"]
    assert found == wanted


def test_statistics_are_numpys_and_an_undefined_value_makes_them_undefined() -> None:
    values = {0: [0.1, 0.2], 1: [0.7, np.nan], 2: [0.3, 0.9]}
    table = pd.concat(
        tidy({"a": {"val": {}, "test": {"x": one, "y": two}}}, seed=seed) for seed, (one, two) in values.items()
    )
    (row,) = over(table, "seed").to_dict("records")
    assert (row["x_mean"], row["x_std"]) == (np.mean([0.1, 0.7, 0.3]), np.std([0.1, 0.7, 0.3]))
    assert math.isnan(row["y_mean"])
    assert math.isnan(row["y_std"])


def test_undefined_rows_are_last_and_ties_go_by_name() -> None:
    table = pd.DataFrame({"model": ["d", "c", "b", "a"], "x": [np.nan, 0.5, 0.9, 0.5]})
    assert [row["model"] for row in ranked(table, "x")] == ["b", "a", "c", "d"]
