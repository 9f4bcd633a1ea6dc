"""How good a score of sentences is.

Belongs here: metrics of one score against labels or importances. Stays out: fitting, resampling (``resampling``),
what a cell reports (``cells``).

Scores must be finite. Where a metric is undefined (no anchors, all anchors, nothing to rank) it is NaN, never zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata


def pr_auc_trapezoid(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the linearly interpolated precision-recall curve, pooled over problems (the predecessor's metric).

    Equals ``sklearn.metrics.auc`` of ``precision_recall_curve``. Too kind to ties: a constant scorer gets
    (1 + prevalence) / 2. Use it to compare with published tables, ``average_precision`` to compare models.

    Args:
        labels: [n_rows] of 0 and 1.
        scores: [n_rows] float, higher means anchor.

    Returns:
        Area in [0, 1]; NaN without both classes.

    Raises:
        ValueError: a score is not finite, or the lengths differ.
    """
    hits, rows = _cumulative_counts(labels, scores)
    if not _has_both_classes(hits, rows):
        return float("nan")
    recall = np.concatenate(([0.0], hits / hits[-1]))
    precision = np.concatenate(([1.0], hits / rows))
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Sum over thresholds of precision times the gain in recall; tied scores are one threshold.

    Equals ``sklearn.metrics.average_precision_score`` (Davis and Goadrich 2006; Boyd 2013). A constant scorer gets the
    prevalence exactly. Arguments, NaN and errors as ``pr_auc_trapezoid``.
    """
    hits, rows = _cumulative_counts(labels, scores)
    if not _has_both_classes(hits, rows):
        return float("nan")
    return float(np.sum(np.diff(hits / hits[-1], prepend=0.0) * (hits / rows)))


def macro_average_precision(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> float:
    """Mean over the problems with both classes of their own average precision; NaN when there is none.

    Anchors are defined within a problem, so this does not charge a score for its scale differing between problems.

    Args:
        labels: [n_rows] of 0 and 1.
        scores: [n_rows] float, higher means anchor.
        groups: [n_rows] problem ids.

    Raises:
        ValueError: a score is not finite.
    """
    values = [average_precision(np.asarray(labels)[at], np.asarray(scores)[at]) for at in _members(groups)]
    return _mean_of_defined(values)


def spearman_mean(scores: np.ndarray, importance: np.ndarray, groups: np.ndarray) -> float:
    """Mean over problems of the rank correlation between score and importance.

    Problems with fewer than two rows, a constant score or a constant importance are left out; NaN when none is left.
    Ties have their mean rank, as in ``scipy.stats.spearmanr``.

    Args:
        scores: [n_rows] float.
        importance: [n_rows] float.
        groups: [n_rows] problem ids.

    Raises:
        ValueError: a score is not finite, or the lengths differ.
    """
    return _mean_of_defined(spearman_by_problem(importance, scores, groups).tolist())


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
        found.append(np.divide(agreement, scale, out=np.full(len(scale), np.nan), where=scale > 0))
    correlations = np.array(found).reshape(len(found), columns.shape[1])
    return correlations[:, 0] if scores.ndim == 1 else correlations


def top_k_recall(scores: np.ndarray, importance: np.ndarray, groups: np.ndarray, k: int) -> float:
    """Mean over problems of the share of their ``k`` most important sentences that are among the ``k`` best scored.

    ``k`` is cut to the number of sentences; of equal values the earlier row wins on both sides. NaN without rows.

    Args:
        scores: [n_rows] float.
        importance: [n_rows] float.
        groups: [n_rows] problem ids.
        k: at least 1.

    Raises:
        ValueError: ``k`` is below 1, or a score is not finite.
    """
    if k < 1:
        raise ValueError(f"top-k recall needs k of at least 1, got {k}")
    scores, importance = finite_scores(scores), np.asarray(importance)
    return _mean_of_defined([_overlap(scores[at], importance[at], k) for at in _members(groups)])


def evaluate(rows: pd.DataFrame, scores: np.ndarray, k_values: Sequence[int]) -> dict[str, float]:
    """All metrics of one score on one part of a split.

    Args:
        rows: sentences with ``problem_id``, ``anchor`` and ``importance_score``.
        scores: [n_rows] float32.
        k_values: cut-offs of ``top_{k}_recall``.

    Returns:
        pr_auc, average_precision, macro_average_precision, spearman_mean and top_{k}_recall; NaN where undefined.

    Raises:
        ValueError: a score is not finite, or the lengths differ.
    """
    labels, importance = rows["anchor"].to_numpy(), rows["importance_score"].to_numpy()
    groups = rows["problem_id"].to_numpy()
    measured = {
        "pr_auc": pr_auc_trapezoid(labels, scores),
        "average_precision": average_precision(labels, scores),
        "macro_average_precision": macro_average_precision(labels, scores, groups),
        "spearman_mean": spearman_mean(scores, importance, groups),
    }
    return measured | {f"top_{k}_recall": top_k_recall(scores, importance, groups, k) for k in k_values}


def position_bins(rows: pd.DataFrame, scores: np.ndarray, n_bins: int) -> list[dict[str, Any]]:
    """Metrics within equal bins of ``relative_position``; the last bin is closed. No bins, no entries.

    Args:
        rows: [n_rows] sentences with ``relative_position`` (in [0, 1]) and ``anchor``.
        scores: [n_rows] float.
        n_bins: 0 or more.

    Returns:
        One dict a bin: bin_index, left_inclusive, right (exclusive but for the last bin), count, prevalence,
        pr_auc, average_precision. Prevalence is NaN for an empty bin, the metrics also for a bin with one class.

    Raises:
        ValueError: a score is not finite.
    """
    if n_bins <= 0:
        return []
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    position = rows["relative_position"].to_numpy(dtype=np.float64)
    labels, scores = rows["anchor"].to_numpy(), np.asarray(scores)
    bins = []
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        inside = (position >= left) & ((position < right) | (index == n_bins - 1))
        bins.append(
            {
                "bin_index": index,
                "left_inclusive": float(left),
                "right": float(right),
                "count": int(inside.sum()),
                "prevalence": float(labels[inside].mean()) if inside.any() else float("nan"),
                "pr_auc": pr_auc_trapezoid(labels[inside], scores[inside]),
                "average_precision": average_precision(labels[inside], scores[inside]),
            }
        )
    return bins


def auroc_by_problem(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Area under the ROC curve within each problem: how often an anchor outscores a non-anchor, ties counting half.

    Unlike average precision, a score and its reverse average to exactly 1/2, so shuffled labels have mean 1/2.

    Args:
        labels: [n_rows] of 0 and 1.
        scores: [n_rows] or [n_rows, n_scores] float; the columns are scored independently.
        groups: [n_rows] problem ids.

    Returns:
        [n_problems] or [n_problems, n_scores] float64 by sorted problem id; NaN for problems with one class.

    Raises:
        ValueError: a score is not finite, or the lengths differ.
    """
    scores = finite_scores(scores)
    columns = scores[:, None] if scores.ndim == 1 else scores
    positive = _binary(labels, len(columns))
    members = _members(groups)
    areas = np.full((len(members), columns.shape[1]), np.nan)
    for row, at in enumerate(members):
        chosen = positive[at]
        n_anchors, n_others = int(chosen.sum()), int((~chosen).sum())
        if n_anchors and n_others:
            ranks = np.asarray(rankdata(columns[at], axis=0))
            areas[row] = (ranks[chosen].sum(axis=0) - n_anchors * (n_anchors + 1) / 2) / (n_anchors * n_others)
    return areas[:, 0] if scores.ndim == 1 else areas


