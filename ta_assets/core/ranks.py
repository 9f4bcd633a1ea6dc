"""Rank correlations problem by problem, and how much their difference depends on which problems were drawn.

Belongs here: what a continuous target is judged by. Stays out: metrics and intervals of anchors (``metrics``,
``resampling``), fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ta_assets.core.intervals import LEVEL, t_interval
from ta_assets.core.metrics import spearman_by_problem
from ta_assets.core.resampling import DeltaInterval


@dataclass(frozen=True)
class RankInterval(DeltaInterval):
    """A difference of mean Spearman correlations (point_delta: of a less b) and its intervals. NaN where undefined.

    The percentile interval is the one that binary targets have too, and is too narrow for few problems (3 problems:
    it covers about three quarters of the time instead of 95 %). The t interval over problems keeps its level.
    """

    n_problems: int
    """Problems in which both are defined."""
    t_low: float
    """Lower end of the 95 % t interval of the mean difference over those problems; NaN where none is given."""
    t_high: float


def rank_delta_interval(
    target: np.ndarray, scores: tuple[np.ndarray, np.ndarray], groups: np.ndarray, *, iterations: int, seed: int
) -> RankInterval:
    """Intervals of the difference in mean Spearman correlation between two scores, over whole problems.

    Draws are those of the binary interval: as many problems as there are, with replacement, by
    ``default_rng(seed).integers(0, G, G)`` from the sorted problems. A draw's value is the mean over the drawn
    problems of a's correlation minus that of b's; a problem in which one of them is undefined counts for neither, so
    that the difference is paired.

    Args:
        target: [n_rows] float.
        scores: a and b, each [n_rows] float.
        groups: [n_rows] problem ids.
        iterations: number of draws; at least 1.
        seed: of the draws.

    Raises:
        ValueError: scores not finite, lengths differ, no draws asked for, or no rows.
    """
    if iterations < 1 or not len(groups):
        raise ValueError(f"bootstrap needs at least one draw and one row, got {iterations} and {len(groups)}")
    a, b = (spearman_by_problem(target, score, groups) for score in scores)
    deltas = a - b
    known = deltas[~np.isnan(deltas)]
    drawn = deltas[np.random.default_rng(seed).integers(0, len(deltas), (iterations, len(deltas)))]
    counts = (~np.isnan(drawn)).sum(axis=1)
    means = np.nansum(drawn, axis=1)[counts > 0] / counts[counts > 0]
    if not len(means):
        return RankInterval(math.nan, math.nan, math.nan, math.nan, iterations, 0, 0, math.nan, math.nan)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    over_problems = t_interval(known)
    return RankInterval(
        point_delta=float(known.mean()),
        delta_mean=float(means.mean()),
        ci_low=float(low),
        ci_high=float(high),
        n_bootstrap=iterations,
        n_valid=len(means),
        n_problems=len(known),
        t_low=over_problems.low if over_problems else math.nan,
        t_high=over_problems.high if over_problems else math.nan,
    )
