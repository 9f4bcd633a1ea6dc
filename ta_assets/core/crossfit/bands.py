"""One ridge penalty for each block of features, chosen inside a fold.

Belongs here: the search. Stays out: the fit with what was chosen (``ridge`` on ``scaled`` features with penalty 1).

Blocks that tell little must cost much without making the others cost much, too (banded ridge: Nunez-Elizalde, Huth and
Gallant 2019, Voxelwise encoding models with non-spherical multivariate normal priors). The search goes down one block
at a time from the best common penalty, by the squared error over inner folds of problems; the smaller of Gram and
covariance matrix is solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

INNER_FOLDS = 5
GRID = tuple(float(value) for value in np.logspace(-1, 4, 6))
"""Penalties in units of a block's mean squared row length."""
OFF = len(GRID)
"""Index of no coefficients at all."""
SWEEPS = 3


@dataclass(frozen=True)
class Bands:
    """Training rows of every block, ready for the search."""

    blocks: tuple[np.ndarray, ...]
    """Each [n, d_b] float64, prepared."""
    target: np.ndarray
    """[n] float64, centred within problems."""
    inner: np.ndarray
    """[n] inner fold of each row."""
    _moments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    @classmethod
    def of(cls, blocks: Sequence[np.ndarray], target: np.ndarray, groups: np.ndarray) -> Bands:
        """Assign inner folds by problem.

        Args:
            blocks: prepared features [n, d_b] of the training rows.
            target: [n] float64, centred within problems.
            groups: [n] problem of each row.
        """
        ids = np.unique(groups)
        return cls(tuple(blocks), target, np.searchsorted(ids, groups) % min(INNER_FOLDS, len(ids)))

    def chosen(self, start: Sequence[int] | None = None) -> tuple[int, ...]:
        """Indices into ``GRID`` with the least error that the search finds, the larger of equal common ones.

        Args:
            start: kept as it is but for blocks behind its end, which are searched alone and may be ``OFF``.
        """
        if start is not None:
            options = [(*start, index) for index in range(OFF, -1, -1)]
            return min(options, key=self.error)
        common = [(index,) * len(self.blocks) for index in range(len(GRID) - 1, -1, -1)]
        known = {at: self.error(at) for at in common}
        best = min(common, key=known.__getitem__)
        for _ in range(SWEEPS):
            before = best
            for block in range(len(self.blocks)):
                for step in (1, -1):
                    at = (*best[:block], best[block] + step, *best[block + 1 :])
                    if not 0 <= at[block] < len(GRID):
                        continue
                    if at not in known:
                        known[at] = self.error(at)
                    if known[at] < known[best]:
                        best = at
                        break
            if best == before:
                break
        return best

    def error(self, at: Sequence[int]) -> float:
        """Sum of squared errors over the inner folds with these penalties."""
        columns = sum(block.shape[1] for block in self.blocks)
        return self._dual(at) if len(self.target) <= columns else self._primal(at)

    def scaled(self, blocks: Sequence[np.ndarray], at: Sequence[int]) -> np.ndarray:
        """[m, d] float64: rows of all blocks on which a common penalty of 1 is that of each block.

        Args:
            blocks: [m, d_b] prepared features of any rows.
            at: index into ``GRID`` of each block, or ``OFF``, whose columns are left out.
        """
        used = [(block, weight) for block, weight in zip(blocks, self._weights(at), strict=True) if weight > 0]
        return np.hstack([np.sqrt(weight) * block for block, weight in used]) if used else blocks[0][:, :0]

    def penalties(self, at: Sequence[int], names: Sequence[str]) -> dict[str, float | None]:
        """Name of each block -> its penalty in units of its mean squared row length; None where it is left out."""
        return {name: None if index == OFF else GRID[index] for name, index in zip(names, at, strict=True)}

    def _weights(self, at: Sequence[int]) -> list[float]:
        return [
            0.0 if index == OFF else 1.0 / (GRID[index] * (float(np.square(block).sum() / len(block)) or 1.0))
            for block, index in zip(self.blocks, at, strict=True)
        ]

    def _dual(self, at: Sequence[int]) -> float:
        from scipy.linalg import solve

        if not self._moments:
            self._moments.extend((block @ block.T, block[:0]) for block in self.blocks)
        kernel = sum(weight * gram for weight, (gram, _) in zip(self._weights(at), self._moments, strict=True))
        kernel = np.asarray(kernel)
        total = 0.0
        for fold in range(int(self.inner.max()) + 1):
            train, test = np.flatnonzero(self.inner != fold), np.flatnonzero(self.inner == fold)
            inside = kernel[np.ix_(train, train)]
            inside[np.diag_indices(len(train))] += 1.0
            load = solve(inside, self.target[train], assume_a="pos", check_finite=False, overwrite_a=True)
            total += float(np.square(self.target[test] - kernel[np.ix_(test, train)] @ load).sum())
        return total

    def _primal(self, at: Sequence[int]) -> float:
        from scipy.linalg import solve

        features = np.hstack(self.blocks)
        if not self._moments:
            for fold in range(int(self.inner.max()) + 1):
                own = features[self.inner != fold]
                self._moments.append((own.T @ own, own.T @ self.target[self.inner != fold]))
        columns = [block.shape[1] for block in self.blocks]
        root = np.sqrt(np.repeat(self._weights(at), columns))
        total = 0.0
        for fold, (second, first) in enumerate(self._moments):
            inside = second * root * root[:, None]
            inside[np.diag_indices(len(root))] += 1.0
            weights = root * solve(inside, root * first, assume_a="pos", check_finite=False, overwrite_a=True)
            test = self.inner == fold
            total += float(np.square(self.target[test] - features[test] @ weights).sum())
        return total
