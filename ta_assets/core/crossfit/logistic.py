"""Many L2-penalized logistic regressions on the same rows at once: labels, row weights and penalties differ by column.

Belongs here: the solver and its certificate. Stays out: folds and penalties.

Each column minimizes sum_i w_i log(1 + exp(-y_i f_i)) + p/2 |v|² with f = Z v + b, y in {-1, 1}, b unpenalized. In the
basis of a spectrum Z'Z is diagonal, so the curvature is nearly so and a diagonal preconditioner turns L-BFGS (Nocedal
and Wright 2006, algorithm 7.4) into a few dozen iterations of two matrix products that serve all columns. The step
along a direction is exact, since f is linear in it. Left-out rows have weight 0: inner folds share the rows.
A single fit is slower than scikit-learn's; hundreds are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MEMORY = 8
MAX_ITERATIONS = 400
TOLERANCE = 1e-6
LINE_STEPS = 3
COLUMNS_AT_ONCE = 256
CURVATURE = 0.15
"""A typical p(1 - p); the preconditioner only needs its order."""


@dataclass(frozen=True)
class LogisticFits:
    """The solutions of all columns."""

    weights: np.ndarray
    """[r, n_columns]."""
    intercepts: np.ndarray
    """[n_columns]."""
    gradient: np.ndarray
    """[n_columns] certificate: Euclidean norm of the gradient over that at zero; 0 at the optimum."""
    iterations: int
    """The most that a column took."""

    def scores(self, new: np.ndarray) -> np.ndarray:
        """Log-odds of new rows [m, r]: [m, n_columns]."""
        return new @ self.weights + self.intercepts


def balanced_weights(labels: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Weights under which both classes count the same among the used rows, as scikit-learn's ``balanced``.

    Args:
        labels: [n, n_columns] of 0 and 1.
        used: [n, n_columns] bool.

    Returns:
        [n, n_columns] float64, 0 where a row is not used; columns whose used rows have one class are all 0.
    """
    positive, negative = (labels == 1) & used, (labels != 1) & used
    n_positive, n_negative = positive.sum(axis=0), negative.sum(axis=0)
    total, mixed = n_positive + n_negative, (n_positive > 0) & (n_negative > 0)
    both = np.where(mixed, 1.0, 0.0)
    return positive * (both * total / (2 * np.maximum(n_positive, 1))) + negative * (
        both * total / (2 * np.maximum(n_negative, 1))
    )


def fit(
    rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, at: np.ndarray, *, tolerance: float = TOLERANCE
) -> LogisticFits:
    """Solve every column.

    Args:
        rows: [n, r] with orthogonal columns (``Spectrum.coordinates``); their dtype is that of the work.
        labels: [n, n_columns] of 0 and 1.
        weights: [n, n_columns] non-negative.
        at: [n_columns] positive penalties.
        tolerance: largest gradient entry, in units of the preconditioner's root and the weights' sum, at which a
            column is done.
    """
    chunks = [slice(start, start + COLUMNS_AT_ONCE) for start in range(0, labels.shape[1], COLUMNS_AT_ONCE)]
    parts = [_solve(rows, labels[:, one], weights[:, one], at[one], tolerance) for one in chunks]
    return LogisticFits(
        np.concatenate([part.weights for part in parts], axis=1),
        np.concatenate([part.intercepts for part in parts]),
        np.concatenate([part.gradient for part in parts]),
        max(part.iterations for part in parts),
    )


