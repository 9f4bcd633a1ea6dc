"""How many problems a difference needs, from the observed variance between problems.

Belongs here: power of Student's test of a mean over problems. Stays out: the test itself (``intervals``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special, stats

from ta_assets.core.statistics.intervals import ALPHA

TARGET = 0.8
MAX_PROBLEMS = 100_000
MAX_DOUBLINGS = 100


def power(delta: float, deviation: float, n: int, *, alpha: float = ALPHA, inflation: float = 1.0) -> float:
    """Chance that the two-sided test over n problems finds a true mean difference, on its own side.

    The noncentral t distribution with noncentrality delta · sqrt(n) / deviation (Cohen 1988, 2.3).

    Args:
        delta: true mean difference, positive.
        deviation: standard deviation over problems.
        n: problems, at least 2.
        alpha: two-sided level of one test; a family's is smaller.
        inflation: factor on the standard error that the test uses.
    """
    threshold = -inflation * float(special.stdtrit(n - 1, alpha / 2))
    # from the left: scipy 1.17 gives NaN for a tail on the right of a large noncentrality
    return float(special.nctdtr(n - 1, -delta * math.sqrt(n) / deviation, -threshold))


Level = float | Callable[[int], float]
"""Two-sided level of one test, or that at a number of problems."""


def problems_needed(
    delta: float, deviation: float, *, alpha: Level = ALPHA, target: float = TARGET, inflation: float = 1.0
) -> int | None:
    """The least number of problems with the wanted power.

    Returns:
        At least ``least_problems(alpha)``; None above ``MAX_PROBLEMS``.
    """

    def enough(n: int) -> bool:
        return power(delta, deviation, n, alpha=_at(alpha, n), inflation=inflation) >= target

    delta, least = abs(delta), _least(alpha)
    if least is None or deviation <= 0:
        return least
    low, high = least - 1, 2 * least
    while delta == 0 or not enough(high):
        if delta == 0 or high > MAX_PROBLEMS:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MAX_PROBLEMS else None


def _at(alpha: Level, n: int) -> float:
    return alpha(n) if callable(alpha) else alpha


def _least(alpha: Level) -> int | None:
    """The fewest problems that can reach the level which they have; None where none do."""
    if not callable(alpha):
        return least_problems(alpha)
    return next((n for n in range(1, MAX_DOUBLINGS) if n >= least_problems(max(alpha(n), 1e-300))), None)


def level_of(critical: float, n: int) -> float:
    """The two-sided level of one test whose threshold is ``critical`` in units of the standard error."""
    return float(min(2 * stats.t.sf(critical, n - 1), 1.0)) if math.isfinite(critical) else 0.0


def least_problems(alpha: float = ALPHA, *, two_sided: bool = True) -> int:
    """The fewest problems on which flips of signs can reach the level at all: the least p is 2^-n, twice that where
    tests are two-sided."""
    return math.ceil(math.log2((2 if two_sided else 1) / alpha) - 1e-12)


PLANNED = 0.8
"""Confidence of the limit of the deviation that a number of problems is planned on."""


@dataclass(frozen=True)
class Needed:
    """How many problems a lead of interest needs; None above ``MAX_PROBLEMS``."""

    lead: float
    """The lead that is planned for, not the observed one: that is large where luck was good."""
    problems: int | None
    """By the upper limit of the deviation, so that a planned study has the wanted power four times in five (Browne
    1995, On the use of a pilot sample for sample size determination)."""
    low: int | None
    """By the lower end of the 95 % interval of the deviation."""
    high: int | None
    """By its upper end."""


def needed_for_lead(lead: float, deviation: float, n: int, *, alpha: Level = ALPHA, inflation: float = 1.0) -> Needed:
    """The number of problems that finds a lead, from the spread that n problems showed.

    Args:
        lead: smallest lead of interest, positive.
        deviation: standard deviation over the n problems.
        n: at least 2.
        alpha: two-sided level of one test; a family's is smaller, and so is that of a later look.
        inflation: factor on the standard error that the test uses, at any number of problems.
    """

    def at(confidence: float) -> int | None:
        limit = deviation * math.sqrt((n - 1) / float(stats.chi2.ppf(1 - confidence, n - 1)))
        return problems_needed(lead, limit, alpha=alpha, inflation=inflation)

    return Needed(lead, at(PLANNED), at(0.025), at(0.975))
