"""Out-of-fold scores of every baseline and probe: whatever is tuned is tuned inside the training folds, by problem.

Belongs here: what is fitted in a fold, and on what. Stays out: single fits (``one_fit``), permuted labels (``nulls``),
intervals and verdicts (``compare``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit.folds import Folds
from ta_assets.core.crossfit.one_fit import BANDS, Fit, Known, put_banded
from ta_assets.core.crossfit.out_of_fold import OutOfFold, Sentences, block_of, folds_of, probe_name
from ta_assets.core.crossfit.spectrum import prepare, within_problems
from ta_assets.core.probes.feature_sets import UNSCALED, baseline_features, position_splines
from ta_assets.core.probes.known import UNSCALED_BLOCKS, known_blocks, support_transforms
from ta_assets.core.statistics.true_importance import Posterior, anchor_chances

UNTRAINED = ("order", "label_support")
"""``order``: earlier is more important. ``label_support``: fewer dissimilar rollouts, which is how noisy the label is;
only where the data carries rollout counts."""
ALL_KNOWN = "all_known"
"""Everything that is known of a sentence without the language model, one penalty a block (``probes.known``)."""
TRAINED_BASELINES = (
    "sentence_length",
    "position_linear",
    "position_spline",
    "function_tags",
    "text_tfidf",
    "text_normalised",
    "text_context",
    ALL_KNOWN,
)
TRAINED_SUPPORT = "support_trained"
"""Ridge on functions of the number of dissimilar rollouts: what a lead may owe to knowing which sentences cannot be
anchors. A diagnosis and no rival: the number comes from the campaign that made the labels."""
WITH_ACTIVATIONS = "known_and_activations"
"""``ALL_KNOWN`` with activations beside it: its lead is what activations add."""
FAMILIES = ("ridge", "logistic", "difference_of_means", "lda", "banded_ridge")
ON_POSTERIOR = ("ridge_anchor_chance", "ridge_true_size")
"""Ridge probes that are trained on what the rollouts say of a sentence, not on its label: the chance to be one of the
most important ones, and the mean size of its importance. Only where the rollouts of every sentence are known."""
DRAWS = 100
"""Draws of the true importances behind the chances that are trained on."""


def cross_fit(sentences: Sentences, folds: Folds) -> OutOfFold:
    """Score every sentence by fits to the other folds' problems, with one BLAS thread.

    Ridge penalties (and the band of the banded ridge, and the block of ``ridge@best``) minimize the squared error of
    leaving out each training problem; the logistic penalty minimizes the log loss over five inner folds of problems.

    Raises:
        ValueError: a feature is not finite.
    """
    found = OutOfFold(sentences, len(folds.repeats))
    target = within_problems(sentences.anchors, sentences.problems)
    with threadpool_limits(1):
        for name, scores in untrained_scores(sentences.rows).items():
            found.scores[name] = np.tile(scores, (len(folds.repeats), 1))
        blocks = known_blocks(sentences.rows)
        known = {
            name: prepare(block, sentences.problems, scaled=name not in UNSCALED_BLOCKS)
            for name, block in blocks.items()
        }
        for name, ready in _single_features(sentences, known).items():
            found.expect(name)
            for fold in folds_of(folds, sentences.problems):
                Fit.of(ready, fold, target, sentences).put_tuned_ridge(found, name)
        vectors = {block: prepare(one, sentences.problems) for block, one in sentences.blocks.items()}
        _on_posterior(found, vectors, folds, sentences)
        for block, ready in vectors.items():
            _probes(found, ready, {family: probe_name(family, block, vectors) for family in FAMILIES}, folds, sentences)
        beside = {probe_name(WITH_ACTIVATIONS, block, vectors): ready for block, ready in vectors.items()}
        found.expect(ALL_KNOWN, *beside)
        for fold in folds_of(folds, sentences.problems):
            Known(ALL_KNOWN, known).put(found, beside, fold, target, sentences)
        if len(vectors) > 1:
            _best_block(found, [probe_name("ridge", block, vectors) for block in vectors], folds, sentences)
    return found


def untrained_scores(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Scores that need no fit: [n] float64 each."""
    scores = {"order": -rows["chunk_idx"].to_numpy(np.float64)}
    if "n_different" in rows and bool(rows["n_different"].notna().all()):
        scores["label_support"] = -rows["n_different"].to_numpy(np.float64)
    return scores


def _single_features(sentences: Sentences, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name of a baseline on one set of features -> [n, d] prepared."""
    problems = sentences.problems
    found = {
        name: prepare(features, problems, scaled=name not in UNSCALED)
        for name, features in baseline_features(sentences.rows).items()
    }
    found |= {name: known[name] for name in TRAINED_BASELINES if name in known}
    support = support_transforms(sentences.rows)
    return found if support is None else found | {TRAINED_SUPPORT: prepare(support, problems)}


def _probes(found: OutOfFold, ready: np.ndarray, names: Mapping[str, str], folds: Folds, sentences: Sentences) -> None:
    """Every family of probes on one block of activations."""
    found.expect(*names.values())
    target = within_problems(sentences.anchors, sentences.problems)
    splines = prepare(position_splines(sentences.rows), sentences.problems)
    beside = splines * _same_length(ready, splines)
    bands = [np.hstack([ready, np.sqrt(band) * beside]) for band in BANDS]
    for fold in folds_of(folds, sentences.problems):
        fit = Fit.of(ready, fold, target, sentences)
        fit.put_tuned_ridge(found, names["ridge"])
        fit.put_directions(found, names)
        fit.put_logistic(found, names["logistic"])
        put_banded(found, names["banded_ridge"], [Fit.of(band, fold, target, sentences) for band in bands])


def _on_posterior(found: OutOfFold, vectors: Mapping[int, np.ndarray], folds: Folds, sentences: Sentences) -> None:
    """``ON_POSTERIOR`` on every block, with a posterior of the training problems alone in each fold."""
    if support_transforms(sentences.rows) is None:
        return
    names = {block: [probe_name(family, block, vectors) for family in ON_POSTERIOR] for block in vectors}
    found.expect(*(name for own in names.values() for name in own))
    whole = Posterior.of(sentences.rows)
    for fold in folds_of(folds, sentences.problems):
        own, groups = whole.among(fold.train), sentences.problems[fold.train]
        true, _ = own.draws(np.random.default_rng(0), DRAWS)
        targets = (anchor_chances(true, sentences.anchors[fold.train], groups), own.mean_size())
        for index, wanted in enumerate(targets):
            target = np.zeros(len(sentences.rows))
            target[fold.train] = within_problems(wanted, groups)
            for block, ready in vectors.items():
                Fit.of(ready, fold, target, sentences).put_tuned_ridge(found, names[block][index])


def _best_block(found: OutOfFold, names: list[str], folds: Folds, sentences: Sentences) -> None:
    """In each fold the block whose ridge has the least error left out within the fold."""
    best_name = "ridge@best"
    found.expect(best_name)
    for index, fold in enumerate(folds_of(folds, sentences.problems)):
        chosen = min(names, key=lambda name: found.choices[name][index]["left_out_error"])
        found.copy_fold(best_name, chosen, fold, {"block": block_of(chosen)})


def _same_length(activations: np.ndarray, splines: np.ndarray) -> float:
    """Scale that gives the splines' rows the mean length of the activations' rows."""
    lengths = np.square(splines).sum()
    return float(np.sqrt(np.square(activations).sum() / lengths)) if lengths > 0 else 1.0
