"""One ridge penalty for each block of features, chosen inside a fold.

Belongs here: the search. Stays out: the fit with what was chosen (``ridge`` on ``scaled`` features with penalty 1).

Blocks that tell little must cost much without making the others cost much, too (banded ridge: Nunez-Elizalde, Huth and
Gallant 2019, Voxelwise encoding models with non-spherical multivariate normal priors). The search goes down one block
at a time from the best common penalty, by the squared error over inner folds of problems. Rows are read once: every
error is one of second moments, and blocks whose penalties stand are eliminated before the others are solved for
(Schur complement). Where there are fewer rows than columns, Gram matrices are solved.
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
WIDE = 50
"""Blocks of more columns are eliminated while the penalties of the others are searched."""


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
    """Of each inner fold, of its own rows: [d, d] and [d]; or of each block its Gram matrix [n, n], and nothing."""
    _eliminated: dict[tuple[object, ...], _Eliminated] = field(default_factory=dict)

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
            steady = range(len(start))
            return min(((*start, index) for index in range(OFF, -1, -1)), key=lambda at: self.error(at, steady))
        steady = [block for block, features in enumerate(self.blocks) if features.shape[1] > WIDE]
        common = [(index,) * len(self.blocks) for index in range(len(GRID) - 1, -1, -1)]
        known = {at: self.error(at, steady) for at in common}
        best = min(common, key=known.__getitem__)
        for _ in range(SWEEPS):
            before = best
            for block in range(len(self.blocks)):
                for step in (1, -1):
                    at = (*best[:block], best[block] + step, *best[block + 1 :])
                    if not 0 <= at[block] < len(GRID):
                        continue
                    if at not in known:
                        known[at] = self.error(at, steady)
                    if known[at] < known[best]:
                        best = at
                        break
            if best == before:
                break
        return best

    def error(self, at: Sequence[int], steady: Sequence[int] = ()) -> float:
        """Sum of squared errors over the inner folds with these penalties.

        Args:
            at: index into ``GRID`` of each block, or ``OFF``.
            steady: blocks to eliminate first, never ``OFF``; what that takes is kept for the next call with their
                penalties. The result is the same whatever they are.
        """
        columns = sum(block.shape[1] for block in self.blocks)
        return self._dual(at) if len(self.target) <= columns else self._primal(at, steady)

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

    def _primal(self, at: Sequence[int], steady: Sequence[int]) -> float:
        if not self._moments:
            features = np.hstack(self.blocks)
            for fold in range(int(self.inner.max()) + 1):
                own = features[self.inner == fold]
                self._moments.append((own.T @ own, own.T @ self.target[self.inner == fold]))
        total = float(np.square(self.target).sum())
        for fold, (second, first) in enumerate(self._moments):
            weights = self._coefficients(fold, at, steady)
            total += float(weights @ (second @ weights - 2 * first))
        return max(total, 0.0)

    def _coefficients(self, fold: int, at: Sequence[int], steady: Sequence[int]) -> np.ndarray:
        """[d] of the fit to the other inner folds; 0 where a block is ``OFF``."""
        from scipy.linalg import solve

        place = np.repeat(np.arange(len(self.blocks)), [block.shape[1] for block in self.blocks])
        weight = np.array(self._weights(at))[place]
        kept = np.isin(place, list(steady))
        key = (fold, *((block, at[block]) for block in steady))
        if key not in self._eliminated:
            second = sum(one for index, (one, _) in enumerate(self._moments) if index != fold)
            first = sum(one for index, (_, one) in enumerate(self._moments) if index != fold)
            self._eliminated[key] = _Eliminated.of(np.asarray(second), np.asarray(first), kept, weight)
        rest, weights = self._eliminated[key], np.zeros(len(place))
        used = np.flatnonzero(weight[~kept] > 0)
        inside = rest.second[np.ix_(used, used)]
        inside[np.diag_indices(len(used))] += 1 / weight[~kept][used]
        found = solve(inside, rest.first[used], assume_a="pos", check_finite=False, overwrite_a=True)
        weights[np.flatnonzero(~kept)[used]] = found
        weights[kept] = rest.alone - rest.owed[:, used] @ found
        return weights


@dataclass(frozen=True)
class _Eliminated:
    """What is left to solve when some coefficients are written as functions of the others."""

    second: np.ndarray
    """[r, r] Schur complement in the second moments, r coefficients being left; their own penalties not added."""
    first: np.ndarray
    """[r]."""
    alone: np.ndarray
    """[k] eliminated coefficients where the others are 0."""
    owed: np.ndarray
    """[k, r] by how much they fall per unit of the others."""

    @classmethod
    def of(cls, second: np.ndarray, first: np.ndarray, kept: np.ndarray, weight: np.ndarray) -> _Eliminated:
        """Eliminate the coefficients ``kept`` [d] bool, whose penalties are 1 / ``weight`` [d]."""
        from scipy.linalg import solve

        if not kept.any():
            return cls(second, first, np.zeros(0), np.zeros((0, len(first))))
        inside = second[np.ix_(kept, kept)]
        inside[np.diag_indices(len(inside))] += 1 / weight[kept]
        both = np.column_stack([second[np.ix_(kept, ~kept)], first[kept]])
        found = solve(inside, both, assume_a="pos", check_finite=False, overwrite_a=True)
        cross = second[np.ix_(~kept, kept)] @ found
        return cls(
            second[np.ix_(~kept, ~kept)] - cross[:, :-1], first[~kept] - cross[:, -1], found[:, -1], found[:, :-1]
        )
