"""Rank correlations problem by problem, and how much their difference depends on which problems were drawn.

Belongs here: what a continuous target is judged by. Stays out: metrics and intervals of anchors (``metrics``,
``resampling``), fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, t

from ta_assets.core.metrics import finite_scores

LEVEL = 0.95


@dataclass(frozen=True)
class RankInterval:
    """A difference of mean Spearman correlations and its intervals over problems. NaN where undefined.

    The percentile interval is the one that binary targets have too, and is too narrow for few problems (3 problems:
    it covers about three quarters of the time instead of 95 %). The t interval over problems keeps its level.
    """

    point_delta: float
    """Mean over problems of a's correlation minus b's, on the rows as they are."""
    delta_mean: float
    ci_low: float
    """2.5 % quantile over the valid draws (linear)."""
    ci_high: float
    """97.5 % quantile."""
    n_bootstrap: int
    """Draws made."""
    n_valid: int
    """Draws that held a problem in which both correlations are defined."""
    n_problems: int
    """Problems in which both are defined."""
    t_low: float
    """Lower end of the 95 % t interval of the mean difference over those problems; NaN for fewer than two."""
    t_high: float


def spearman_by_problem(target: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rank correlation of score and target within each problem; ties have their mean rank.

    Args:
        target: [n_rows] float.
        scores: [n_rows] or [n_rows, n_scores] float; the columns are scored independently.
        groups: [n_rows] problem ids.

    Returns:
        [n_problems] or [n_problems, n_scores] float64 by sorted problem id; NaN where the score or the target is
        constant.

    Raises:
        ValueError: a score is not finite, or the lengths differ.
    """
    scores = finite_scores(scores)
    target, groups = np.asarray(target, dtype=np.float64), np.asarray(groups)
    if not len(target) == len(scores) == len(groups):
        raise ValueError(f"{len(target)} targets, {len(scores)} scores and {len(groups)} problems must be one a row")
    columns = scores[:, None] if scores.ndim == 1 else scores
    found = []
    for problem in np.unique(groups):
        at = groups == problem
        wanted = _centred_ranks(target[at][:, None])
        given = _centred_ranks(columns[at])
        scale = np.sqrt(np.square(wanted).sum() * np.square(given).sum(axis=0))
        agreement = (wanted * given).sum(axis=0)
        found.append(np.divide(agreement, scale, out=np.full(len(scale), math.nan), where=scale > 0))
    correlations = np.array(found).reshape(len(found), columns.shape[1])
    return correlations[:, 0] if scores.ndim == 1 else correlations


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
    t_low, t_high = _t_interval(known)
    return RankInterval(
        point_delta=float(known.mean()),
        delta_mean=float(means.mean()),
        ci_low=float(low),
        ci_high=float(high),
        n_bootstrap=iterations,
        n_valid=len(means),
        n_problems=len(known),
        t_low=t_low,
        t_high=t_high,
    )


def _t_interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _centred_ranks(columns: np.ndarray) -> np.ndarray:
    ranks = np.asarray(rankdata(columns, axis=0), dtype=np.float64)
    return ranks - ranks.mean(axis=0)
