"""Probes fitted on shuffled labels: the scores that chance gives on the vectors of a setting.

Labels are what the setting's probes predict: anchors, or a continuous importance. Agreement of a score with anchors is
the AUROC within a problem, with an importance half of one plus the rank correlation: both are 1/2 by chance and 1 for
a perfect order.

Belongs here: shuffling and shifting within problems, how well it was shuffled, ridge probes for all of it at once.
Stays out: judging (``random_label``, ``beats_shuffled_labels``), the real probes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

PENALTY = 0.01
"""Ridge penalty as a share of the mean squared norm of a standardized training row: so small that a row which was
fitted on is also remembered, which is what makes a leak visible; large enough to keep the system well conditioned."""

FitAndScore = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Permute = Callable[[LabelledVectors, np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class ShuffledProbes:
    """The outcome of fitting on shuffled labels."""

    labels: np.ndarray
    """[n_sentences, n_permutations] targets: shuffled within each training problem, true elsewhere."""
    aurocs: np.ndarray
    """[n_permutations] float64: mean over the test problems that can be ranked of the agreement within the problem."""
    n_test_problems: int
    """Test problems with different labels."""


def obstacle(data: LabelledVectors) -> str | None:
    """Why nothing can be said about shuffled labels here; None when it can."""
    different = "both anchors and other sentences" if data.importance is None else "sentences of different importance"
    if not _mixed_problems(data, data.test):
        return f"no test problem has {different}: nothing can be ranked"
    if not _mixed_problems(data, data.train):
        return f"no training problem has {different}: shuffling changes nothing"
    return None


def measure_of(data: LabelledVectors) -> str:
    """Name of the agreement of a score with this setting's labels."""
    return "AUROC" if data.importance is None else "(1 + Spearman) / 2"


