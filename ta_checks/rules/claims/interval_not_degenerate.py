"""Every interval of a comparison is finite, ordered, around its estimate, and given only where there may be one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import mixed_problems
from ta_checks.rules.levels import MIN_PROBLEMS
from ta_checks.verdict import Verdict

INTERVALS = (("average_precision", "ap_low", "ap_high"), ("difference", "low", "high"))
"""Columns of an estimate and of both ends of its interval."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every interval of the rows."""
    return {"rows": evidence.value["rows"], "n_problems": mixed_problems(evidence)}


def interval_not_degenerate(rows: Iterable[Mapping[str, Any]], n_problems: int) -> Verdict:
    """Fail on an interval of no width, of no number, that leaves out its estimate, or of fewer than five problems.

    Args:
        rows: of a comparison.
        n_problems: problems with both classes, counted from the labels.
    """
    offenders, n = [], 0
    for row in rows:
        for estimate, low, high in INTERVALS:
            ends = row[low], row[high]
            if ends == (None, None):
                # equal on every problem: there is no spread to make an interval from
                if n_problems >= MIN_PROBLEMS and row["deviation"] > 1e-12 and estimate == "difference":
                    offenders.append(f"{row['name']}: no interval of its {estimate}")
                continue
            n += 1
            fault = _fault(row[estimate], *ends) or (f"of {n_problems} problems" if n_problems < MIN_PROBLEMS else "")
            if fault:
                offenders.append(f"{row['name']}: interval of its {estimate} {fault}")
    message = f"{len(offenders)} of {n} intervals are degenerate"
    return Verdict.no_faults(offenders, n=n, unit="intervals", message=message)


ROW = Invariant(
    "interval_not_degenerate",
    "probe_comparison",
    read,
    interval_not_degenerate,
    "An interval has no width, leaves out its estimate, or is given for too few problems: its coverage is not what "
    "it says. Materialize cv_scores and probe_comparison again; if it stays red, the statistics are wrong.",
)


def _fault(estimate: float, low: float | None, high: float | None) -> str:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "is no number"
    if low >= high:
        return f"has no width ({low:g} to {high:g})"
    return "" if low <= estimate <= high else f"leaves out its estimate {estimate:g}"
