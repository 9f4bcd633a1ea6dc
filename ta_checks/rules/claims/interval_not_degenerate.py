"""Rule: every interval of a comparison is one: finite, ordered, around its estimate, and given only where it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ta_assets.core.statistics.intervals import MIN_PROBLEMS_FOR_INTERVAL
from ta_checks.verdict import Verdict

INTERVALS = (("average_precision", "ap_low", "ap_high"), ("difference", "low", "high"))


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
                if n_problems >= MIN_PROBLEMS_FOR_INTERVAL and row["deviation"] > 1e-12 and estimate == "difference":
                    offenders.append(f"{row['name']}: no interval of its {estimate}")
                continue
            n += 1
            few = f"of {n_problems} problems" if n_problems < MIN_PROBLEMS_FOR_INTERVAL else ""
            fault = _fault(row[estimate], *ends) or few
            if fault:
                offenders.append(f"{row['name']}: interval of its {estimate} {fault}")
    return Verdict.judge(
        len(offenders), "==", 0, unit="intervals", n=n, offenders=offenders,
        message=f"{len(offenders)} of {n} intervals are degenerate",
    )  # fmt: skip


def _fault(estimate: float, low: float | None, high: float | None) -> str:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "is no number"
    if low >= high:
        return f"has no width ({low:g} to {high:g})"
    return "" if low <= estimate <= high else f"leaves out its estimate {estimate:g}"
