"""Inference over problems: intervals, tests and corrections of per-problem differences.

Belongs here: statistics of a table [n_problems, n_hypotheses]. Stays out: what is compared, power (``power``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

MIN_PROBLEMS = 5
"""Below this no interval is given: its width is itself a guess (two of three problems decide a standard deviation)."""
LEVEL = 0.95
BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A mean over problems and its confidence interval."""

    estimate: float
    low: float
    high: float
    n: int
    standard_error: float


def t_interval(values: np.ndarray, *, level: float = LEVEL, inflation: float = 1.0) -> Interval | None:
    """Student's interval of the mean over problems; None below ``MIN_PROBLEMS`` or when all values are equal.

    Args:
        values: [n_problems] float.
        level: coverage.
        inflation: factor on the standard error (``nadeau_bengio``).
    """
    n = len(values)
    deviation = float(np.std(values, ddof=1)) if n > 1 else 0.0
    if n < MIN_PROBLEMS or deviation <= 1e-15:
        return None
    error = inflation * deviation / np.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    mean = float(np.mean(values))
    return Interval(mean, mean - half, mean + half, n, float(error))


def bootstrap_t(values: np.ndarray, *, level: float = LEVEL, inflation: float = 1.0, seed: int = 0) -> Interval | None:
    """Studentized bootstrap over problems, which follows skew (Efron and Tibshirani 1993, 12.5); None as above.

    Draws in which all values are equal have no statistic and are left out.
    """
    plain = t_interval(values, level=level, inflation=inflation)
    if plain is None:
        return None
    drawn = values[np.random.default_rng(seed).integers(0, len(values), (BOOTSTRAP_DRAWS, len(values)))]
    error = drawn.std(axis=1, ddof=1) / np.sqrt(len(values))
    valid = error > 1e-15
    statistic = (drawn.mean(axis=1)[valid] - plain.estimate) / error[valid]
    low, high = np.quantile(statistic, [(1 - level) / 2, (1 + level) / 2])
    mean, scale = plain.estimate, plain.standard_error
    return Interval(mean, mean - float(high) * scale, mean - float(low) * scale, plain.n, scale)


def interval(values: np.ndarray, *, level: float = LEVEL, inflation: float = 1.0, seed: int = 0) -> Interval | None:
    """The wider of Student's and the studentized bootstrap's interval, end by end; None as above.

    Differences in average precision are skewed, and Student's interval alone covers too little of them; what this one
    covers is measured in ``tests/benchmarks``.
    """
    plain = t_interval(values, level=level, inflation=inflation)
    skewed = bootstrap_t(values, level=level, inflation=inflation, seed=seed)
    if plain is None or skewed is None:
        return None
    return replace(plain, low=min(plain.low, skewed.low), high=max(plain.high, skewed.high))


def nadeau_bengio(n_problems: int, n_train: int) -> float:
    """Factor on the standard error of a mean over problems whose training sets overlap.

    Nadeau and Bengio (2003, Inference for the generalization error, section 4) put (1/J + n_test/n_train) s² in place
    of s²/J for J values, each of a test set of n_test. Here a value is one problem, so n_test is 1, whatever was held
    out beside it: (1/n + 1/n_train) s². For leave-one-out, and nearly so for ten folds, that is a factor sqrt(2): a
    score that learned nothing but noise is graded twice for each pair of problems.
    """
    return float(np.sqrt(1 + n_problems / n_train))


def one_sided_p(values: np.ndarray, *, inflation: float = 1.0) -> float:
    """Student's p-value of a mean above zero; of equal values that of the sign test, below ``MIN_PROBLEMS`` 1."""
    interval = t_interval(values, inflation=inflation)
    if interval is None:
        return float(2.0 ** -len(values)) if len(values) >= MIN_PROBLEMS and np.mean(values) > 1e-12 else 1.0
    return float(stats.t.sf(interval.estimate / interval.standard_error, interval.n - 1))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values (Holm 1979): the chance of any false claim stays below the level."""
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, (len(p_values) - np.arange(len(p_values))) * p_values[order])
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


@dataclass(frozen=True)
class SignFlips:
    """Two-sided max-T over all hypotheses from the same sign flips of problems."""

    adjusted: np.ndarray
    """[n_hypotheses] p-values."""
    critical: float
    """|t| that the largest of all statistics exceeds in 5 % of the flips; the family's threshold."""


def sign_flip_max_t(
    differences: np.ndarray, *, flips: int, seed: int, level: float = LEVEL, inflation: np.ndarray | float = 1.0
) -> SignFlips:
    """Adjust two-sided t-tests for all hypotheses that were looked at, whatever their dependence.

    A problem's differences change sign together (Westfall and Young 1993, single step; exact where two scores are
    exchangeable within a problem). With few problems all patterns are enumerated; otherwise p = (1 + b)/(1 + flips).

    Args:
        differences: [n_problems, n_hypotheses] float.
        flips: number of random patterns.
        seed: of the patterns.
        level: of the critical value.
        inflation: [n_hypotheses] factors on the standard errors of what was observed (``nadeau_bengio``).
    """
    n, n_hypotheses = differences.shape
    if n < 2 or not n_hypotheses:
        return SignFlips(np.ones(n_hypotheses), np.inf)
    if 2**n <= flips:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (flips + 1, n))
        signs[0] = 1.0
    squares = np.square(differences).sum(axis=0)
    means = signs @ differences / n
    variances = np.maximum(squares - n * np.square(means), 1e-24 * np.maximum(squares, 1e-300)) / (n - 1) / n
    statistics = np.where(squares > 0, np.abs(means) / np.sqrt(np.maximum(variances, 1e-300)), 0.0)
    largest = statistics.max(axis=1)
    # rounding must not decide between a pattern and itself
    reached = largest[:, None] >= statistics[0] / inflation * (1 - 1e-9)
    return SignFlips(reached.mean(axis=0), float(np.quantile(largest, level)))
