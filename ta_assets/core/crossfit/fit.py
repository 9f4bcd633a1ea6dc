"""Out-of-fold scores of every baseline and probe: whatever is tuned is tuned inside the training folds, by problem.

Belongs here: what is fitted in a fold, and on what. Stays out: the algebra (``ridge``, ``logistic``), permuted labels
(``nulls``), intervals and verdicts (``compare``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.folds import Folds
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.probes.feature_sets import UNSCALED, baseline_features, position_splines

UNTRAINED = ("order", "label_support")
"""``order``: earlier is more important. ``label_support``: fewer dissimilar rollouts, which is how noisy the label is;
only where the data carries rollout counts."""
TRAINED_BASELINES = ("sentence_length", "position_linear", "position_spline", "function_tags", "text_tfidf")
FAMILIES = ("ridge", "logistic", "difference_of_means", "lda", "banded_ridge")
BANDS = (0.1, 1.0)
"""Squared scale of the position splines beside activations: how much cheaper their coefficients are, inverted."""
INNER_FOLDS = 5
LOGISTIC_GRID = tuple(float(value) for value in np.logspace(-2, 2, 5))
"""Penalties of the logistic probe in units of the mean squared row length."""


@dataclass(frozen=True)
class Sentences:
    """The sentences of a setting, sorted by problem and index, with everything a baseline or probe may see."""

    rows: pd.DataFrame
    """Label columns and token_count."""
    blocks: Mapping[int, np.ndarray]
    """Block -> [n, d_model] float; may be empty."""

    def __post_init__(self) -> None:
        order = np.lexsort((self.rows["chunk_idx"], self.rows["problem_id"]))
        if not np.array_equal(order, np.arange(len(order))):
            object.__setattr__(self, "rows", self.rows.take(order).reset_index(drop=True))
            object.__setattr__(self, "blocks", {block: vectors[order] for block, vectors in self.blocks.items()})

    @property
    def anchors(self) -> np.ndarray:
        """[n] int64."""
        return self.rows["anchor"].to_numpy(np.int64)

    @property
    def problems(self) -> np.ndarray:
        """[n] int64."""
        return self.rows["problem_id"].to_numpy(np.int64)


@dataclass
class OutOfFold:
    """Scores that no fit has seen the labels of."""

    scores: dict[str, np.ndarray] = field(default_factory=dict)
    """Name -> [n_repeats, n] float64."""
    choices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Name -> for each fold, what was chosen inside it and the certificate of the fit."""

    def put(self, name: str, repeat: int, rows: np.ndarray, values: np.ndarray, facts: Mapping[str, Any]) -> None:
        """Record one fit."""
        self.scores[name][repeat, rows] = values
        self.choices.setdefault(name, []).append(dict(facts))


@dataclass(frozen=True)
class Fold:
    """One fold of one repeat: which rows are trained on and which are scored."""

    repeat: int
    held_out: tuple[int, ...]
    train: np.ndarray
    """Row positions."""
    test: np.ndarray


def folds_of(folds: Folds, problems: np.ndarray) -> Iterator[Fold]:
    """Every fold as row positions."""
    for repeat, parts in enumerate(folds.repeats):
        for held_out in parts:
            test = np.isin(problems, held_out)
            yield Fold(repeat, held_out, np.flatnonzero(~test), np.flatnonzero(test))


def probe_name(family: str, block: int, blocks: Mapping[int, Any]) -> str:
    """``ridge``, or ``ridge@12`` where several blocks were extracted."""
    return family if len(blocks) == 1 else f"{family}@{block}"


def block_of(name: str) -> int:
    """Block of a probe whose name has one; see ``probe_name``."""
    return int(name.rpartition("@")[2])


def cross_fit(sentences: Sentences, folds: Folds) -> OutOfFold:
    """Score every sentence by fits to the other folds' problems, with one BLAS thread.

    Ridge penalties (and the band of the banded ridge, and the block of ``ridge@best``) minimize the squared error of
    leaving out each training problem; the logistic penalty minimizes the log loss over five inner folds of problems.

    Raises:
        ValueError: a feature is not finite.
    """
    shape = len(folds.repeats), len(sentences.rows)
    found = OutOfFold()
    target = within_problems(sentences.anchors, sentences.problems)
    with threadpool_limits(1):
        for name, scores in untrained_scores(sentences.rows).items():
            found.scores[name] = np.tile(scores, (shape[0], 1))
        for name, features in baseline_features(sentences.rows).items():
            found.scores[name] = np.full(shape, np.nan)
            ready = prepare(features, sentences.problems, scaled=name not in UNSCALED)
            for fold in folds_of(folds, sentences.problems):
                _ridge(found, name, _Fit.of(ready, fold, target, sentences))
        splines = prepare(position_splines(sentences.rows), sentences.problems)
        blocks = sentences.blocks
        for block, vectors in blocks.items():
            names = {family: probe_name(family, block, blocks) for family in FAMILIES}
            found.scores.update({name: np.full(shape, np.nan) for name in names.values()})
            ready = prepare(vectors, sentences.problems)
            beside = splines * _same_length(ready, splines)
            bands = [np.hstack([ready, np.sqrt(band) * beside]) for band in BANDS]
            for fold in folds_of(folds, sentences.problems):
                fit = _Fit.of(ready, fold, target, sentences)
                _ridge(found, names["ridge"], fit)
                _directions(found, names, fit)
                _logistic(found, names["logistic"], fit)
                _banded(found, names["banded_ridge"], [_Fit.of(band, fold, target, sentences) for band in bands])
        if len(blocks) > 1:
            _best_block(found, [probe_name("ridge", block, blocks) for block in blocks], folds, sentences)
    return found


