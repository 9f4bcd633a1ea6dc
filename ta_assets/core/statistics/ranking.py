"""Average precision of many scores of one problem at once, and what a random order gets.

Belongs here: the per-problem numbers that inference is about. Stays out: metrics of one score (``metrics``).
"""

from __future__ import annotations

import numpy as np

from ta_assets.core.statistics.metrics import finite_scores


def problem_average_precision(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of every column, in expectation over random breaking of ties (McSherry and Najork 2008).

    So a score that says nothing gets what a random order gets (``random_average_precision``), and one with ties can
    be compared with one without; with a block of ties as one threshold (``metrics.average_precision``) it would get
    far less, of few rows. In a block of m rows with h anchors, below N rows with H, each place i = 1..m adds
    h/m · (1 + H + (i - 1)(h - 1)/(m - 1)) / (N + i).

    Args:
        labels: [n_columns, n] or [n] of 0 and 1; every row of it holds both classes.
        scores: [n_columns, n] float; finite.

    Returns:
        [n_columns] float64.
    """
    scores = finite_scores(scores)
    labels = np.broadcast_to(labels, scores.shape)
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    hit = np.take_along_axis(labels, order, axis=1) == 1
    rank = np.arange(1, scores.shape[1] + 1)
    hits = np.cumsum(hit, axis=1)
    gained: np.ndarray = hit
    reached: np.ndarray = hits
    tied = ordered[:, 1:] == ordered[:, :-1]
    if tied.any():
        edge = np.ones((len(scores), 1), dtype=bool)
        first = np.maximum.accumulate(np.where(np.hstack([edge, ~tied]), rank - 1, 0), axis=1)
        last = np.where(np.hstack([~tied, edge]), rank - 1, scores.shape[1])
        last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
        above = np.take_along_axis(hits - hit, first, axis=1)
        inside = np.take_along_axis(hits, last, axis=1) - above
        length = last - first + 1
        gained = inside / length
        reached = above + 1 + (rank - 1 - first) * (inside - 1) / np.maximum(length - 1, 1)
    return (gained * reached / rank).sum(axis=1) / hits[:, -1]


def average_precision_by_problem(labels: np.ndarray, scores: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Average precision within each problem that holds both classes, by sorted id.

    Args:
        labels: [n] of 0 and 1.
        scores: [n, n_columns] float.
        problems: [n] problem ids.

    Returns:
        [n_mixed_problems, n_columns] float64.
    """
    found = [
        problem_average_precision(labels[rows], np.ascontiguousarray(scores[rows].T))
        for rows in mixed_problems(labels, problems).values()
    ]
    return np.stack(found) if found else np.zeros((0, scores.shape[1]))


def mixed_problems(labels: np.ndarray, problems: np.ndarray) -> dict[int, np.ndarray]:
    """Problem id -> its row positions, of the problems that hold both classes; sorted by id."""
    members = {int(one): np.flatnonzero(problems == one) for one in np.unique(problems)}
    return {one: rows for one, rows in members.items() if 0 < labels[rows].sum() < len(rows)}


def random_average_precision(labels: np.ndarray) -> float:
    """Mean average precision of a random order without ties: a little above the prevalence.

    Of n rows with k anchors: h/n + (k - 1)/(n - 1) · (1 - h/n), with h the n-th harmonic number; the mean over the
    place i of an anchor of (1 + (k - 1)(i - 1)/(n - 1)) / i.
    """
    n, k = len(labels), int(np.sum(labels))
    harmonic = float(np.sum(1.0 / np.arange(1, n + 1)))
    return harmonic / n + ((k - 1) / (n - 1) * (1 - harmonic / n) if n > 1 else 0.0)


def random_orders(labels: np.ndarray, problems: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Mean over problems of the average precision of random orders: what a score that says nothing may get.

    Args:
        labels: [n] of 0 and 1.
        problems: [n] problem ids; those of one class are left out.
        draws: how many orders of every problem.
        seed: of the orders.

    Returns:
        [draws] float64; zeros when no problem holds both classes.
    """
    rng, total = np.random.default_rng(seed), np.zeros(draws)
    members = mixed_problems(labels, problems).values()
    for rows in members:
        total += problem_average_precision(labels[rows], rng.random((draws, len(rows))))
    return total / max(len(members), 1)


def expected_top_k_recall(scores: np.ndarray, importance: np.ndarray, k: int) -> float:
    """Share of the k most important rows among the k best scored, in expectation over random breaking of ties.

    A row's chance to be among the first k is 1, 0, or for the block of ties that k cuts, the block's open places over
    its length; on both sides, independently.

    Args:
        scores: [n] float; importance likewise.
        k: cut to n.
    """
    k = min(k, len(scores))
    return float((_chance_in_first(scores, k) * _chance_in_first(importance, k)).sum() / k)


def _chance_in_first(values: np.ndarray, k: int) -> np.ndarray:
    edge = np.sort(values)[::-1][k - 1]
    above, at_edge = values > edge, values == edge
    return above + at_edge * ((k - above.sum()) / at_edge.sum())
