"""Out-of-fold scores are out of fold: no fit has seen the labels on which it is scored.

A leak in the refits shows in the permuted labels. Permuted within problems, the labels of a held-out problem say
nothing that the other problems could know, so the mean average precision over permutations is exactly that of a random
order; a fit that has seen them does better. A leak in the scores shows where they can be computed by hand: the
difference of class means is a sum over training sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.vectors.probe_data import joined
from ta_checks.evidence import KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

STANDARD_ERRORS = 6.0
"""Largest distance of the mean over permutations from chance: one in a billion, for some fifteen probes per setting."""
AGREEMENT = 1e-6
"""Largest distance of a cosine from 1: rounding in float64 gives 1e-12, one problem more among 27 about 1e-3."""
BY_HAND, SHUFFLED = "difference_of_means", "shuffled/"


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored scores and permutations against the labelled sentences that were extracted, and their vectors."""
    from ta_assets.core.crossfit.out_of_fold import probe_name
    from ta_assets.core.crossfit.spectrum import prepare

    value, store, corpus = evidence.value, evidence.world.store, evidence.corpus
    wanted = frozenset(store.load("problem_ids", evidence.partition))
    data = joined(store.load("sentences", corpus), store.load("activations", corpus), wanted, store.base)
    problems = data.rows["problem_id"].to_numpy()
    return {
        "scores": value.scores,
        "nulls": value.nulls,
        "repeats": value.record["repeats"],
        "expected": data.rows,
        "features": {
            probe_name(BY_HAND, block, data.by_block): prepare(vectors, problems)
            for block, vectors in data.by_block.items()
        },
    }


def scores_out_of_fold(
    scores: pd.DataFrame,
    nulls: pd.DataFrame,
    repeats: Sequence[Sequence[Sequence[int]]],
    expected: pd.DataFrame,
    features: Mapping[str, np.ndarray],
) -> Verdict:
    """Fail when scores are of other sentences or labels, not finite, not of their folds, or beat permuted labels.

    Args:
        scores: problem_id, chunk_idx, anchor and ``name/repeat`` of every sentence.
        nulls: ``shuffled/hypothesis``: macro average precision; row 0 of the true labels, then one row per permutation.
        repeats: for every repeat, the problems that each fold holds out.
        expected: problem_id, chunk_idx and anchor of every sentence of the setting.
        features: name of every difference of class means -> [n_sentences, d] its features, centred within problems,
            rows by problem and sentence.
    """
    faults = _other_rows(scores, expected)
    columns = [name for name in scores.columns if "/" in name]
    faults += [f"{name} is not finite" for name in columns if not np.isfinite(scores[name].to_numpy()).all()]
    if not faults:
        problems = sorted(expected["problem_id"].unique().tolist())
        for number, folds in enumerate(repeats):
            held = Counter(problem for fold in folds for problem in fold)
            if sorted(held) != problems or max(held.values()) > 1:
                faults.append(f"repeat {number} does not hold every problem out once")
        faults += _leaks(scores, nulls)
        ordered = scores.sort_values(KEYS, ignore_index=True)
        faults += [fault for name, of in features.items() for fault in _not_by_hand(name, of, ordered, repeats)]
    message = f"{len(columns)} columns of scores, {len(nulls) - 1} permutations, {len(faults)} faults"
    return Verdict.no_faults(faults, n=len(columns), message=message)


ROW = Invariant(
    "scores_out_of_fold",
    "cv_scores",
    read,
    scores_out_of_fold,
    "Out-of-fold scores are of other sentences, or permuted labels can be predicted: a fold trains on what it is "
    "scored on. Nothing in the comparison can be believed. Materialize cv_scores; if it stays red, the folds are "
    "wrong.",
)


def _other_rows(scores: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    ordered = (table.sort_values(KEYS) for table in (scores, expected))
    found, wanted = (table[[*KEYS, "anchor"]].to_numpy() for table in ordered)
    if found.shape != wanted.shape or not np.array_equal(found[:, :2], wanted[:, :2]):
        return [f"{len(found)} scored sentences are not the {len(wanted)} of the setting"]
    wrong = int((found[:, 2] != wanted[:, 2]).sum())
    return [f"{wrong} sentences were scored with another label"] if wrong else []


def _leaks(scores: pd.DataFrame, nulls: pd.DataFrame) -> list[str]:
    from ta_assets.core.statistics.ranking import mixed_problems, random_average_precision

    labels, problems = scores["anchor"].to_numpy(), scores["problem_id"].to_numpy()
    members = mixed_problems(labels, problems).values()
    if not members:
        return []
    chance = float(np.mean([random_average_precision(labels[rows]) for rows in members]))
    faults = []
    for name in (name for name in nulls.columns if name.startswith(SHUFFLED)):
        permuted = nulls[name].to_numpy(np.float64)[1:]
        bound = STANDARD_ERRORS * permuted.std(ddof=1) / np.sqrt(len(permuted))
        if not abs(permuted.mean() - chance) <= bound:
            faults.append(f"{name}: permuted labels reach {permuted.mean():.4f}, chance is {chance:.4f} ± {bound:.4f}")
    return faults


def _not_by_hand(
    name: str, features: np.ndarray, scores: pd.DataFrame, repeats: Sequence[Sequence[Sequence[int]]]
) -> list[str]:
    """A fault when some problems' scores do not follow from the sentences of the other folds."""
    problems = scores["problem_id"].to_numpy()
    target = _centred(scores["anchor"].to_numpy(np.float64), problems)
    loads = {one: features[problems == one].T @ target[problems == one] for one in np.unique(problems)}
    total = np.sum(list(loads.values()), axis=0)
    wrong = []
    for repeat, folds in enumerate(repeats):
        stored = _centred(scores[f"{name}/{repeat}"].to_numpy(np.float64), problems)
        for fold in folds:
            direction = total - np.sum([loads[one] for one in fold], axis=0)
            wrong += [
                one for one in fold if not _parallel(stored[problems == one], features[problems == one] @ direction)
            ]
    return [f"{name}: scores of {len(wrong)} problems, such as {wrong[0]}, know more than their folds"] if wrong else []


def _centred(values: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """[n_sentences] values less the mean of their problem."""
    centred = values.copy()
    for problem in np.unique(problems):
        centred[problems == problem] -= values[problems == problem].mean()
    return centred


def _parallel(stored: np.ndarray, expected: np.ndarray) -> bool:
    expected = expected - expected.mean()
    length = float(np.linalg.norm(stored) * np.linalg.norm(expected))
    return length == 0 or float(stored @ expected) >= (1 - AGREEMENT) * length
