"""Rank correlations problem by problem, and how much their difference depends on which problems were drawn.

Belongs here: what a continuous target is judged by. Stays out: metrics and intervals of anchors (``metrics``,
``resampling``), fitting.
"""

from __future__ import annotations

import numpy as np

from ta_assets.core.statistics.intervals import LEVEL, t_ends
from ta_assets.core.statistics.metrics import spearman_by_problem
from ta_assets.core.statistics.resampling import DeltaInterval


def rank_delta_interval(
    target: np.ndarray, scores: tuple[np.ndarray, np.ndarray], groups: np.ndarray, *, iterations: int, seed: int
) -> DeltaInterval:
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
        return DeltaInterval.undefined(iterations)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    t_low, t_high = t_ends(known)
    mean = float(known.mean())
    return DeltaInterval(
        point_delta=mean,
        delta_mean=float(means.mean()),
        percentile_low=float(low),
        percentile_high=float(high),
        n_bootstrap=iterations,
        n_valid=len(means),
        n_problems=len(known),
        macro_delta=mean,
        t_low=t_low,
        t_high=t_high,
    )
