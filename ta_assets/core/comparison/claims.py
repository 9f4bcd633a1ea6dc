"""The rule by which a row of a comparison ends in better, worse, no difference or inconclusive.

Belongs here: this rule. Stays out: every number that it looks at (``compare``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ta_assets.core.comparison.comparison_row import ComparisonRow
from ta_assets.core.statistics.intervals import ALPHA, Interval
from ta_assets.core.statistics.power import MAX_PROBLEMS, least_problems

BEYOND = {
    "chance_p": "chance",
    "increment_p": "all that is known",
    "stratified_p": "position",
    "strata_p": "the number of dissimilar rollouts",
    "supported_p": "which sentences cannot be anchors",
}
"""Further tests that a lead must pass, and what each holds it against."""
LEAST_LEVEL = 1e-9
"""Below this a look has nothing to spend."""


@dataclass(frozen=True)
class Tested:
    """A row that is not judged yet, and what its verdict is decided on beside it."""

    row: ComparisonRow
    n_problems: int
    """Problems with anchors and other sentences."""
    interval: Interval | None
    """95 % interval of the difference."""
    narrow: Interval | None
    """Interval of the difference at 1 - 2 ``level``: within the margin, it is two one-sided tests at the level
    (Schuirmann 1987)."""
    margin: float
    """Smallest difference of interest."""
    level: float
    """What p-values must reach, after what settings and looks take."""


@dataclass(frozen=True)
class Claim:
    """What a row says, and why."""

    verdict: str
    """better, worse, no difference, or inconclusive with what it would take."""
    reason: str


def verdict_of(tested: Tested) -> Claim:
    """Judge one row."""
    row, interval, narrow, level = tested.row, tested.interval, tested.narrow, tested.level
    if level < LEAST_LEVEL:
        return Claim("inconclusive, needs other problems", "earlier looks have spent the error")
    if tested.n_problems < (least := least_problems(level)):
        reason = f"{tested.n_problems} problems hold anchors, with which no scores whatever reach p {level:.2g}"
        return Claim(f"inconclusive, needs at least {least} problems", reason)
    if row.deviation <= 1e-12 and abs(row.difference) <= 1e-12:
        return _the_same(tested)
    if interval and interval.high < 0 and row.p <= level:
        return Claim("worse", f"than {row.against}")
    if interval and interval.low > 0 and row.p <= level:
        further = {test: p_value for test in BEYOND if (p_value := getattr(row, test)) is not None}
        blocked = [test for test, p_value in further.items() if p_value > level]
        if not blocked:
            return Claim("better", f"than {row.against} and every other rival")
        reason = f"leads, but not beyond {BEYOND[blocked[0]]}: {blocked[0]} {further[blocked[0]]:.3f}"
        return Claim(_inconclusive(row), reason)
    if narrow and -tested.margin < narrow.low and narrow.high < tested.margin:
        share = f"{100 * (1 - 2 * level):.3g} %"
        return Claim("no difference", f"the {share} interval lies within {tested.margin:g} of {row.against}")
    if interval and level < row.p <= ALPHA:
        reason = f"p {row.p:.3f} does not reach {level:.2g}, what settings and looks leave of {ALPHA:g}"
        return Claim(_inconclusive(row), reason)
    return Claim(_inconclusive(row), f"cannot be told from {row.against}")


def _the_same(tested: Tested) -> Claim:
    """The verdict on scores that are the same on every problem: they differ on few others, but on how many?

    Were a share of all problems other, none of n would show it with chance (1 - share)^n; on such a problem average
    precisions differ by 1 at most.
    """
    row, n = tested.row, tested.n_problems
    most = 1 - tested.level ** (1 / n)
    if most < tested.margin:
        return Claim("no difference", f"the same as {row.against} on every problem")
    needed = math.ceil(math.log(tested.level) / math.log(1 - tested.margin))
    reason = f"the same as {row.against} on all {n} problems, but {most:.0%} of others may differ"
    return Claim(f"inconclusive, needs about {needed} problems", reason)


def _inconclusive(row: ComparisonRow) -> str:
    if not row.needed:
        return f"inconclusive, needs over {MAX_PROBLEMS} problems"
    low, high = row.needed_low or row.needed, row.needed_high or f"over {MAX_PROBLEMS}"
    return f"inconclusive, needs about {row.needed} problems ({low} to {high})"
