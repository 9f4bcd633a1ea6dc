"""Metrics measured a second time, and what was chosen by them: a healthy cell, and planted faults."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results.aggregate import aggregate
from ta_checks.rules.cells.chosen_on_val import chosen_on_val
from ta_checks.rules.cells.metrics_measured_again import Measured, metrics_measured_again

K_VALUES = (5, 10)
MODELS = ("linear_probe", "mlp_probe")


def predictions(seed: int = 0) -> pd.DataFrame:
    """Val and test sentences of eight problems; some scores are tied."""
    rng = np.random.default_rng(seed)
    problems = np.repeat(np.arange(8), 12)
    importance = np.round(rng.random(len(problems)), 2)
    table = pd.DataFrame({"problem_id": problems, "importance_score": importance, "importance_signed": -importance})
    table["anchor"] = (importance > 0.8).astype(int)
    table["split"] = np.where(problems < 4, "val", "test")
    return table.assign(**{f"score_{one}": np.round(importance + rng.normal(size=len(table)), 1) for one in MODELS})


def metrics_of(table: pd.DataFrame, target: str = "anchor_binary") -> dict[str, Any]:
    return {
        model: {
            part: TARGETS[target].measure(rows, rows[f"score_{model}"].to_numpy(np.float32), K_VALUES)
            for part, rows in table.groupby("split")
        }
        for model in MODELS
    }


@pytest.mark.parametrize("target", sorted(TARGETS))
@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_the_predictions_pass(target: str, seed: int) -> None:
    table = predictions(seed)
    one = Measured("", (table,), metrics_of(table, target))
    verdict = metrics_measured_again([one], target=target, k_values=K_VALUES)
    assert verdict.passed, verdict.offenders
    assert verdict.n == len(MODELS) * 2 * len(TARGETS[target].metric_names(K_VALUES))


@pytest.mark.parametrize("metric", TARGETS["anchor_binary"].metric_names(K_VALUES))
@pytest.mark.parametrize("edit", [lambda value: value + 1e-3, lambda _: None, lambda _: float("nan")])
def test_any_metric_that_is_not_that_of_the_predictions_fails(metric: str, edit: Callable[[float], Any]) -> None:
    table = predictions()
    models = metrics_of(table)
    models["mlp_probe"]["val"][metric] = edit(models["mlp_probe"]["val"][metric])
    verdict = metrics_measured_again([Measured("", (table,), models)], target="anchor_binary", k_values=K_VALUES)
    assert verdict.status == "failed"
    assert verdict.offenders[0].startswith(f"mlp_probe.val.{metric} is")


def test_the_mean_over_folds_is_measured_too() -> None:
    tables = (predictions(1), predictions(2))
    found = [metrics_of(table) for table in tables]
    means = copy.deepcopy(found[0])
    for model, parts in means.items():
        for part, values in parts.items():
            parts[part] = {name: np.mean([one[model][part][name] for one in found]).item() for name in values}
    mean = Measured("mean over folds: ", tables, means)
    assert metrics_measured_again([mean], target="anchor_binary", k_values=K_VALUES).passed
    of_one = Measured("mean over folds: ", tables, found[0])
    assert not metrics_measured_again([of_one], target="anchor_binary", k_values=K_VALUES).passed
    assert metrics_measured_again([], target="anchor_binary", k_values=K_VALUES).status == "failed"


def aggregated(best_of_k: int = 2) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    cells = {seed: metrics_of(predictions(seed)) for seed in range(5)}
    full = {
        seed: {"models": {name: {**parts, "fit": {}} for name, parts in cell.items()}, "confidence_intervals": {}}
        for seed, cell in cells.items()
    }
    return aggregate(full, best_of_k=best_of_k), cells


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_what_was_chosen_on_val_passes(k: int) -> None:
    value, cells = aggregated(k)
    verdict = chosen_on_val(value, cells)
    assert verdict.passed, verdict.offenders


def _best_on_test(value: dict[str, Any], cells: dict[int, dict[str, Any]]) -> None:
    test = {(m, s): cells[s][m]["test"]["average_precision"] for s in cells for m in MODELS}
    model, seed = max(test, key=test.__getitem__)
    parts = {part: cells[seed][model][part]["average_precision"] for part in ("val", "test")}
    value["best_seed"] = {"model": model, "seed": seed, **parts}


def _other_seeds(value: dict[str, Any], _: Any) -> None:
    row = value["best_of_k_by_model"][0]
    row["selected_seeds"] = [seed for seed in range(5) if seed not in row["selected_seeds"]][:2]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_best_on_test, "is better on val"),
        (_other_seeds, "another one is better on val"),
        (lambda value, _: value["best_seed"].update(test=value["best_seed"]["val"]), "best_seed says val"),
        (lambda value, _: value.update(best_model=value["summary_by_model"][-1]["model"]), "has a higher mean"),
        (lambda value, _: value["summary_by_model"].reverse(), "order of their means"),
        (lambda value, _: value["best_of_k_by_model"][0]["selected_seeds"].pop(), "1 seeds are kept, expected 2"),
        (lambda value, _: value["best_of_k_by_model"][1].update(average_precision_mean=0.9), "their cells give"),
    ],
)
def test_what_was_chosen_otherwise_fails(edit: Callable[[dict[str, Any], Any], Any], said: str) -> None:
    value, cells = aggregated()
    edit(value, cells)
    verdict = chosen_on_val(value, cells)
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders
