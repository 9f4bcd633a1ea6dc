"""One fold fitted again: ridge and logistic regression of scikit-learn at a penalty, the errors that choose it.

Belongs here: fits of given features. Stays out: features (``own_features``), what is compared (``fits_refit``).
scikit-learn is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RIDGE_GRID = np.logspace(-2, 4, 13)
"""Penalties in units of the mean squared length of a training row."""
LOGISTIC_GRID = np.logspace(-2, 2, 5)
"""The same of logistic regression."""
BLOCK_GRID = np.logspace(-1, 4, 6)
"""Penalties of one block of features among several, in units of its own mean squared length of a row."""
INNER = 5
"""Inner folds of problems by which penalties of blocks, and of logistic regression, are chosen."""
ITERATIONS, STOP = 10_000, 1e-8


@dataclass(frozen=True)
class Part:
    """Rows that are trained on and rows that are scored, of one matrix."""

    trained: np.ndarray
    """[n, d] float64."""
    scored: np.ndarray
    """[m, d] float64."""
    labels: np.ndarray
    """[n] of 0 and 1."""
    target: np.ndarray
    """[n] labels less their problem's mean."""
    problems: np.ndarray
    """[n] ids."""

    @property
    def unit(self) -> float:
        """Mean squared length of a training row; 1 where there is nothing."""
        return float((self.trained**2).sum() / len(self.trained)) or 1.0

    @property
    def inner(self) -> np.ndarray:
        """[n] inner fold of each row, by the place of its problem among the sorted ids."""
        ids = sorted(set(self.problems.tolist()))
        place = {problem: index % min(INNER, len(ids)) for index, problem in enumerate(ids)}
        return np.array([place[problem] for problem in self.problems.tolist()])


def ridge_scores(part: Part, penalty: float) -> np.ndarray:
    """[m] of the ridge regression on the centred labels; infinity stands for the difference of means."""
    from sklearn.linear_model import Ridge

    if np.isinf(penalty):
        return part.scored @ (part.trained.T @ part.target)
    return Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(part.trained, part.target).predict(part.scored)


@dataclass(frozen=True)
class LeftOut:
    """What the ridge fits that lack one problem make of it, for any targets and penalties.

    In closed form (Hastie, Tibshirani and Friedman, Elements of Statistical Learning, 7.10): residuals of the whole
    fit over what of the problem's own labels the fit gives back.
    """

    left: np.ndarray
    """[n, r] left singular vectors of the rows."""
    squared: np.ndarray
    """[r] squares of their singular values."""
    groups: list[np.ndarray]
    """Row positions of each problem."""

    @classmethod
    def of(cls, rows: np.ndarray, problems: np.ndarray) -> LeftOut:
        """Decompose rows [n, d] of problems [n]."""
        left, values, _ = np.linalg.svd(rows, full_matrices=False)
        return cls(left, values**2, [np.flatnonzero(problems == one) for one in np.unique(problems)])

    def residuals(self, targets: np.ndarray, penalty: float) -> np.ndarray:
        """[n, n_targets] of targets [n, n_targets]."""
        share = self.squared / (self.squared + penalty)
        found = targets - self.left @ (share[:, None] * (self.left.T @ targets))
        for rows in self.groups:
            given_back = (self.left[rows] * share) @ self.left[rows].T
            found[rows] = np.linalg.solve(np.eye(len(rows)) - given_back, found[rows])
        return found

    def errors(self, targets: np.ndarray, penalties: Sequence[float] | np.ndarray) -> np.ndarray:
        """[n_penalties, n_targets] sums of squares of the residuals."""
        return np.stack([(self.residuals(targets, penalty) ** 2).sum(axis=0) for penalty in penalties])


def left_out_errors(part: Part, penalties: Sequence[float] | np.ndarray) -> np.ndarray:
    """[n_penalties] sums of squares when each training problem is predicted by the fit to the others."""
    return LeftOut.of(part.trained, part.problems).errors(part.target[:, None], penalties)[:, 0]


def inner_error(part: Part, rows: np.ndarray, penalty: float = 1.0) -> float:
    """Sum of squares over the inner folds of ridge regressions of the training ``rows`` [n, d], scaled as they are."""
    inner, total = part.inner, 0.0
    for fold in np.unique(inner):
        fitted, left = rows[inner != fold], rows[inner == fold]
        target = part.target[inner != fold]
        n, d = fitted.shape
        if n < d:
            weights = fitted.T @ np.linalg.solve(fitted @ fitted.T + penalty * np.eye(n), target)
        else:
            weights = np.linalg.solve(fitted.T @ fitted + penalty * np.eye(d), fitted.T @ target)
        total += float(((part.target[inner == fold] - left @ weights) ** 2).sum())
    return total


def logistic_scores(part: Part, penalty: float, *, used: np.ndarray | None = None) -> np.ndarray:
    """Log-odds of a balanced logistic regression: [m] of the scored rows; or, of the training rows not ``used``."""
    from sklearn.linear_model import LogisticRegression

    kept = np.ones(len(part.labels), bool) if used is None else used
    if len(np.unique(part.labels[kept])) < 2:
        return np.zeros(len(part.scored) if used is None else int((~kept).sum()))
    model = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=ITERATIONS, tol=STOP)
    model.fit(part.trained[kept], part.labels[kept])
    return model.decision_function(part.scored if used is None else part.trained[~kept])


def logistic_losses(part: Part, penalties: Sequence[float] | np.ndarray) -> np.ndarray:
    """[n_penalties] balanced log losses over the inner folds; folds with one class on either side count for nothing."""
    inner, losses = part.inner, np.zeros(len(penalties))
    for fold in np.unique(inner):
        used = inner != fold
        left = part.labels[~used]
        if len(np.unique(left)) < 2 or len(np.unique(part.labels[used])) < 2:
            continue
        weight = np.where(left == 1, len(left) / (2 * left.sum()), len(left) / (2 * (1 - left).sum()))
        for at, penalty in enumerate(penalties):
            odds = logistic_scores(part, penalty, used=used)
            losses[at] += float((weight * np.logaddexp(0, np.where(left == 1, -odds, odds))).sum())
    return losses


def scaled_blocks(
    blocks: Mapping[str, np.ndarray], train: np.ndarray, penalties: Mapping[str, float | None]
) -> np.ndarray:
    """[n_all, d] rows of all blocks on which a common penalty of 1 is that of each; blocks without one are left out."""
    found = [np.zeros((len(next(iter(blocks.values()))), 0))]
    for name, block in blocks.items():
        penalty = penalties[name]
        if penalty is not None:
            unit = float((block[train] ** 2).sum() / len(train)) or 1.0
            found.append(block / np.sqrt(penalty * unit))
    return np.hstack(found)


def shrunk_penalty(part: Part) -> tuple[float, float]:
    """Shrinkage of Ledoit and Wolf (2004) of the training rows, and the ridge penalty with that direction."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    share = float(ledoit_wolf_shrinkage(part.trained, assume_centered=True))
    n, d = part.trained.shape
    mean = float((part.trained**2).sum() / (n * d))
    return share, n * mean * share / (1 - share) if share < 1 else float("inf")
