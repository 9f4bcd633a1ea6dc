"""Ridge regression in a spectrum: any number of penalties and label vectors for the price of a few matrix products.

Belongs here: exact solutions, leave-one-group-out errors in closed form, the Ledoit-Wolf penalty. Stays out: which
penalty is taken in a fold (``crossfit``).

With X = U diag(s) V' the solution of min |y - Xw|² + p|w|² scores a row z (in the basis V) as
z · diag(s / (s² + p)) U'y (Hastie, Tibshirani and Friedman, Elements of Statistical Learning, 3.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ta_assets.core.crossfit.spectrum import Spectrum

PENALTY_GRID = tuple(float(value) for value in np.logspace(-2, 4, 13))
"""Penalties in units of the mean squared row length: from nearly none to nearly the difference of means."""


def penalties(spectrum: Spectrum) -> np.ndarray:
    """[13] float64: the grid in the unit of this spectrum."""
    return spectrum.size * np.array(PENALTY_GRID)


def filters(spectrum: Spectrum, at: np.ndarray) -> np.ndarray:
    """[n_penalties, r]: s / (s² + p); an infinite penalty stands for its direction in the limit, s (class means)."""
    at = np.asarray(at, dtype=np.float64)[:, None]
    strength = np.sqrt(spectrum.squared)
    return np.where(np.isinf(at), strength, strength / (spectrum.squared + np.where(np.isinf(at), 1.0, at)))


def scores(spectrum: Spectrum, new: np.ndarray, targets: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Score new rows with every penalty and target.

    Args:
        spectrum: of the training rows.
        new: [m, r] new rows in its basis; their dtype is that of the work (float32 for permutation nulls).
        targets: [n, n_targets] float, centred within problems.
        at: [n_penalties] penalties.

    Returns:
        [n_penalties, m, n_targets] in the dtype of ``new``.
    """
    loads = spectrum.left.T.astype(new.dtype) @ targets.astype(new.dtype)
    return np.stack([(new * weights.astype(new.dtype)) @ loads for weights in filters(spectrum, at)])


def left_out_residuals(spectrum: Spectrum, targets: np.ndarray, groups: np.ndarray, penalty: float) -> np.ndarray:
    """Residuals when each group is predicted by the fit to all the others, exactly and without refitting.

    For a group g they are (I - H_gg)^-1 (y - Hy)_g with the hat matrix H = U diag(s²/(s²+p)) U'.

    Args:
        spectrum: of all the rows.
        targets: [n, n_targets] float64, centred within problems.
        groups: [n] group of each row.
        penalty: finite.

    Returns:
        [n, n_targets] float64.
    """
    shrink = spectrum.squared / (spectrum.squared + penalty)
    residual = targets - spectrum.left @ (shrink[:, None] * (spectrum.left.T @ targets))
    root = spectrum.left * np.sqrt(shrink)
    left_out = np.empty_like(residual)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        left_out[rows] = np.linalg.solve(np.eye(len(rows)) - root[rows] @ root[rows].T, residual[rows])
    return left_out


def left_out_errors(spectrum: Spectrum, target: np.ndarray, groups: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Sum of squares of ``left_out_residuals`` of one target [n] at each penalty: [n_penalties] float64."""
    shrink = spectrum.squared / (spectrum.squared + np.asarray(at, dtype=np.float64)[:, None])
    residual = target - (shrink * (spectrum.left.T @ target)) @ spectrum.left.T
    total = np.zeros(len(shrink))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        own = spectrum.left[rows]
        kept = np.eye(len(rows)) - (own * shrink[:, None]) @ own.T
        total += np.square(np.linalg.solve(kept, residual[:, rows, None])).sum(axis=(1, 2))
    return total


def best_penalty(spectrum: Spectrum, target: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """The penalty of the grid with the least left-out error, the larger of equals; and that error.

    Args:
        spectrum: of all [n] rows.
        target: [n] float64, centred within problems.
        groups: [n] group of each row; each is left out once.
    """
    grid = penalties(spectrum)
    errors = left_out_errors(spectrum, target, groups, grid)
    best = len(grid) - 1 - int(np.argmin(errors[::-1]))
    return float(grid[best]), float(errors[best])


def relative_gradient(spectrum: Spectrum, target: np.ndarray, penalty: float) -> float:
    """Certificate of a fit: norm of the gradient at the solution over its norm at zero; 0 but for rounding.

    Args:
        spectrum: of the [n] training rows.
        target: [n] float64, centred within problems.
        penalty: positive; infinity stands for the direction in the limit, which is exact.
    """
    if np.isinf(penalty):
        return 0.0
    strength = np.sqrt(spectrum.squared)
    loads = spectrum.left.T @ target
    weights = strength / (spectrum.squared + penalty) * loads
    gradient = strength * (spectrum.left.T @ (target - spectrum.left @ (strength * weights))) - penalty * weights
    start = np.linalg.norm(strength * loads)
    return float(np.linalg.norm(gradient) / start) if start > 0 else 0.0


@dataclass(frozen=True)
class LedoitWolf:
    """The shrunk covariance (1 - share) S + share · mean variance · I of centred rows."""

    share: float
    penalty: float
    """The ridge penalty whose direction is that of linear discriminant analysis with this covariance."""


def ledoit_wolf(spectrum: Spectrum) -> LedoitWolf:
    """Shrinkage of Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.

    Discriminant analysis with the shrunk covariance of all rows has the direction of ridge regression on the labels:
    total and within-class scatter differ by a multiple of the mean difference's outer product, which by the
    Sherman-Morrison formula changes the length of the direction only. So labels are not needed here.
    """
    n, d = len(spectrum.left), len(spectrum.right)
    variances = spectrum.squared / n
    mean = variances.sum() / d
    spread = (np.square(variances).sum() - d * mean**2) / d
    lengths = np.square(spectrum.coordinates).sum(axis=1)
    noise = min((np.square(lengths).mean() - np.square(variances).sum()) / (n * d), spread)
    share = float(noise / spread) if spread > 0 else 1.0
    return LedoitWolf(share, float(n * mean * share / (1 - share)) if share < 1 else float("inf"))
