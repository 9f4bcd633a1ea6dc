"""The standard error of a cross-validated mean over problems, in which every problem both trains and tests.

Belongs here: the delete-a-problem jackknife of such a mean. Stays out: the scores without a problem
(``crossfit.without``), intervals and tests (``intervals``), which take its result as a factor.

The spread of the problems' values alone takes the fits as given. But deleting a problem also changes the fits that all
other problems are scored by; the jackknife holds both (Efron and Stein 1981, The jackknife estimate of variance;
consistent for cross-validation by Austern and Zhou 2020, Asymptotics of cross-validation).
"""

from __future__ import annotations

import numpy as np

MARGIN = 1.1
"""On the jackknife's factor, for the choice of penalties, which the downdates hold fixed."""
PRIOR = 6
"""Problems that the expected factor counts as: of few problems the jackknife is a rough guess, as a problem's average
precision moves in steps when its neighbours change places."""
MOST = 1.25
"""Most of the expected factor that is believed."""


def pseudo_values(values: np.ndarray, without: np.ndarray) -> np.ndarray:
    """What each problem adds to a cross-validated mean: its own value, and what it does to the others' by training.

    n times the mean less n - 1 times the mean without the problem (Tukey 1958).

    Args:
        values: [n] value of each problem.
        without: [n, n] value of problem i when problem j is absent from training; the diagonal is not read. NaN stands
            for no change.

    Returns:
        [n] float64.
    """
    return values + influences(values, without).sum(axis=0)


def influences(values: np.ndarray, without: np.ndarray) -> np.ndarray:
    """[n, n] float64: how much of problem i's value is owed to training on problem j; 0 on the diagonal."""
    change = np.nan_to_num(values[:, None] - without, nan=0.0)
    np.fill_diagonal(change, 0.0)
    return change


def variance(values: np.ndarray, without: np.ndarray) -> float:
    """Variance of the mean of ``values``, not below that with all fits taken as given.

    The jackknife counts what a pair of problems shares beyond each one's own part twice; that is taken off once
    (Efron and Stein 1981, section 3).

    Args:
        values: [n] value of each problem, n at least 4.
        without: as of ``pseudo_values``.
    """
    n = len(values)
    naive = float(np.var(values, ddof=1)) / n
    change = influences(values, without)
    own = values + change.sum(axis=0)
    twice = np.square(_pairs(change + change.T)).sum() / 2 / n**2
    return max(naive, float(np.var(own, ddof=1)) / n - float(twice))


def factor(values: np.ndarray, without: np.ndarray, expected: float) -> float:
    """What the standard error with fits taken as given is to be multiplied by, at least 1.

    The jackknife's, with its margin, drawn on the scale of logarithms to the factor that scores have that learned
    nothing but noise, by the weight of ``PRIOR`` problems. One rule for all numbers of problems: with few it is nearly
    the expected factor, with many nearly the jackknife's. What its intervals cover is measured in ``tests/benchmarks``.

    Args:
        values: [n] value of each problem.
        without: as of ``pseudo_values``.
        expected: of scores that learned noise (``intervals.nadeau_bengio``).

    Returns:
        ``expected`` where the values do not differ, or are of fewer than 4 problems.
    """
    n = len(values)
    naive = float(np.var(values, ddof=1)) / n if n > 3 else 0.0
    if naive <= 1e-30:
        return expected
    own, weight = MARGIN * float(np.sqrt(variance(values, without) / naive)), min(1.0, PRIOR / n)
    return min(MOST * expected, own ** (1 - weight) * expected**weight)


def _pairs(both: np.ndarray) -> np.ndarray:
    """A symmetric table with an empty diagonal less the parts of its rows and columns: what only the pair has."""
    n = len(both)
    grand = both.sum() / (n * (n - 1))
    part = (both.sum(axis=1) / (n - 1) - grand) * (n - 1) / (n - 2)
    rest = both - grand - part[:, None] - part
    np.fill_diagonal(rest, 0.0)
    return rest
