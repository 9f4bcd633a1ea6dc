"""Rule: a deferral plan says what its thresholds do to the stored predictions.

Belongs here: this rule, with a count of its own. Stays out: choosing thresholds, reading artifacts, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_checks.verdict import Verdict

COUNTS = ("n", "n_negative", "n_positive", "n_deferred", "n_errors")


@dataclass(frozen=True)
class PlannedRows:
    """One plan's thresholds and claim, and the rows it is about."""

    name: str
    """Of the plan and the part, for messages."""
    thresholds: tuple[float, float]
    """Negative and positive."""
    claimed: Mapping[str, Any]
    """Counts by name, see ``COUNTS``."""
    scores: np.ndarray
    """[n_rows] float."""
    anchors: np.ndarray
    """[n_rows] of 0 and 1."""


def deferral_recomputes(plans: Sequence[PlannedRows]) -> Verdict:
    """Fail on thresholds out of order, on counts that differ from a recount, or when there are no plans."""
    if not plans:
        return Verdict.failed("the plan has no thresholds at all")
    offenders = [f"{one.name}: {fault}" for one in plans for fault in _faults(one)]
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=len(plans), offenders=offenders,
        message=f"{len(plans)} plans recounted, {len(offenders)} faults",
    )  # fmt: skip


def _faults(plan: PlannedRows) -> list[str]:
    negative, positive = plan.thresholds
    if not negative <= positive:
        return [f"negative threshold {negative} is above the positive {positive}"]
    decisions = np.where(plan.scores >= positive, 1, np.where(plan.scores <= negative, 0, -1))
    counts = [
        len(decisions),
        np.sum(decisions == 0),
        np.sum(decisions == 1),
        np.sum(decisions == -1),
        np.sum((decisions != -1) & (decisions != plan.anchors)),
    ]
    return [
        f"{name} is {plan.claimed.get(name)}, recounted {count}"
        for name, count in zip(COUNTS, counts, strict=True)
        if plan.claimed.get(name) != count
    ]
