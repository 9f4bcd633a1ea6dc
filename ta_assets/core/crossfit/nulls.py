"""What probes score when labels are permuted within problems: refitted for every permutation, all penalties at once.

Belongs here: permuted labels, refits on them, max-T correction. Stays out: the ridge algebra, verdicts.

Leave-one-problem-out scores of different problems depend on each other's labels (each pair of problems is counted from
both sides), so permuting labels against fixed scores would halve the variance of the null; only refitting keeps the
level. A Gram spectrum makes a refit a column of a matrix product (Golland and Fischl 2003; Phipson and Smyth 2010 for
the p-value (1 + b) / (1 + m)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit import ridge
from ta_assets.core.crossfit.folds import Folds
from ta_assets.core.crossfit.out_of_fold import Sentences, folds_of, probe_name
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.statistics.ranking import mixed_problems, problem_average_precision
from ta_assets.core.statistics.supported import permuted_in_strata, shifted, support_strata

MIN_WINDOW, WINDOWS = 3, 20
"""A stratum is at least so many neighbouring sentences, or a twentieth of the trace."""
LEAST_STRATIFIED = MIN_WINDOW * WINDOWS
"""Sentences of the median trace below which windows are so wide that position tells much within them."""
SCHEMES = ("shifted", "stratified", "supported", "shuffled")


@dataclass(frozen=True)
class RefitNull:
    """Macro average precision of every hypothesis under every permutation; the first row is the data as it is."""

    hypotheses: tuple[str, ...]
    """``ridge|penalty index``, ``difference_of_means``, ``lda``, per block as ``probe_name`` says."""
    scores: np.ndarray
    """[1 + n_permutations, n_hypotheses] float64; several schemes are one below the other."""

    def stored(self, schemes: Sequence[str]) -> pd.DataFrame:
        """One column per ``scheme/hypothesis``, of refits to the labels of all ``schemes`` in turn."""
        parts = zip(schemes, np.split(self.scores, len(schemes)), strict=True)
        return pd.DataFrame(
            {f"{scheme}/{name}": one[:, at] for scheme, one in parts for at, name in enumerate(self.hypotheses)}
        )

    @classmethod
    def of(cls, stored: pd.DataFrame, scheme: str) -> RefitNull:
        """The refits under one scheme, out of what ``stored`` gave."""
        columns = [name for name in stored.columns if name.startswith(f"{scheme}/")]
        return cls(tuple(name.removeprefix(f"{scheme}/") for name in columns), stored[columns].to_numpy())

    def probes(self) -> tuple[str, ...]:
        """[n_hypotheses] The probe of each hypothesis, whatever its penalty."""
        return tuple(name.partition("|")[0] for name in self.hypotheses)


def permuted_labels(sentences: Sentences, permutations: int, *, scheme: str, seed: int) -> np.ndarray:
    """The labels, and permutations of them.

    Args:
        sentences: whose labels.
        permutations: how many.
        scheme: ``shifted`` moves the labels of a problem around its trace, which keeps what neighbours share;
            ``stratified`` permutes within windows of neighbouring sentences of a problem, so what position alone tells
            stays true to the window's width; ``supported`` within a problem's sentences with about as many dissimilar
            rollouts, so what the campaign alone tells stays true; ``shuffled`` within a problem, where what a held-out
            problem scores is exactly that of a random order unless a fit has seen it.
        seed: of the permutations.

    Returns:
        [n, 1 + permutations] int8; column 0 as it is.

    Raises:
        ValueError: ``supported`` without rollout counts.
    """
    rng = np.random.default_rng([seed, SCHEMES.index(scheme)])
    if scheme == "supported":
        strata = support_strata(sentences.rows)
        if strata is None:
            raise ValueError("strata of support need the rollout counts of every sentence")
        return permuted_in_strata(sentences.anchors, sentences.problems, strata, permutations, rng)
    if scheme == "shifted":
        return shifted(sentences.anchors, sentences.problems, permutations, rng)
    if scheme == "shuffled":
        whole = np.zeros(len(sentences.rows), dtype=np.int64)
        return permuted_in_strata(sentences.anchors, sentences.problems, whole, permutations, rng)
    labels = np.empty((len(sentences.rows), 1 + permutations), dtype=np.int8)
    labels[:, 0] = sentences.anchors
    for problem in np.unique(sentences.problems):
        rows = np.flatnonzero(sentences.problems == problem)
        width = max(MIN_WINDOW, round(len(rows) / WINDOWS))
        for start in range(0, len(rows), width):
            window = rows[start : start + width]
            order = rng.random((permutations, len(window))).argsort(axis=1)
            labels[window, 1:] = sentences.anchors[window][order].T
    return labels


def schemes_for(sentences: Sentences) -> tuple[str, ...]:
    """Schemes that mean something: windows need long traces, strata of support rollout counts."""
    long = np.median(np.unique(sentences.problems, return_counts=True)[1]) >= LEAST_STRATIFIED
    counted = support_strata(sentences.rows) is not None
    return ("shifted", *(["stratified"] if long else []), *(["supported"] if counted else []), "shuffled")


def refit_null(sentences: Sentences, folds: Folds, labels: np.ndarray) -> RefitNull:
    """Refit ridge at every penalty, the difference of means and LDA to every column of labels, out of fold.

    Macro average precision is over the problems of the first repeat that hold both classes. Work is in float32.

    Args:
        sentences: with their activations.
        folds: whose first repeat is used.
        labels: [n, n_columns] of ``permuted_labels``.
    """
    names: list[str] = []
    columns: list[np.ndarray] = []
    single = Folds(folds.scheme, folds.repeats[:1])
    mixed = mixed_problems(sentences.anchors, sentences.problems)
    with threadpool_limits(1):
        targets = within_problems(labels, sentences.problems).astype(np.float32)
        for block, vectors in sentences.blocks.items():
            ready = prepare(vectors, sentences.problems)
            family = probe_name("ridge", block, sentences.blocks)
            names += [f"{family}|{index}" for index in range(len(ridge.PENALTY_GRID))]
            names += [probe_name(other, block, sentences.blocks) for other in ("difference_of_means", "lda")]
            total = np.zeros((len(ridge.PENALTY_GRID) + 2, labels.shape[1]))
            for fold in folds_of(single, sentences.problems):
                spectrum = Spectrum.of(ready[fold.train])
                at = np.append(ridge.penalties(spectrum), [np.inf, ridge.ledoit_wolf(spectrum).penalty])
                new = spectrum.project(ready[fold.test]).astype(np.float32)
                scored = ridge.scores(spectrum, new, targets[fold.train], at)
                for problem in fold.held_out:
                    if problem in mixed:
                        inside = np.searchsorted(fold.test, mixed[problem])
                        total += _by_column(labels[mixed[problem]], scored[:, inside])
            columns.append(total.T / max(len(mixed), 1))
    scores = np.concatenate(columns, axis=1) if columns else np.zeros((labels.shape[1], 0))
    return RefitNull(tuple(names), scores)


def _by_column(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each (penalty, column): labels [n, n_columns], scores [n_penalties, n, n_columns]."""
    turned = np.ascontiguousarray(labels.T)
    return np.stack([problem_average_precision(turned, np.ascontiguousarray(one.T)) for one in scores])


def permutation_max_t(scores: np.ndarray) -> np.ndarray:
    """One-sided adjusted p-values of all hypotheses from the same permutations.

    Westfall and Young (1993), single step: each hypothesis is standardized by its own null mean and deviation, and
    its observed value is held against the largest of all in each permutation.

    Args:
        scores: [1 + n_permutations, n_hypotheses]; row 0 observed, higher is better.

    Returns:
        [n_hypotheses] float64 in [1 / (1 + n_permutations), 1].
    """
    deviation = scores.std(axis=0)
    standard = np.divide(scores - scores.mean(axis=0), deviation, out=np.zeros_like(scores), where=deviation > 0)
    largest = standard[1:].max(axis=1, initial=-np.inf)
    return (1 + (largest[:, None] >= standard[0]).sum(axis=0)) / len(scores)


def adjusted_by_probe(null: RefitNull) -> Mapping[str, float]:
    """Probe -> the least adjusted p-value over its penalties, which the correction already counts."""
    adjusted: dict[str, float] = {}
    for probe, p_value in zip(null.probes(), permutation_max_t(null.scores), strict=True):
        adjusted[probe] = min(adjusted.get(probe, 1.0), float(p_value))
    return adjusted
