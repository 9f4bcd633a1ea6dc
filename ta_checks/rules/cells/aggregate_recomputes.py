"""Means and standard deviations of a setting are those of its cells, by Python's own statistics.

Stays out: which cells are in the mean (``all_seeds_aggregated``).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

TOLERANCE = 1e-9


def read(evidence: Evidence) -> dict[str, Any]:
    """The summary of the aggregate against the metrics of its seeds' cells."""
    cells = {seed: cell.metrics for seed, cell in evidence.aggregated_cells().items()}
    return {"summary": evidence.value["summary_by_model"], "cells": cells}


def aggregate_recomputes(summary: Iterable[Mapping[str, Any]], cells: Mapping[int, Mapping[str, Any]]) -> Verdict:
    """Fail on a mean or population standard deviation over seeds that the stored cells do not give.

    Args:
        summary: one row per model: ``model``, ``<metric>_mean`` and ``<metric>_std`` of test values.
        cells: seed -> ``models`` {model: {test: {metric: number or None}}} of every seed that the aggregate names.
    """
    rows = list(summary)
    if not cells or not rows:
        return Verdict.failed("no cell is in the aggregate")
    known = {model for cell in cells.values() for model in cell["models"]}
    differing = [f"{model}: not in the aggregate" for model in sorted(known - {row["model"] for row in rows})]
    n = 0
    for row in rows:
        for key in (key for key in row if key.endswith(("_mean", "_std"))):
            n += 1
            metric, _, kind = key.rpartition("_")
            values = [cell["models"].get(row["model"], {}).get("test", {}).get(metric) for cell in cells.values()]
            expected = None
            if all(isinstance(value, (int, float)) for value in values):
                expected = statistics.fmean(values) if kind == "mean" else statistics.pstdev(values)
            if not _equal(row[key], expected):
                differing.append(f"{row['model']}.{key} is {row[key]}, the cells give {expected}")
    message = f"{n} numbers over {len(cells)} seeds recomputed, {len(differing)} differ"
    return Verdict.no_faults(differing, n=n, unit="numbers", message=message)


ROW = Invariant(
    "aggregate_recomputes",
    "aggregate_metrics",
    read,
    aggregate_recomputes,
    "A mean or standard deviation is not that of the stored cells. Materialize aggregate_metrics; if it stays red, "
    "its arithmetic is wrong.",
)


def _equal(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return abs(found - expected) <= TOLERANCE
