"""Inference over problems: intervals, tests and corrections of per-problem differences.

Belongs here: statistics of a table [n_problems, n_hypotheses]. Stays out: what is compared, power (``power``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

MIN_PROBLEMS_FOR_INTERVAL = 5
"""Below this no interval is given: its width is itself a guess (two of three problems decide a standard deviation)."""
ALPHA = 0.05
"""Level of every test, and of every family of tests."""
LEVEL = 1 - ALPHA
BOOTSTRAP_DRAWS = 2000
FLIPPED_AT_ONCE = 2**23
"""Statistics [patterns x hypotheses] held in memory at a time: 64 MiB an array."""


@dataclass(frozen=True)
class Interval:
    """A mean over problems and its confidence interval."""

    estimate: float
    low: float
    high: float
    n: int
    standard_error: float


def t_interval(values: np.ndarray, *, level: float = LEVEL, inflation: float = 1.0) -> Interval | None:
    """Student's interval of the mean over problems.

    None below ``MIN_PROBLEMS_FOR_INTERVAL`` problems, and when all values are equal.

    Args:
        values: [n_problems] float.
        level: coverage.
        inflation: factor on the standard error (``nadeau_bengio``).
    """
    n = len(values)
    deviation = float(np.std(values, ddof=1)) if n > 1 else 0.0
    if n < MIN_PROBLEMS_FOR_INTERVAL or deviation <= 1e-15:
        return None
    error = inflation * deviation / np.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    mean = float(np.mean(values))
    return Interval(mean, mean - half, mean + half, n, float(error))


def t_ends(values: np.ndarray) -> tuple[float, float]:
    """Both ends of ``t_interval`` of [n_problems] values, NaN among them left out; NaN where there is none."""
    found = t_interval(values[~np.isnan(values)])
    return (found.low, found.high) if found else (np.nan, np.nan)


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
    """Student's p-value of a mean above zero.

    That of the sign test when all values are equal, and 1 below ``MIN_PROBLEMS_FOR_INTERVAL`` problems.

    Args:
        values: [n_problems] float.
        inflation: factor on the standard error (``nadeau_bengio``).
    """
    interval = t_interval(values, inflation=inflation)
    if interval is not None:
        return float(stats.t.sf(interval.estimate / interval.standard_error, interval.n - 1))
    if len(values) < MIN_PROBLEMS_FOR_INTERVAL or np.mean(values) <= 1e-12:
        return 1.0
    return float(2.0 ** -len(values))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values (Holm 1979): the chance of any false claim stays below the level.

    Args:
        p_values: [n_hypotheses] float.

    Returns:
        [n_hypotheses] float64, in the order of the argument.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, (len(p_values) - np.arange(len(p_values))) * p_values[order])
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


@dataclass(frozen=True)
class SignFlips:
    """Max-T over all hypotheses from the same sign flips of problems."""

    statistics: np.ndarray
    """[n_hypotheses] float64: mean by its standard error, its size where tests are two-sided; NaN below two problems
    that have a difference."""
    alone: np.ndarray
    """[n_hypotheses] p-values of each hypothesis by itself; 1 without a statistic."""
    adjusted: np.ndarray
    """[n_hypotheses] p-values that know of all hypotheses; 1 without a statistic."""
    critical: float
    """What the largest of all statistics exceeds in 5 % of the flips; the family's threshold."""


def sign_flip_max_t(
    differences: np.ndarray,
    *,
    flips: int,
    seed: int,
    level: float = LEVEL,
    two_sided: bool = True,
    inflation: np.ndarray | float = 1.0,
) -> SignFlips:
    """Adjust t-tests for all hypotheses that were looked at, whatever their dependence.

    A problem's differences change sign together (Westfall and Young 1993, single step; exact where two scores are
    exchangeable within a problem). With few problems all patterns are enumerated; otherwise the data as they are count
    as one of the patterns, p = (1 + b)/(1 + flips) (Phipson and Smyth 2010).

    Args:
        differences: [n_problems, n_hypotheses] float; NaN where a hypothesis does not have a problem.
        flips: number of random patterns.
        seed: of the patterns.
        level: of the critical value.
        two_sided: test the size of a mean; else whether it is above zero.
        inflation: [n_hypotheses] factors on the standard errors of what was observed (``nadeau_bengio``).
    """
    n, n_hypotheses = differences.shape
    if n < 2 or not n_hypotheses:
        ones = np.ones(n_hypotheses)
        return SignFlips(np.full(n_hypotheses, np.nan), ones, ones, np.inf)
    signs = _sign_patterns(n, flips, seed)
    largest, alone = np.empty(len(signs)), np.zeros(n_hypotheses)
    step = max(1, FLIPPED_AT_ONCE // n_hypotheses)
    observed = limit = np.empty(0)
    for start in range(0, len(signs), step):
        found = _flipped_statistics(differences, signs[start : start + step], two_sided)
        if start == 0:
            observed = found[0]
            # rounding must not decide between a pattern and itself
            limit = observed / inflation * np.where(observed > 0, 1 - 1e-9, 1 + 1e-9)
        largest[start : start + step] = found.max(axis=1)
        alone += (found >= limit).sum(axis=0)
    reached = len(signs) - np.searchsorted(np.sort(largest), limit)
    defined = observed > -np.inf
    critical = float(np.quantile(largest, level)) if defined.any() else np.inf
    return SignFlips(np.where(defined, observed, np.nan), alone / len(signs), reached / len(signs), critical)


def _sign_patterns(n: int, flips: int, seed: int) -> np.ndarray:
    """[n_patterns, n] of -1 and 1, the first of them all 1: every pattern, or random ones where there are more."""
    if 2**n <= flips:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (flips + 1, n))
    signs[0] = 1.0
    return signs


def _flipped_statistics(differences: np.ndarray, signs: np.ndarray, two_sided: bool) -> np.ndarray:
    """[n_patterns, n_hypotheses] float64; minus infinity for hypotheses with fewer than two problems."""
    known = ~np.isnan(differences)
    n = known.sum(axis=0)
    values = differences if known.all() else np.where(known, differences, 0.0)
    squares = np.square(values).sum(axis=0)
    means = signs @ values / np.maximum(n, 1)
    # flipping signs changes no square; what is left of equal differences is rounding
    spread = np.maximum(squares - n * np.square(means), 1e-24 * np.maximum(squares, 1e-300))
    variances = spread / np.maximum(n - 1, 1) / np.maximum(n, 1)
    size = np.abs(means) if two_sided else means
    statistics = np.where(squares > 0, size / np.sqrt(np.maximum(variances, 1e-300)), 0.0)
    return np.where(n >= 2, statistics, -np.inf)
