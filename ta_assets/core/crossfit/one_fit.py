"""One feature matrix in one fold: its decomposition, and every score that is fitted with it.

Belongs here: what a fold records of each fit. Stays out: which features and folds there are (``fit``), the algebra
(``ridge``, ``logistic``, ``without``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.bands import OFF, Bands
from ta_assets.core.crossfit.out_of_fold import Fold, OutOfFold, Sentences
from ta_assets.core.crossfit.spectrum import Spectrum
from ta_assets.core.crossfit.without import logistic_without, ridge_without

BANDS = (0.1, 1.0)
"""Squared scale of the position splines beside activations: how much cheaper their coefficients are, inverted."""
INNER_FOLDS = 5
LOGISTIC_GRID = tuple(float(value) for value in np.logspace(-2, 2, 5))
"""Penalties of the logistic probe in units of the mean squared row length."""


@dataclass(frozen=True)
class Fit:
    """Everything that fits of one feature matrix in one fold share."""

    fold: Fold
    spectrum: Spectrum
    new: np.ndarray
    """[n_test, r] held-out rows in the spectrum's basis."""
    target: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, fold: Fold, target: np.ndarray, sentences: Sentences) -> Fit:
        """Decompose the training rows of ``features`` [n, d]."""
        return cls.between(features[fold.train], features[fold.test], fold, target, sentences)

    @classmethod
    def between(
        cls, trained: np.ndarray, tested: np.ndarray, fold: Fold, target: np.ndarray, sentences: Sentences
    ) -> Fit:
        """Decompose training rows [n_train, d] beside held-out ones [n_test, d]."""
        spectrum = Spectrum.of(trained)
        return cls(
            fold,
            spectrum,
            spectrum.project(tested),
            target[fold.train],
            sentences.anchors[fold.train],
            sentences.problems[fold.train],
        )

    def best_penalty(self) -> tuple[float, float]:
        """The penalty with the least error of leaving out training problems, and that error."""
        return ridge.best_penalty(self.spectrum, self.target, self.groups)

    def put_ridge(self, found: OutOfFold, name: str, penalty: float, /, **facts: Any) -> None:
        """Record the ridge scores of a penalty; infinity stands for the difference of means."""
        values = ridge.scores(self.spectrum, self.new, self.target[:, None], np.array([penalty]))[0, :, 0]
        without = ridge_without(self.spectrum, self.new, self.target, self.groups, penalty)
        facts |= {"relative_gradient": ridge.relative_gradient(self.spectrum, self.target, penalty)}
        found.put(name, self.fold, values, without, facts)

    def put_tuned_ridge(self, found: OutOfFold, name: str) -> None:
        """Record the ridge scores of the best penalty."""
        penalty, error = self.best_penalty()
        self.put_ridge(found, name, penalty, penalty=penalty, left_out_error=error)

    def put_directions(self, found: OutOfFold, names: Mapping[str, str]) -> None:
        """Record the difference of means and discriminant analysis."""
        shrunk = ridge.ledoit_wolf(self.spectrum)
        self.put_ridge(found, names["difference_of_means"], np.inf)
        self.put_ridge(found, names["lda"], shrunk.penalty, penalty=shrunk.penalty, shrinkage=shrunk.share)

    def put_logistic(self, found: OutOfFold, name: str) -> None:
        """Record the logistic scores; inner folds and penalties are columns of one solve with weights of 0."""
        rows, grid = self.spectrum.coordinates, self.spectrum.size * np.array(LOGISTIC_GRID)
        ids = np.unique(self.groups)
        inner = np.searchsorted(ids, self.groups) % min(INNER_FOLDS, len(ids))
        n_inner = int(inner.max()) + 1
        column = np.arange(n_inner * len(grid))
        used = inner[:, None] != column // len(grid)
        labels = np.repeat(self.labels[:, None], len(column), axis=1)
        trained = logistic.fit(rows, labels, logistic.balanced_weights(labels, used), grid[column % len(grid)])
        losses = logistic.log_loss(trained.scores(rows), labels, logistic.balanced_weights(labels, ~used))
        by_penalty = losses.reshape(n_inner, len(grid)).sum(axis=0)
        best = len(grid) - 1 - int(np.argmin(by_penalty[::-1]))
        one, penalty = self.labels[:, None], float(grid[best])
        weights = logistic.balanced_weights(one, one >= 0)
        final = logistic.fit(rows, one, weights, grid[best : best + 1])
        without = logistic_without(rows, self.new, final, self.labels, weights[:, 0], self.groups, penalty)
        facts = {"penalty": penalty, "relative_gradient": float(final.gradient[0])}
        found.put(name, self.fold, final.scores(self.new)[:, 0], without, facts)


def put_banded(found: OutOfFold, name: str, fits: Sequence[Fit]) -> None:
    """Record the ridge scores of the band with the least error left out within the fold."""
    tuned = [fit.best_penalty() for fit in fits]
    best = int(np.argmin([error for _, error in tuned]))
    penalty, error = tuned[best]
    fits[best].put_ridge(found, name, penalty, penalty=penalty, left_out_error=error, band=BANDS[best])


@dataclass(frozen=True)
class Known:
    """What is known without the language model, with what activations may add to it."""

    name: str
    blocks: Mapping[str, np.ndarray]
    """Block -> [n, d] prepared features."""

    def put(
        self,
        found: OutOfFold,
        activations: Mapping[str, np.ndarray],
        fold: Fold,
        target: np.ndarray,
        sentences: Sentences,
    ) -> None:
        """Record what is known alone, and beside each block of activations.

        Penalties of what is known are chosen once in a fold; beside activations they stay, so that a lead is owed to
        the activations and not to a second search. Activations that do not lower the error within the fold are left
        out of it.

        Args:
            found: with room for ``name`` and for the names of ``activations``.
            activations: name of the score -> [n, d] prepared activations.
            fold: where to fit.
            target: [n] float64, centred within problems.
            sentences: whose labels.
        """
        known, groups = list(self.blocks.values()), sentences.problems[fold.train]
        bands = Bands.of([block[fold.train] for block in known], target[fold.train], groups)
        chosen = bands.chosen()
        self._put_chosen(found, self.name, bands, (known, chosen), (fold, target, sentences))
        for name, vectors in activations.items():
            every = [*known, vectors]
            beside = Bands.of([block[fold.train] for block in every], target[fold.train], groups)
            both = beside.chosen(start=chosen)
            if both[-1] == OFF:
                found.copy_fold(name, self.name, fold, found.choices[self.name][-1] | {"activations": "left out"})
            else:
                self._put_chosen(found, name, beside, (every, both), (fold, target, sentences))

    def _put_chosen(
        self,
        found: OutOfFold,
        name: str,
        bands: Bands,
        features: tuple[Sequence[np.ndarray], tuple[int, ...]],
        place: tuple[Fold, np.ndarray, Sentences],
    ) -> None:
        blocks, at = features
        fold, target, sentences = place
        trained, tested = (bands.scaled([block[rows] for block in blocks], at) for rows in (fold.train, fold.test))
        names = [*self.blocks, "activations"][: len(at)]
        facts = {"penalties": bands.penalties(at, names), "left_out_error": bands.error(at)}
        Fit.between(trained, tested, fold, target, sentences).put_ridge(found, name, 1.0, **facts)
