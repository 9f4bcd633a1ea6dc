"""At least one probe ranks the test sentences better than probes that were fitted on shuffled labels.

Belongs here: permutation p-values. Stays out: shuffling and fitting (``shuffled_labels``), effect sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ta_checks.evidence import FOLD, KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.inference import holm
from ta_checks.rules.levels import ALPHA
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.shuffled_labels import (
    agreement_by_problem,
    measure_of,
    obstacle,
    shift_within_problems,
    shuffled_probes,
)
from ta_checks.verdict import Verdict

BASELINE_SUFFIX = "_baseline"
"""A baseline sees no activations; that it beats shuffled probes says nothing about them, so it cannot pass the rule."""
WITH_POSITION = "activations_plus_position"
"""Nor can this one, which position alone may carry over the bar."""


@dataclass(frozen=True)
class ScoredVectors:
    """The sentences of one split or fold, and the scores of the probes that were fitted on it.

    Raises:
        ValueError: scores have another length.
    """

    data: LabelledVectors
    scores: Mapping[str, np.ndarray]
    """Name -> [n_sentences] float aligned to ``data``; only test rows are read, others may be NaN."""

    def __post_init__(self) -> None:
        wrong = [name for name, values in self.scores.items() if values.shape != self.data.anchors.shape]
        if wrong:
            raise ValueError(f"scores of {', '.join(wrong)} are not one per sentence")


def read(evidence: Evidence) -> dict[str, Any]:
    """The cell's stored test scores against probes fitted on shuffled labels."""
    table = evidence.value.predictions
    folds = []
    for fold, data in evidence.labelled_vectors().items():
        predictions = table if fold is None else table[table[FOLD] == fold]
        aligned = evidence.fold_rows[fold].rows[KEYS].merge(predictions, on=KEYS, how="left")
        names = [name for name in predictions.columns if name.startswith("score_")]
        scores = {name.removeprefix("score_"): aligned[name].to_numpy(np.float64) for name in names}
        folds.append(ScoredVectors(data, scores))
    return {
        "folds": folds,
        "seed": evidence.cell.seed,
        "permutations": evidence.study.statistics.permutations,
    }


def beats_shuffled_labels(folds: Sequence[ScoredVectors], *, seed: int, permutations: int = 200) -> Verdict:
    """Fail when no probe's mean AUROC within the test problems stands out from the shuffled ones.

    Where the target is continuous, half of one plus the rank correlation takes the place of AUROC.

    The p-value of a probe is (1 + number of shuffled probes at least as good) / (1 + permutations) (Phipson and Smyth
    2010), adjusted over the probes by Holm's method. All probes meet the same shuffled ridge probes on the activation
    vectors, whatever their own form: refitting an MLP 200 times would cost hours, and what is asked is whether labels
    matter, not which probe is better. Baselines, and activations beside the position, are reported in the details only.
    Labels are shifted around their traces and not shuffled: where labels come in runs, and vectors of neighbours are
    alike, probes of shuffled labels differ less than chance does.

    Args:
        folds: the cell's split, or all its folds: the mean is over the test problems of all of them, for the real and
            for the shuffled probes alike. Folds hold the same sentences; those in which nothing can be ranked are left
            out.
        seed: seed of the shifts.
        permutations: number of shifts; the smallest p-value is 1 / (1 + permutations).

    Returns:
        observed is the smallest adjusted p-value; offenders are the probes above the level.

    Raises:
        ValueError: the folds have other sentences, or a vector is not finite.
    """
    names = list(dict.fromkeys(name for fold in folds for name in fold.scores))
    probes = [name for name in names if not name.endswith(BASELINE_SUFFIX) and name != WITH_POSITION]
    if any(not np.array_equal(fold.data.problems, folds[0].data.problems) for fold in folds):
        raise ValueError("the folds do not have the same sentences")
    usable = [fold for fold in folds if obstacle(fold.data) is None]
    if not usable:
        return Verdict.skipped(obstacle(folds[0].data) or "there is no fold")
    if not probes:
        return Verdict.skipped("there is no probe on activations")
    null = _null(usable, np.random.default_rng(seed), permutations)
    aurocs = {name: _mean_agreement(usable, name) for name in names}
    # a score that is not finite beats nothing
    p_values = {
        name: (1 + np.count_nonzero(null >= value)) / (1 + len(null)) if np.isfinite(value) else 1.0
        for name, value in aurocs.items()
    }
    adjusted = holm({name: p_values[name] for name in probes})
    best = min(probes, key=lambda name: (adjusted[name], -np.nan_to_num(aurocs[name])))
    measure = measure_of(usable[0].data)
    lines = [f"{name}: adjusted p {p:.3g}, {measure} {aurocs[name]:.3f}" for name, p in adjusted.items() if p > ALPHA]
    return Verdict.judge(
        adjusted[best],
        "<=",
        ALPHA,
        unit="adjusted p",
        n=permutations,
        offenders=lines,
        message=f"{len(probes) - len(lines)} of {len(probes)} probes beat shuffled labels; "
        f"best is {best} with {measure} {aurocs[best]:.3f}, shuffled {null.mean():.3f} ± {null.std():.3f}",
        details={
            "auroc" if usable[0].data.importance is None else "agreement": aurocs,
            "p": p_values,
            "adjusted_p": adjusted,
            "null_mean": null.mean(),
            "null_sd": null.std(),
            **({"folds": len(usable)} if len(folds) > 1 else {}),
        },
    )


ROW = Invariant(
    "beats_shuffled_labels",
    "probe_metrics",
    read,
    beats_shuffled_labels,
    "No probe is distinguishable from probes fitted on shuffled labels. Not an error of the pipeline: there is "
    "too little signal, or there are too few problems, to claim anything.",
    severity="WARN",
    parameters=lambda study: {"permutations": study.statistics.permutations},
)


def _null(folds: Sequence[ScoredVectors], rng: np.random.Generator, permutations: int) -> np.ndarray:
    """[permutations] float64: mean agreement over the test problems of all folds.

    Folds share their problems, so each shift is one of the whole setting, with which all folds are fitted and graded:
    shifted fold by fold, the mean would vary less than that of real probes does.
    """
    if len(folds) == 1:
        return shuffled_probes(folds[0].data, rng, permutations, permute=shift_within_problems).aurocs
    whole = replace(folds[0].data, train=np.ones(len(folds[0].data.train), dtype=bool))
    labels = shift_within_problems(whole, rng, permutations)
    probes = [shuffled_probes(fold.data, rng, permutations, permute=lambda *_: labels) for fold in folds]
    return np.average([one.aurocs for one in probes], axis=0, weights=[one.n_test_problems for one in probes])


def _mean_agreement(folds: Sequence[ScoredVectors], name: str) -> float:
    """Mean over the test problems of all folds; NaN when a score is missing or not finite."""
    areas = []
    for fold in folds:
        test, values = fold.data.test, fold.scores.get(name)
        if values is None or not np.isfinite(values[test]).all():
            return float("nan")
        areas.append(agreement_by_problem(fold.data, fold.data.target[test], values[test]))
    return float(np.nanmean(np.concatenate(areas)))
