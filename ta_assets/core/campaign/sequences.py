"""Intervals of shares and of their differences: valid at one number of rollouts set beforehand, or at all of them.

Belongs here: counts -> ends of intervals, vectorised. Stays out: when to stop (``stopping``), which counts they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import betaln, xlog1py, xlogy
from scipy.stats import norm

PRIOR = 0.5
"""Both parameters of the Beta mixture (Krichevsky and Trofimov 1981): bets that lose least against the best one."""
EDGE = 1e-12
HALVINGS = 40
"""Of a bracket: ends are within 2^-40 of where they lie."""


def share_sequence(right: np.ndarray, total: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidence sequence of a share: covers the truth at every number of rollouts at once with 1 - alpha.

    All p at which the wealth of a bettor against p stays below 1 / alpha (Ville's inequality); the bettor's bets follow
    a Beta(1/2, 1/2) mixture, so that the wealth is B(1/2 + k, 1/2 + n - k) / (B(1/2, 1/2) p^k (1 - p)^(n - k)). It
    holds whatever decides when to stop. Sources: Howard, Ramdas, McAuliffe and Sekhon 2021, Time-uniform,
    nonparametric, nonasymptotic confidence sequences; Waudby-Smith and Ramdas 2024, Estimating means of bounded random
    variables by betting.

    Args:
        right: [n] counts.
        total: [n] counts; a share of none can be anything.
        alpha: in (0, 1).

    Returns:
        Both ends, each [n] float64.
    """
    right, total = (np.asarray(one, dtype=np.float64) for one in (right, total))
    best = np.where(total > 0, right / np.maximum(total, 1), 0.5)
    limit = -np.log(alpha)

    def inside(p: np.ndarray) -> np.ndarray:
        return log_wealth(right, total, p) <= limit

    return _last_inside(inside, best, np.zeros_like(best)), _last_inside(inside, best, np.ones_like(best))


def difference_sequence(counts: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidence sequence of the difference of two shares whose rollouts are different ones.

    All differences p - q for some (p, q) at which the product of both wealths is below 1 / alpha: as the rollouts are
    independent, the product is the wealth of one bettor on both, so one level does for both shares. The wealth is
    convex in (p, q), so the differences are an interval.

    Args:
        counts: [n, 4]: total and right of the first share, total and right of the second, in this order.
        alpha: in (0, 1).

    Returns:
        Both ends, each [n] float64 in [-1, 1].
    """
    first, right, second, other = np.asarray(counts, dtype=np.float64).reshape(-1, 4).T
    p, q = right / np.maximum(first, 1), other / np.maximum(second, 1)
    p, q = np.where(first > 0, p, q), np.where(second > 0, q, p)
    limit = -np.log(alpha)

    def inside(difference: np.ndarray) -> np.ndarray:
        low, high = np.maximum(0.0, -difference), np.minimum(1.0, 1 - difference)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            rising = _slope(right, first, middle + difference) + _slope(other, second, middle) > 0
            low, high = np.where(rising, low, middle), np.where(rising, middle, high)
        shared = (low + high) / 2
        moved = np.clip(shared + difference, 0.0, 1.0)
        return log_wealth(right, first, moved) + log_wealth(other, second, shared) <= limit

    centre = p - q
    return _last_inside(inside, centre, -np.ones_like(centre)), _last_inside(inside, centre, np.ones_like(centre))


def difference_interval(counts: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the difference of two shares at a number of rollouts that was set beforehand.

    Newcombe's hybrid of two score intervals (1998, Interval estimation for the difference between independent
    proportions, method 10). A share of none can be anything.

    Args:
        counts: as ``difference_sequence`` takes them.
        alpha: in (0, 1).

    Returns:
        Both ends, each [n] float64 in [-1, 1].
    """
    first, right, second, other = np.asarray(counts, dtype=np.float64).reshape(-1, 4).T
    (p, p_low, p_high), (q, q_low, q_high) = _wilson(right, first, alpha), _wilson(other, second, alpha)
    low = p - q - np.sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + np.sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    empty = (first == 0) | (second == 0)
    return np.where(empty, p_low - q_high, low), np.where(empty, p_high - q_low, high)


def log_wealth(right: np.ndarray, total: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Logarithm of what a bettor against a share ``p`` has after ``right`` of ``total``, beginning with 1."""
    mixed = betaln(PRIOR + right, PRIOR + total - right) - betaln(PRIOR, PRIOR)
    return mixed - xlogy(right, p) - xlog1py(total - right, -p)


def _slope(right: np.ndarray, total: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Derivative of ``log_wealth``, finite at 0 and 1: only its sign is looked at."""
    return (total - right) / np.maximum(1 - p, EDGE) - right / np.maximum(p, EDGE)


def _last_inside(inside: Callable[[np.ndarray], np.ndarray], start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where a convex set that holds ``start`` ends on the way to ``end``."""
    held, outside = start, end
    whole = inside(end)
    for _ in range(HALVINGS):
        middle = (held + outside) / 2
        good = inside(middle)
        held, outside = np.where(good, middle, held), np.where(good, outside, middle)
    # the outer end of the last bracket: rounding must not cut off what belongs to it
    return np.where(whole, end, outside)


def _wilson(right: np.ndarray, total: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A share and its score interval (Wilson 1927); of none 0.5 and [0, 1]."""
    z2 = float(norm.isf(alpha / 2)) ** 2
    n = np.maximum(total, 1)
    p = right / n
    centre, half = (p + z2 / (2 * n)) / (1 + z2 / n), np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    known = total > 0
    ends = np.where(known, centre - half, 0.0), np.where(known, centre + half, 1.0)
    return np.where(known, p, 0.5), *ends