def log_loss(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted log loss of each column, [n_columns] float64."""
    return (weights * np.logaddexp(0.0, np.where(labels == 1, -scores, scores))).sum(axis=0)


def _solve(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, at: np.ndarray, tolerance: float) -> LogisticFits:
    r = rows.shape[1]
    kind = rows.dtype
    sign = np.where(labels == 1, 1, -1).astype(kind)
    weights, at = weights.astype(kind), at.astype(kind)
    columns = labels.shape[1]
    result = np.zeros((r + 1, columns), dtype=kind)
    certificate, taken = np.zeros(columns), 0
    state = _State(rows, sign, weights, at)
    active = np.arange(columns)
    start = np.linalg.norm(state.gradient, axis=0)
    for taken in range(1, MAX_ITERATIONS + 1):
        state.step()
        done = (np.abs(state.gradient) / np.sqrt(state.scale * state.total)).max(axis=0) <= tolerance
        if taken == MAX_ITERATIONS:
            done[:] = True
        if done.any():
            result[:, active[done]] = state.solution[:, done]
            certificate[active[done]] = np.linalg.norm(state.gradient[:, done], axis=0)
            active = active[~done]
            if not len(active):
                break
            state.keep(~done)
    return LogisticFits(result[:r], result[r], certificate / np.maximum(start, 1e-300), taken)


class _State:
    """The columns that are still moving."""

    def __init__(self, rows: np.ndarray, sign: np.ndarray, weights: np.ndarray, at: np.ndarray) -> None:
        self.rows, self.sign, self.weights, self.at = rows, sign, weights, at
        r = rows.shape[1]
        self.total = np.maximum(weights.sum(axis=0), 1)
        self.scale = np.empty((r + 1, sign.shape[1]), dtype=rows.dtype)
        self.scale[:r] = CURVATURE * np.square(rows).sum(axis=0)[:, None] * (self.total / len(rows)) + at
        self.scale[r] = CURVATURE * self.total
        self.solution = np.zeros_like(self.scale)
        self.scores = np.zeros_like(sign)
        self.gradient = self._gradient()
        self.history: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def keep(self, chosen: np.ndarray) -> None:
        """Go on with some of the columns."""
        for name in ("sign", "weights", "at", "scale", "total", "solution", "scores", "gradient"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name)[..., chosen]))
        self.history = [tuple(array[..., chosen] for array in one) for one in self.history]  # type: ignore[misc]

    def step(self) -> None:
        """One iteration: two-loop direction, exact step, new gradient."""
        direction = self._direction()
        moved = self.rows @ direction[:-1] + direction[-1]
        size = self._step_size(direction, moved)
        change = size * direction
        self.solution += change
        self.scores += size * moved
        old, self.gradient = self.gradient, self._gradient()
        difference = self.gradient - old
        inner = (change * difference).sum(axis=0)
        inverse = np.divide(1.0, inner, out=np.zeros_like(inner), where=inner > 0)
        self.history = [*self.history[-(MEMORY - 1) :], (change, difference, inverse)]

    def _gradient(self) -> np.ndarray:
        pull = -self.sign * self.weights * _logistic(-self.sign * self.scores)
        gradient = np.empty_like(self.scale)
        gradient[:-1] = self.rows.T @ pull + self.at * self.solution[:-1]
        gradient[-1] = pull.sum(axis=0)
        return gradient

    def _direction(self) -> np.ndarray:
        direction = -self.gradient
        steps = []
        for change, difference, inverse in reversed(self.history):
            share = inverse * (change * direction).sum(axis=0)
            direction = direction - share * difference
            steps.append(share)
        if self.history:
            change, difference, inverse = self.history[-1]
            length = (np.square(difference) / self.scale).sum(axis=0) * inverse
            factor = np.divide(1.0, length, out=np.ones_like(length), where=length > 0)
        else:
            factor = 1.0
        direction = direction / self.scale * factor
        for (change, difference, inverse), share in zip(self.history, reversed(steps), strict=True):
            direction = direction + (share - inverse * (difference * direction).sum(axis=0)) * change
        return direction

    def _step_size(self, direction: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Newton's method on the convex objective along the direction, kept between the signs of its slope."""
        curve = self.at * np.square(direction[:-1]).sum(axis=0)
        slope = self.at * (self.solution[:-1] * direction[:-1]).sum(axis=0)
        size = np.ones_like(curve)
        low, high = np.zeros_like(curve), np.full_like(curve, np.inf)
        push = self.sign * moved
        for _ in range(LINE_STEPS):
            chance = _logistic(-(self.sign * self.scores + size * push))
            first = slope + size * curve - (self.weights * chance * push).sum(axis=0)
            second = curve + (self.weights * chance * (1 - chance) * np.square(push)).sum(axis=0)
            low, high = np.where(first < 0, size, low), np.where(first > 0, size, high)
            newton = size - np.divide(first, second, out=np.zeros_like(first), where=second > 0)
            inside = (newton > low) & (newton < high)
            halfway = np.where(np.isinf(high), 2 * low, (low + high) / 2)
            size = np.where(first == 0, size, np.where(inside, newton, halfway))
        return size


def _logistic(values: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(values)
