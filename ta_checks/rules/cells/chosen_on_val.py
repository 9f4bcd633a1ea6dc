"""What an aggregate calls best was chosen as it says: models by their mean, seeds on validation problems alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

TOLERANCE = 1e-9


def read(evidence: Evidence) -> dict[str, Any]:
    """The best model, seed and seeds of the aggregate against the metrics of its cells on val and test."""
    cells = {seed: cell.metrics["models"] for seed, cell in evidence.aggregated_cells().items()}
    return {"value": evidence.value, "cells": cells}


def chosen_on_val(value: Mapping[str, Any], cells: Mapping[int, Mapping[str, Any]]) -> Verdict:
    """Fail on a best model, best seed or best seeds of a model that the cells' metrics do not give.

    Args:
        value: the aggregate: primary_metric, summary_by_model, best_model, best_seed, best_of_k, best_of_k_by_model.
        cells: seed -> model -> {val, test: {metric: number or None}}.
    """
    metric, k = value["primary_metric"], value["best_of_k"]
    models = sorted({model for cell in cells.values() for model in cell})
    val, test = ({(m, s): cell[m][part][metric] for s, cell in cells.items() for m in cell} for part in ("val", "test"))
    if not models or any(number is None for number in (*val.values(), *test.values())):
        return Verdict.skipped(f"{metric} is not defined in every cell: nothing could be chosen")
    faults = []
    means = {model: statistics.fmean(test[model, seed] for seed in cells) for model in models}
    if means[value["best_model"]] < max(means.values()) - TOLERANCE:
        faults.append(f"best_model is {value['best_model']}, {max(means, key=means.__getitem__)} has a higher mean")
    order = [means[row["model"]] for row in value["summary_by_model"]]
    if any(later > earlier + TOLERANCE for earlier, later in pairwise(order)):
        faults.append("the models do not stand in the order of their means")
    best = value["best_seed"]
    chosen = best["model"], best["seed"]
    if val[chosen] < max(val.values()) - TOLERANCE:
        faults.append(f"best_seed is {chosen}, {max(val, key=val.__getitem__)} is better on val")
    if (best["val"], best["test"]) != (val[chosen], test[chosen]):
        faults.append(f"best_seed says val {best['val']}, test {best['test']}, its cell {val[chosen]}, {test[chosen]}")
    for row in value["best_of_k_by_model"]:
        faults += _of_k(row, {seed: (val[row["model"], seed], test[row["model"], seed]) for seed in cells}, metric, k)
    message = f"{len(models)} models and {len(cells)} seeds ranked again, {len(faults)} faults"
    return Verdict.no_faults(faults, n=len(val), message=message)


ROW = Invariant(
    "chosen_on_val",
    "aggregate_metrics",
    read,
    chosen_on_val,
    "A seed that is called best was not chosen on validation problems, or a number beside it is another cell's: its "
    "test value is too good. Materialize aggregate_metrics; if it stays red, the choice is wrong.",
)


def _of_k(row: Mapping[str, Any], both: Mapping[int, tuple[float, float]], metric: str, k: int) -> list[str]:
    """Faults of one model's best seeds; ``both`` are val and test by seed."""
    seeds, wanted = row["selected_seeds"], min(k, len(both))
    left = [both[seed][0] for seed in both if seed not in seeds]
    if len(set(seeds)) != wanted or row["k"] != wanted:
        return [f"{row['model']}: {len(seeds)} seeds are kept, expected {wanted}"]
    if left and max(left) > min(both[seed][0] for seed in seeds) + TOLERANCE:
        return [f"{row['model']}: seeds {seeds} are kept, another one is better on val"]
    mean = statistics.fmean(both[seed][1] for seed in seeds)
    if abs(row[f"{metric}_mean"] - mean) > TOLERANCE:
        return [f"{row['model']}: the mean of seeds {seeds} is {row[f'{metric}_mean']}, their cells give {mean:.6g}"]
    return []