def finite_scores(scores: np.ndarray) -> np.ndarray:
    """The scores as an array of floats.

    Raises:
        ValueError: one of them is NaN or infinite: a rank among such scores means nothing.
    """
    scores = np.asarray(scores)
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    bad = np.count_nonzero(~np.isfinite(scores))
    if bad:
        raise ValueError(f"{bad} of {scores.size} scores are not finite")
    return scores


def _cumulative_counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Anchors and rows at or above each distinct score, from the highest down: two [n_thresholds] int64."""
    scores = finite_scores(scores)
    positive = _binary(labels, len(scores))
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_block = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1) if len(ordered) else []
    ends = np.asarray(last_of_block, dtype=np.int64)
    return np.cumsum(positive[order])[ends], ends + 1


def _has_both_classes(hits: np.ndarray, rows: np.ndarray) -> bool:
    return len(hits) > 0 and 0 < hits[-1] < rows[-1]


def _binary(labels: np.ndarray, n_rows: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (n_rows,):
        raise ValueError(f"labels have shape {labels.shape}, expected one for each of the {n_rows} scores")
    return labels == 1


def _members(groups: np.ndarray) -> list[np.ndarray]:
    """Row positions of every group, by sorted group; row order is kept within a group."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return [part for part in np.split(order, np.cumsum(np.bincount(codes))[:-1]) if len(part)]


def _centred_ranks(columns: np.ndarray) -> np.ndarray:
    ranks = np.asarray(rankdata(columns, axis=0), dtype=np.float64)
    return ranks - ranks.mean(axis=0)


def _overlap(scores: np.ndarray, importance: np.ndarray, k: int) -> float:
    k = min(k, len(scores))
    chosen, wanted = (set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (scores, importance))
    return len(chosen & wanted) / k


def _mean_of_defined(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
