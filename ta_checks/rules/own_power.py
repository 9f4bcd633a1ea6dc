"""Problems that a lead needs, and levels of later looks, written a second time with scipy's distributions.

Stays out: intervals and tests (``own_tests``), what is compared (``claims``). scipy is imported inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

POWER, CONFIDENCE = 0.8, 0.8
"""Of a planned study, and of the limit of the deviation that it is planned on."""
MOST_PROBLEMS = 100_000
SIZES = 12
"""Numbers of problems of a next look at which its level is computed; between them it is interpolated."""


def enough_problems(lead: float, deviation: float, factor: float, level: float, n: int) -> bool:
    """Whether Student's two-sided test at ``level`` over n problems finds a true mean of ``lead`` often enough.

    Args:
        lead: true mean difference.
        deviation: over problems.
        factor: on the standard error that the test uses.
        level: two-sided.
        n: problems.
    """
    from scipy import special

    bound = -factor * special.stdtrit(n - 1, level / 2)
    # from the left: scipy 1.17 gives NaN for a tail on the right of a large noncentrality
    return bool(special.nctdtr(n - 1, -lead / (deviation / math.sqrt(n)), -bound) >= POWER)


def fewest_problems(level: float) -> int:
    """The least n with which flips of n signs reach a two-sided level at all."""
    n = 1
    while 2 * 0.5**n > level * (1 + 1e-12):
        n += 1
    return n


def first_of(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The least number from ``low`` to ``high`` from which on something holds that holds at ``high``."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def limit_of(deviation: float, n: int, confidence: float) -> float:
    """Upper limit of a deviation that n problems showed."""
    from scipy import stats

    return deviation * math.sqrt((n - 1) / stats.chi2.ppf(1 - confidence, n - 1))


def later_share(n: int, level: float, first: float) -> Callable[[int], float]:
    """Of a first look at n problems: number of problems of a next look -> its level as a share of this look's.

    The error that all looks may make up to n_2 problems is whole · (1 - (1 - first) · n / n_2), whole being what the
    first look had the share ``first`` of; the second look errs where the first did not (Lan and DeMets 1983).
    """
    whole = level / first
    sizes = np.unique(np.ceil(n * np.geomspace(1.1, 1000, SIZES)).astype(int))
    shares = [_second_level(n, int(size), level, whole * (1 - (1 - first) * n / size)) / level for size in sizes]

    def share(size: int) -> float:
        return 1.0 if size <= n else float(np.interp(math.log(size), np.log(sizes), shares))

    return share


def _second_level(n: int, size: int, level: float, both: float) -> float:
    """Two-sided level at which a second look at ``size`` problems errs with chance ``both`` less ``level``, or less."""
    from scipy import integrate, optimize, stats
    from scipy.special import ndtr, ndtri

    edge, correlation = -ndtri(level / 2), math.sqrt(n / size)
    spread = math.sqrt(1 - correlation**2)

    def passed(bound: float) -> float:
        def at(z: float) -> float:
            high, low = (bound - correlation * z) / spread, (-bound - correlation * z) / spread
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            return float(density * (ndtr(-high) + ndtr(low)))

        return integrate.quad(at, -edge, edge, epsabs=1e-12)[0] - (both - level)

    if both - level <= 0:
        return 0.0
    return float(2 * stats.norm.sf(optimize.brentq(passed, 0.0, 8.0)))
