"""Intervals of means over problems and tests by flips of signs, written a second time.

Stays out: Student's test and Holm's correction (``inference``), power (``own_power``). scipy is imported inside
functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ta_checks.rules.levels import MIN_PROBLEMS

DRAWS = 2000
"""Resamples of problems behind an interval."""
FLIPS = 10_000
"""Least number of patterns of signs."""
PATTERNS_AT_ONCE = 500
NO_SPREAD = 1e-15


@dataclass(frozen=True)
class Ends:
    """An interval of a mean over problems."""

    low: float
    high: float
    error: float
    """Standard error, with its factor."""


def interval(values: np.ndarray, factor: float, seed: int, coverage: float = 0.95) -> Ends | None:
    """The wider one, end by end, of Student's interval and of that of the studentized bootstrap over problems.

    Args:
        values: [n_problems] float.
        factor: on the standard error.
        seed: of the resamples.
        coverage: of each.

    Returns:
        None below ``MIN_PROBLEMS`` problems, and of equal values.
    """
    from scipy import stats

    n = len(values)
    if n < MIN_PROBLEMS or np.std(values, ddof=1) <= NO_SPREAD:
        return None
    mean, error = float(values.mean()), factor * float(np.std(values, ddof=1)) / math.sqrt(n)
    drawn = values[np.random.default_rng(seed).integers(0, n, (DRAWS, n))]
    spread = np.std(drawn, axis=1, ddof=1) / math.sqrt(n)
    ratio = (drawn.mean(axis=1) - mean)[spread > NO_SPREAD] / spread[spread > NO_SPREAD]
    low, high = np.quantile(ratio, [(1 - coverage) / 2, (1 + coverage) / 2])
    student = float(stats.t.ppf((1 + coverage) / 2, n - 1))
    return Ends(mean - max(student, float(high)) * error, mean + max(student, -float(low)) * error, error)


@dataclass(frozen=True)
class Flipped:
    """Two-sided tests of several leads by the same flips of the signs of whole problems."""

    p_values: np.ndarray
    """[n_leads] share of the patterns in which the largest statistic of all reaches the observed one."""
    critical: float
    """What the largest exceeds in as many patterns as the level says."""


def flip_signs(leads: np.ndarray, factors: np.ndarray, permutations: int, seed: int, level: float) -> Flipped:
    """Test leads [n_problems, n_leads]; observed statistics are deflated by their factors [n_leads]."""
    n, count = leads.shape
    if n < 2 or not count:
        return Flipped(np.ones(count), math.inf)
    patterns = max(FLIPS, permutations)
    if 2**n <= patterns:
        signs = 1.0 - 2.0 * np.array([[number >> place & 1 for place in range(n)] for number in range(2**n)])
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (patterns + 1, n))
        signs[0] = 1.0
    squares = (leads**2).sum(axis=0)
    largest, observed = np.empty(len(signs)), np.zeros(count)
    for start in range(0, len(signs), PATTERNS_AT_ONCE):
        means = signs[start : start + PATTERNS_AT_ONCE] @ leads / n
        spread = np.maximum(squares - n * means**2, 1e-24 * np.maximum(squares, 1e-300)) / (n - 1)
        found = np.where(squares > 0, np.abs(means) / np.sqrt(np.maximum(spread, 1e-300) / n), 0.0)
        largest[start : start + PATTERNS_AT_ONCE] = found.max(axis=1)
        if not start:
            observed = found[0]
    limit = observed / factors * (1 - 1e-9)
    reached = (largest[:, None] >= np.where(observed > 0, limit, 0.0)).mean(axis=0)
    return Flipped(reached, float(np.quantile(largest, 1 - level)))
