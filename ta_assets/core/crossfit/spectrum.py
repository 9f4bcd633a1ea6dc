"""The thin decomposition of a training matrix, in which every ridge penalty and label vector is a diagonal scaling.

Belongs here: preparing features, and the decomposition. Stays out: what is fitted with it (``ridge``, ``logistic``).

Labels are defined within a problem and judged within it, so features are centred within each problem (the within
estimator of panel data: an intercept a problem) and then scaled by one label-free standard deviation a column over
all rows. A fold's decomposition is then of plain rows, and no fit needs its own scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RELATIVE_RANK = 1e-10
"""Squared singular values below this share of the largest are rounding."""


def within_problems(values: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Values less the mean of their problem: [n, ...] float64.

    Args:
        values: [n, ...] of any number type; finite.
        problems: [n] problem ids.
    """
    centred = np.asarray(values, dtype=np.float64).copy()
    for problem in np.unique(problems):
        rows = problems == problem
        centred[rows] -= centred[rows].mean(axis=0)
    return centred


def prepare(features: np.ndarray, problems: np.ndarray, *, scaled: bool = True) -> np.ndarray:
    """Centre features within problems and scale each column to unit standard deviation; constant columns become 0.

    Args:
        features: [n, d] of any number type.
        problems: [n] problem ids.
        scaled: False leaves the lengths of columns that are not constant as they are, where they mean something.

    Returns:
        [n, d] float64.

    Raises:
        ValueError: a feature is not finite.
    """
    bad = np.count_nonzero(~np.isfinite(features).all(axis=1))
    if bad:
        raise ValueError(f"{bad} of {len(features)} rows of features hold NaN or infinity")
    centred = within_problems(features, problems)
    deviation = np.sqrt(np.mean(np.square(centred), axis=0))
    constant = deviation <= np.finfo(np.float32).eps * np.abs(np.asarray(features, dtype=np.float64)).max(axis=0)
    length = deviation if scaled else np.ones_like(deviation)
    return np.divide(centred, length, out=np.zeros_like(centred), where=~constant & (deviation > 0))


@dataclass(frozen=True)
class Spectrum:
    """``X = left · diag(sqrt(squared)) · right'`` of prepared training features X [n, d], rank r."""

    left: np.ndarray
    """[n, r] float64, orthonormal columns."""
    squared: np.ndarray
    """[r] float64: squared singular values, descending."""
    right: np.ndarray
    """[d, r] float64, orthonormal columns."""

    @classmethod
    def of(cls, features: np.ndarray) -> Spectrum:
        """Decompose by the smaller of the Gram and the covariance matrix.

        Args:
            features: [n, d] float64; finite.
        """
        from scipy.linalg import eigh

        n, d = features.shape
        wide = d > n
        values, vectors = eigh(features @ features.T if wide else features.T @ features, check_finite=False)
        keep = np.flatnonzero(values > max(RELATIVE_RANK * values.max(initial=0.0), 0.0))[::-1]
        values, vectors = values[keep], vectors[:, keep]
        other = (features.T @ vectors if wide else features @ vectors) / np.sqrt(values)
        left, right = (vectors, other) if wide else (other, vectors)
        return cls(np.ascontiguousarray(left), values, np.ascontiguousarray(right))

    @property
    def size(self) -> float:
        """Mean squared length of a row: the natural unit of a penalty; 1 when there is nothing."""
        return float(self.squared.sum() / len(self.left)) or 1.0

    @property
    def coordinates(self) -> np.ndarray:
        """[n, r] float64: the training rows in the right basis."""
        return self.left * np.sqrt(self.squared)

    def project(self, features: np.ndarray) -> np.ndarray:
        """New rows [m, d] in the right basis: [m, r]."""
        return features @ self.right