def untrained_scores(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Scores that need no fit: [n] float64 each."""
    scores = {"order": -rows["chunk_idx"].to_numpy(np.float64)}
    if "n_different" in rows and bool(rows["n_different"].notna().all()):
        scores["label_support"] = -rows["n_different"].to_numpy(np.float64)
    return scores


@dataclass(frozen=True)
class _Fit:
    """Everything that fits of one feature matrix in one fold share."""

    fold: Fold
    spectrum: Spectrum
    new: np.ndarray
    """[n_test, r] held-out rows in the spectrum's basis."""
    target: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, fold: Fold, target: np.ndarray, sentences: Sentences) -> _Fit:
        spectrum = Spectrum.of(features[fold.train])
        return cls(
            fold,
            spectrum,
            spectrum.project(features[fold.test]),
            target[fold.train],
            sentences.anchors[fold.train],
            sentences.problems[fold.train],
        )

    def best_penalty(self) -> tuple[float, float]:
        """The penalty with the least error of leaving out training problems, and that error."""
        return ridge.best_penalty(self.spectrum, self.target, self.groups)

    def ridge_scores(self, penalty: float) -> np.ndarray:
        """[n_test]."""
        return ridge.scores(self.spectrum, self.new, self.target[:, None], np.array([penalty]))[0, :, 0]


def _ridge(found: OutOfFold, name: str, fit: _Fit, **facts: Any) -> None:
    penalty, error = fit.best_penalty()
    certificate = ridge.relative_gradient(fit.spectrum, fit.target, penalty)
    facts |= {"penalty": penalty, "left_out_error": error, "relative_gradient": certificate}
    found.put(name, fit.fold.repeat, fit.fold.test, fit.ridge_scores(penalty), facts)


def _directions(found: OutOfFold, names: Mapping[str, str], fit: _Fit) -> None:
    shrunk = ridge.ledoit_wolf(fit.spectrum)
    place = fit.fold.repeat, fit.fold.test
    found.put(names["difference_of_means"], *place, fit.ridge_scores(np.inf), {"relative_gradient": 0.0})
    certificate = ridge.relative_gradient(fit.spectrum, fit.target, shrunk.penalty)
    facts = {"penalty": shrunk.penalty, "shrinkage": shrunk.share, "relative_gradient": certificate}
    found.put(names["lda"], *place, fit.ridge_scores(shrunk.penalty), facts)


def _banded(found: OutOfFold, name: str, fits: list[_Fit]) -> None:
    errors = [fit.best_penalty()[1] for fit in fits]
    best = int(np.argmin(errors))
    _ridge(found, name, fits[best], band=BANDS[best])


def _logistic(found: OutOfFold, name: str, fit: _Fit) -> None:
    """Inner folds and penalties are columns of one solve; left-out rows weigh nothing."""
    rows, grid = fit.spectrum.coordinates, fit.spectrum.size * np.array(LOGISTIC_GRID)
    ids = np.unique(fit.groups)
    inner = np.searchsorted(ids, fit.groups) % min(INNER_FOLDS, len(ids))
    n_inner = int(inner.max()) + 1
    column = np.arange(n_inner * len(grid))
    used = inner[:, None] != column // len(grid)
    labels = np.repeat(fit.labels[:, None], len(column), axis=1)
    trained = logistic.fit(rows, labels, logistic.balanced_weights(labels, used), grid[column % len(grid)])
    losses = logistic.log_loss(trained.scores(rows), labels, logistic.balanced_weights(labels, ~used))
    by_penalty = losses.reshape(n_inner, len(grid)).sum(axis=0)
    best = len(grid) - 1 - int(np.argmin(by_penalty[::-1]))
    one = fit.labels[:, None]
    final = logistic.fit(rows, one, logistic.balanced_weights(one, one >= 0), grid[best : best + 1])
    facts = {"penalty": float(grid[best]), "relative_gradient": float(final.gradient[0])}
    found.put(name, fit.fold.repeat, fit.fold.test, final.scores(fit.new)[:, 0], facts)


def _best_block(found: OutOfFold, names: list[str], folds: Folds, sentences: Sentences) -> None:
    """In each fold the block whose ridge has the least error left out within the fold."""
    best_name = "ridge@best"
    found.scores[best_name] = np.full_like(found.scores[names[0]], np.nan)
    for index, fold in enumerate(folds_of(folds, sentences.problems)):
        chosen = min(names, key=lambda name: found.choices[name][index]["left_out_error"])
        values = found.scores[chosen][fold.repeat, fold.test]
        found.put(best_name, fold.repeat, fold.test, values, {"block": block_of(chosen)})


def _same_length(activations: np.ndarray, splines: np.ndarray) -> float:
    """Scale that gives the splines' rows the mean length of the activations' rows."""
    lengths = np.square(splines).sum()
    return float(np.sqrt(np.square(activations).sum() / lengths)) if lengths > 0 else 1.0
