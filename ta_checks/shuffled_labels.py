"""Probes fitted on shuffled labels: what chance looks like on the vectors of a setting.

Belongs here: shuffling within problems, how well it was shuffled, ridge probes for all shuffles at once. Stays out:
what may follow from it (``random_label``, ``beats_shuffled_labels``), the real probes, Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ta_checks.labelled_vectors import LabelledVectors

PENALTY = 0.01
"""Ridge penalty as a share of the mean squared norm of a standardized training row: so small that a row which was
fitted on is also remembered, which is what makes a leak visible; large enough to keep the system well conditioned."""

FitAndScore = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Permute = Callable[[LabelledVectors, np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class ShuffledProbes:
    """The outcome of fitting on shuffled labels."""

    labels: np.ndarray
    """[n_sentences, n_permutations] of 0 and 1: shuffled within each training problem, true elsewhere."""
    aurocs: np.ndarray
    """[n_permutations] float64: mean over the test problems with both classes of the AUROC within the problem."""
    n_test_problems: int
    """Test problems with both classes."""


def obstacle(data: LabelledVectors) -> str | None:
    """Why nothing can be said about shuffled labels here; None when it can."""
    if not _mixed_problems(data, data.test):
        return "no test problem has both anchors and other sentences: nothing can be ranked"
    if not _mixed_problems(data, data.train):
        return "no training problem has both anchors and other sentences: shuffling changes nothing"
    return None


def permute_within_problems(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    """Shuffle the labels of every training problem among its sentences, independently in each column.

    Returns:
        [n_sentences, permutations] int64; rows outside train keep their labels.
    """
    labels = np.repeat(data.anchors.astype(np.int64)[:, None], permutations, axis=1)
    for problem in np.unique(data.problems[data.train]):
        rows = np.flatnonzero(data.train & (data.problems == problem))
        order = rng.random((len(rows), permutations)).argsort(axis=0)
        labels[rows] = data.anchors[rows][order]
    return labels


def ridge_fit_and_score(x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Fit one ridge probe a column of targets on standardized vectors and score the test rows with it.

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
    from ta_assets.core.metrics import auroc_by_problem

    bad = np.count_nonzero(~np.isfinite(data.vectors).all(axis=1))
    if bad:
        raise ValueError(f"{bad} of {len(data.vectors)} vectors hold NaN or infinity")
    labels = permute(data, rng, permutations)
    targets = _centred(labels[data.train], data.problems[data.train])
    scores = fit_and_score(data.vectors[data.train], targets, data.vectors[data.test])
    graded = labels[data.test]
    problems = data.problems[data.test]
    if (graded == graded[:, :1]).all():
        by_problem = auroc_by_problem(graded[:, 0], scores, problems)
    else:
        # The permuted labels reach the test rows only when a row is in both parts: grade what was fitted, it is a leak.
        columns = zip(graded.T, scores.T, strict=True)
        by_problem = np.stack([auroc_by_problem(y, s, problems) for y, s in columns], axis=1)
    mixed = ~np.isnan(by_problem).any(axis=1)
    return ShuffledProbes(labels, by_problem[mixed].mean(axis=0), int(mixed.sum()))


def agreement_z(data: LabelledVectors, labels: np.ndarray) -> float:
    """How far the shuffled labels agree with the true ones, in standard errors of what chance gives.

    A training problem with k anchors among n sentences keeps a hypergeometric number of them: mean k²/n, variance
    k²(n-k)² / (n²(n-1)). Problems, and columns, are independent.

    Args:
        labels: [n_sentences, n_permutations] of 0 and 1.

    Returns:
        z of the mean number of anchors kept over all columns: large for labels that were not shuffled.
    """
    expected = variance = 0.0
    for problem in _mixed_problems(data, data.train):
        truth = data.anchors[data.train & (data.problems == problem)]
        n, k = len(truth), int(truth.sum())
        expected += k * k / n
        variance += (k * (n - k)) ** 2 / (n * n * (n - 1))
    rows = np.isin(data.problems, _mixed_problems(data, data.train)) & data.train
    kept = (labels[rows] * data.anchors[rows, None]).sum(axis=0)
    return float((kept.mean() - expected) / np.sqrt(variance / labels.shape[1]))


def unchanged_share(data: LabelledVectors, labels: np.ndarray) -> float:
    """Share of shuffles that left every label where it was."""
    return float((labels[data.train] == data.anchors[data.train, None]).all(axis=0).mean())


def _mixed_problems(data: LabelledVectors, rows: np.ndarray) -> list[int]:
    """Problems whose chosen rows hold both classes, sorted."""
    found = np.unique(data.problems[rows])
    return [int(one) for one in found if len(np.unique(data.anchors[rows & (data.problems == one)])) == 2]


def _centred(labels: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """[n_rows, n_permutations] float64: labels less the mean of their problem in the same column."""
    centred = labels.astype(np.float64)
    for problem in np.unique(problems):
        rows = problems == problem
        centred[rows] -= centred[rows].mean(axis=0)
    return centred
