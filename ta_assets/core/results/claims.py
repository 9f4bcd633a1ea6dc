"""The rule by which a row of a comparison ends in better, worse, no difference or inconclusive.

Belongs here: this rule. Stays out: every number that it looks at (``compare``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ta_assets.core.results.comparison_row import ComparisonRow
from ta_assets.core.statistics.intervals import ALPHA, Interval
from ta_assets.core.statistics.power import MAX_PROBLEMS, MIN_PROBLEMS_FOR_CLAIM

BEYOND = {
    "chance_p": "chance",
    "increment_p": "all that is known",
    "stratified_p": "position",
    "strata_p": "the number of dissimilar rollouts",
    "supported_p": "which sentences cannot be anchors",
}
"""Further tests that a lead must pass, and what each holds it against."""


@dataclass(frozen=True)
class Tested:
    """A row that is not judged yet, and what its verdict is decided on beside it."""

    row: ComparisonRow
    n_problems: int
    """Problems with anchors and other sentences."""
    interval: Interval | None
    """95 % interval of the difference."""
    narrow: Interval | None
    """90 % interval of the difference: within the margin, it is two one-sided tests at 5 % (Schuirmann 1987)."""
    margin: float
    """Smallest difference of interest."""


@dataclass(frozen=True)
class Claim:
    """What a row says, and why."""

    verdict: str
    """better, worse, no difference, or inconclusive with what it would take."""
    reason: str


def verdict_of(tested: Tested) -> Claim:
    """Judge one row."""
    row, interval, narrow = tested.row, tested.interval, tested.narrow
    if tested.n_problems < MIN_PROBLEMS_FOR_CLAIM:
        reason = f"{tested.n_problems} problems hold anchors, with which no scores whatever reach p {ALPHA:g}"
        return Claim(f"inconclusive, needs at least {MIN_PROBLEMS_FOR_CLAIM} problems", reason)
    if row.deviation <= 1e-12 and abs(row.difference) <= 1e-12:
        return Claim("no difference", f"the same as {row.against} on every problem")
    if interval and interval.high < 0 and row.p <= ALPHA:
        return Claim("worse", f"than {row.against}")
    if interval and interval.low > 0 and row.p <= ALPHA:
        further = {test: p_value for test in BEYOND if (p_value := getattr(row, test)) is not None}
        blocked = [test for test, p_value in further.items() if p_value > ALPHA]
        if not blocked:
            others = "" if row.kind == "increment" else " and every other rival"
            return Claim("better", f"than {row.against}{others}")
        reason = f"leads, but not beyond {BEYOND[blocked[0]]}: {blocked[0]} {further[blocked[0]]:.3f}"
        return Claim(_inconclusive(row), reason)
    if narrow and -tested.margin < narrow.low and narrow.high < tested.margin:
        return Claim("no difference", f"the 90 % interval lies within {tested.margin:g} of {row.against}")
    return Claim(_inconclusive(row), f"cannot be told from {row.against}")


def _inconclusive(row: ComparisonRow) -> str:
    if not row.needed:
        return f"inconclusive, needs over {MAX_PROBLEMS} problems"
    low, high = row.needed_low or MIN_PROBLEMS_FOR_CLAIM, row.needed_high or f"over {MAX_PROBLEMS}"
    return f"inconclusive, needs about {row.needed} problems ({low} to {high})"