def agreement_by_problem(data: LabelledVectors, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How well scores of the test sentences order their labels within each problem, in [0, 1]; chance is 1/2.

    Args:
        data: the sentences of the cell.
        labels: [n_test] targets.
        scores: [n_test] or [n_test, n_scores] float.

    Returns:
        [n_test_problems] or [n_test_problems, n_scores] float64 by sorted problem id; NaN where the labels of a
        problem are all equal. A constant score orders nothing: 1/2.

    Raises:
        ValueError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    problems = data.problems[data.test]
    agreement = _auroc if data.importance is None else _rank_agreement
    inside = [problems == one for one in np.unique(problems)]
    return np.stack([agreement(labels[rows], scores[rows]) for rows in inside])


def permute_within_problems(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    """Shuffle the labels of every training problem among its sentences, independently in each column.

    Returns:
        [n_sentences, permutations] int64 anchors or float64 importance; rows outside train keep their labels.
    """
    labels = np.repeat(data.target[:, None], permutations, axis=1)
    for problem in np.unique(data.problems[data.train]):
        rows = np.flatnonzero(data.train & (data.problems == problem))
        order = rng.random((len(rows), permutations)).argsort(axis=0)
        labels[rows] = data.target[rows][order]
    return labels


def shift_within_problems(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    """Shift the labels of every training problem around its trace, by a step of its own in each column.

    What neighbours share is kept (Chung and Fraser 1958, Randomization tests for a multivariate two-sample problem).

    Returns:
        As ``permute_within_problems``; sentences are taken in their order.
    """
    labels = np.repeat(data.target[:, None], permutations, axis=1)
    for problem in np.unique(data.problems[data.train]):
        rows = np.flatnonzero(data.train & (data.problems == problem))
        place = (np.arange(len(rows))[:, None] + rng.integers(0, len(rows), permutations)) % len(rows)
        labels[rows] = data.target[rows][place]
    return labels


def ridge_fit_and_score(x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Fit one ridge probe per column of targets on standardized vectors and score the test rows with it.

    All columns share one Cholesky factor of the smaller of the Gram and the covariance matrix, so another column is a
    matrix product (kernel ridge regression in its dual or primal form; both give the same scores).

    Args:
        x_train: [n_train, d_model] float.
        y_train: [n_train, n_columns] float.
        x_test: [n_test, d_model] float.

    Returns:
        [n_test, n_columns] float64.
    """
    from scipy.linalg import cho_factor, cho_solve

    x_train, x_test = x_train.astype(np.float64), x_test.astype(np.float64)
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    deviation[deviation == 0] = 1.0
    x_train, x_test = (x_train - mean) / deviation, (x_test - mean) / deviation
    targets = y_train - y_train.mean(axis=0)
    size = np.square(x_train).sum() / len(x_train)
    if size == 0:
        return np.zeros((len(x_test), y_train.shape[1]))
    n, d = x_train.shape
    if d < n:
        factor = cho_factor(x_train.T @ x_train + PENALTY * size * np.eye(d))
        return x_test @ cho_solve(factor, x_train.T @ targets)
    factor = cho_factor(x_train @ x_train.T + PENALTY * size * np.eye(n))
    return (x_test @ x_train.T) @ cho_solve(factor, targets)


def shuffled_probes(
    data: LabelledVectors,
    rng: np.random.Generator,
    permutations: int,
    *,
    permute: Permute = permute_within_problems,
    fit_and_score: FitAndScore = ridge_fit_and_score,
) -> ShuffledProbes:
    """Fit a probe on every shuffle of the training labels and score it on the test problems.

    The targets are centred within each problem. A shuffle within problems keeps each problem's share of anchors, so
    probes on plain labels would all learn the same difference between problems and share its accidental score.

    Raises:
        ValueError: a vector or a score is not finite.
    """
    bad = np.count_nonzero(~np.isfinite(data.vectors).all(axis=1))
    if bad:
        raise ValueError(f"{bad} of {len(data.vectors)} vectors hold NaN or infinity")
    labels = permute(data, rng, permutations)
    targets = _centred(labels[data.train], data.problems[data.train])
    scores = fit_and_score(data.vectors[data.train], targets, data.vectors[data.test])
    graded = labels[data.test]
    if (graded == graded[:, :1]).all():
        by_problem = agreement_by_problem(data, graded[:, 0], scores)
    else:
        # the permuted labels reach the test rows only when a row is in both parts: grade what was fitted, it is a leak.
        columns = zip(graded.T, scores.T, strict=True)
        by_problem = np.stack([agreement_by_problem(data, y, s) for y, s in columns], axis=1)
    mixed = ~np.isnan(by_problem).any(axis=1)
    return ShuffledProbes(labels, by_problem[mixed].mean(axis=0), int(mixed.sum()))


def agreement_z(data: LabelledVectors, labels: np.ndarray) -> float:
    """How far the shuffled labels agree with the true ones, in standard errors of what chance gives.

    The sum of products of n true labels with a random order of them has mean (sum of labels)²/n and variance (sum of
    squares about the mean)²/(n-1) (Hoeffding 1951; for anchors that is the hypergeometric number of anchors kept).
    Problems, and columns, are independent.

    Args:
        labels: [n_sentences, n_permutations] targets.

    Returns:
        z of the mean sum over all columns: large for labels that were not shuffled.
    """
    target = data.target
    expected = variance = 0.0
    for problem in _mixed_problems(data, data.train):
        truth = target[data.train & (data.problems == problem)]
        n = len(truth)
        expected += truth.sum() ** 2 / n
        variance += np.square(truth - truth.mean()).sum() ** 2 / (n - 1)
    rows = np.isin(data.problems, _mixed_problems(data, data.train)) & data.train
    kept = (labels[rows] * target[rows, None]).sum(axis=0)
    return float((kept.mean() - expected) / np.sqrt(variance / labels.shape[1]))


def unchanged_share(data: LabelledVectors, labels: np.ndarray) -> float:
    """Share of shuffles that left every label where it was."""
    return float((labels[data.train] == data.target[data.train, None]).all(axis=0).mean())


def _auroc(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[] or [n_scores]: the share of pairs in which the anchor has the higher score, by Mann and Whitney's U."""
    from scipy.stats import rankdata

    n, hits = len(labels), int(labels.sum())
    if not 0 < hits < n:
        return np.full(scores.shape[1:], np.nan)
    ranks = rankdata(scores, axis=0)
    return (ranks[labels == 1].sum(axis=0) - hits * (hits + 1) / 2) / (hits * (n - hits))


def _rank_agreement(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[] or [n_scores]: half of one plus Spearman's correlation."""
    from scipy.stats import rankdata

    if len(np.unique(labels)) < 2:
        return np.full(scores.shape[1:], np.nan)
    truth, ranks = rankdata(labels), rankdata(scores, axis=0)
    truth, ranks = truth - truth.mean(), ranks - ranks.mean(axis=0)
    size = np.sqrt(np.square(truth).sum() * np.square(ranks).sum(axis=0))
    correlation = np.divide(truth @ ranks, size, out=np.zeros_like(size), where=size > 0)
    return (1 + correlation) / 2


def _mixed_problems(data: LabelledVectors, rows: np.ndarray) -> list[int]:
    """Problems whose chosen rows hold different labels, sorted."""
    found = np.unique(data.problems[rows])
    return [int(one) for one in found if len(np.unique(data.target[rows & (data.problems == one)])) > 1]


def _centred(labels: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """[n_rows, n_permutations] float64: labels less the mean of their problem in the same column."""
    centred = labels.astype(np.float64)
    for problem in np.unique(problems):
        rows = problems == problem
        centred[rows] -= centred[rows].mean(axis=0)
    return centred
