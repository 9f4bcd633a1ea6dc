"""Student's test and Holm's correction, written a second time: checks of claims do not use the code that made them.

Stays out: bounds (``levels``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ta_checks.rules.levels import MIN_PROBLEMS

NO_SPREAD = 1e-15
"""Largest standard deviation of values that are equal but for rounding."""
NO_LEAD = 1e-12
"""Largest mean of values that are zero but for rounding."""


MARGIN, PRIOR, MOST = 1.1, 6, 1.25
"""Of the factor of shared fits: margin on the jackknife's, problems that the expected factor counts as, and most of it
that is believed."""


def shared_fits_factor(lead: np.ndarray, changed: np.ndarray, expected: float) -> float:
    """Factor on the standard error of a cross-validated lead, as its problems are scored by fits that they share.

    Args:
        lead: [n_problems] float.
        changed: [n_problems, n_problems] how much of the lead in row i is owed to training on problem j; 0 if i is j.
        expected: the factor of scores that learned noise.
    """
    n = len(lead)
    naive = float(np.var(lead, ddof=1)) / n if n > 3 else 0.0
    if naive <= NO_SPREAD**2:
        return expected
    pseudo = lead + changed.sum(axis=0)
    both = changed + changed.T
    grand = both.sum() / (n * (n - 1))
    effect = (both.sum(axis=1) / (n - 1) - grand) * (n - 1) / (n - 2)
    pairs = sum((both[i, j] - grand - effect[i] - effect[j]) ** 2 for i in range(n) for j in range(i)) / n**2
    whole = max(naive, float(np.var(pseudo, ddof=1)) / n - pairs)
    share = min(1.0, PRIOR / n)
    return min(MOST * expected, (MARGIN * math.sqrt(whole / naive)) ** (1 - share) * expected**share)


def one_sided_p(values: np.ndarray, inflation: float) -> float:
    """Student's p-value of a mean above zero; of equal values that of the sign test, below ``MIN_PROBLEMS`` 1.

    Args:
        values: [n_problems] float.
        inflation: factor on the standard error.
    """
    from scipy import stats

    n = len(values)
    if n < MIN_PROBLEMS:
        return 1.0
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    if deviation <= NO_SPREAD:
        return 0.5**n if mean > NO_LEAD else 1.0
    return float(stats.t.sf(mean / (inflation * deviation / math.sqrt(n)), n - 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values by name (Holm 1979): the chance of any false claim stays below the level."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
