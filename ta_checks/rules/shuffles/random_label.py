"""Probes fitted on shuffled labels know nothing about the test problems.

What it can see: that rows of the test are trained on. It shuffles labels itself and fits a probe of its own, so neither
a leak in the study's probes nor twins among the problems show in it.

Belongs here: this check and its bounds. Stays out: shuffling and fitting (``shuffled_labels``).

A bound of prevalence + 0.1 on the average precision of one such probe, as the predecessor had it, lies five to eight
standard deviations away and cannot be exceeded. Average precision is no measure here at any bound: a score and its
reverse do not average to the prevalence. AUROC within a problem does average to 1/2, and so does half of one plus the
rank correlation, which takes its place where the target is continuous.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ta_assets.core.options import SEEDS
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.shuffles.folds import own_folds, worst
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.shuffled_labels import (
    FitAndScore,
    Permute,
    ShuffledProbes,
    agreement_z,
    measure_of,
    obstacle,
    permute_within_problems,
    ridge_fit_and_score,
    shuffled_probes,
    unchanged_share,
)
from ta_checks.verdict import Verdict

CHANCE = 0.5
SPREADS = 0.35
"""How far the mean may lie from chance, in standard deviations of a single shuffled probe: 5 standard errors of 200
shuffles. It does not shrink with more shuffles, because a small true bias stays: labels that are anchors in a tenth of
the cases are skewed, so a healthy probe outranks with a probability a little off 1/2. Over 4,000 shuffles the bias was
at most 0.05 of that standard deviation (100 synthetic settings, five kinds) and 0.02 on SmolLM2 vectors."""
STANDARD_ERRORS = 5.0
"""The same bound for fewer shuffles, and the bound on how far shuffled labels may agree with true ones."""
PREDECESSOR_MARGIN = 0.1


def read(evidence: Evidence) -> dict[str, Any]:
    """The cell's own vectors, labels and split, or its share of the setting's folds; its seed shuffles."""
    data, seed = evidence.labelled_vectors(), evidence.cell.seed
    return {
        "folds": {fold: data[fold] for fold in own_folds(list(data), seed, SEEDS)},
        "seed": seed,
        "permutations": evidence.study.statistics.permutations,
    }


def random_label_of_folds(folds: Mapping[int | None, LabelledVectors], *, seed: int, permutations: int) -> Verdict:
    """The worst verdict of ``random_label`` over folds; a single split is the one entry under None."""
    return worst({fold: random_label(data, seed=seed, permutations=permutations) for fold, data in folds.items()})


def random_label(
    data: LabelledVectors,
    *,
    seed: int,
    permutations: int = 200,
    fit_and_score: FitAndScore = ridge_fit_and_score,
    permute: Permute = permute_within_problems,
) -> Verdict:
    """Fail when shuffled labels predict the test problems, were not shuffled, or test problems are trained on.

    ``observed`` is the distance from 1/2 of the mean agreement (AUROC, or half of one plus the rank correlation where
    the target is continuous; over test problems, then over shuffles); its bound is
    ``SPREADS`` of the shuffles' own standard deviation. When that holds but labels agree with the true ones beyond
    chance, or a problem is in both parts, the failing figure is reported in its place.

    Args:
        data: the sentences of the cell.
        seed: seed of the shuffles.
        permutations: number of shuffles.
        fit_and_score: x_train [n, d], y_train [n, P], x_test [m, d] -> [m, P]; replaced by tests that plant faults.
        permute: data, generator, P -> labels [n_sentences, P]; likewise.

    Raises:
        ValueError: a vector is not finite.
    """
    reason = obstacle(data)
    if reason:
        return Verdict.skipped(reason)
    rng = np.random.default_rng(seed)
    probes = shuffled_probes(data, rng, permutations, permute=permute, fit_and_score=fit_and_score)
    mean, spread = float(probes.aurocs.mean()), float(probes.aurocs.std(ddof=1))
    agreement = agreement_z(data, probes.labels)
    details = {
        "mean_auroc" if data.importance is None else "mean_agreement": mean,
        "spread_of_one_shuffle": spread,
        "standard_error": spread / np.sqrt(permutations),
        "test_problems": probes.n_test_problems,
        "agreement_with_true_labels_z": agreement,
        "unchanged_share": unchanged_share(data, probes.labels),
    }
    if data.importance is None:  # the predecessor had no such check for a continuous target
        details["predecessor_rule"] = _predecessor_rule(data, probes)
    if spread == 0 and mean == CHANCE:
        return Verdict.skipped("every shuffled probe scores all sentences alike: nothing was tested", details)
    verdicts = [
        _near_chance(measure_of(data), (mean, spread), permutations, details),
        _shuffled(agreement, permutations, details),
        _apart(data, details),
    ]
    return next((verdict for verdict in verdicts if not verdict.passed), verdicts[0])


ROW = Invariant(
    "random_label",
    "probe_metrics",
    read,
    random_label_of_folds,
    "A ridge probe of the check's own, fitted on labels that it shuffled itself, scores better or worse than chance on "
    "the test problems: the split lets test sentences into the training, or labels were not shuffled. No score of this "
    "cell can be believed. It sees the split and the vectors, not the study's probes; problems that lie twice under "
    "two ids it cannot see (problems_are_distinct does).",
    parameters=lambda study: {"permutations": study.statistics.permutations},
)


def _near_chance(measure: str, found: tuple[float, float], permutations: int, details: dict[str, Any]) -> Verdict:
    mean, spread = found
    limit = spread * max(SPREADS, STANDARD_ERRORS / np.sqrt(permutations))
    message = f"probes on shuffled labels have a mean {measure} of {mean:.4f}, chance is {CHANCE}"
    if abs(mean - CHANCE) > limit:
        message += ": labels leak into the test, or were not shuffled"
    offenders = [f"mean {measure} {mean:.4f}"] if abs(mean - CHANCE) > limit else []
    return Verdict.judge(
        abs(mean - CHANCE),
        "<=",
        limit,
        unit=f"{measure} from 0.5",
        n=permutations,
        offenders=offenders,
        message=message,
        details=details,
    )


def _shuffled(agreement: float, permutations: int, details: dict[str, Any]) -> Verdict:
    return Verdict.judge(
        abs(agreement),
        "<=",
        STANDARD_ERRORS,
        unit="standard errors",
        n=permutations,
        offenders=[f"{details['unchanged_share']:.0%} of the shuffles changed nothing"],
        message=f"shuffled labels agree with the true ones by {agreement:+.1f} standard errors: they were not shuffled",
        details=details,
    )


def _apart(data: LabelledVectors, details: dict[str, Any]) -> Verdict:
    both = np.intersect1d(data.problems[data.train], data.problems[data.test])
    return Verdict.no_faults(
        [f"problem {problem}" for problem in both],
        n=len(np.unique(data.problems)),
        unit="problems",
        message=f"{len(both)} problems are both in train and in test",
        details=details,
    )


def _predecessor_rule(data: LabelledVectors, probes: ShuffledProbes) -> dict[str, Any]:
    """The predecessor's check: its linear probe on the first shuffle, test PR-AUC against prevalence + 0.1."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import auc, precision_recall_curve
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1_000))
    with threadpool_limits(1):
        model.fit(data.vectors[data.train], probes.labels[data.train, 0])
        scores = model.decision_function(data.vectors[data.test])
    truth = data.anchors[data.test]
    precision, recall, _ = precision_recall_curve(truth, scores)
    observed, limit = float(auc(recall, precision)), float(truth.mean()) + PREDECESSOR_MARGIN
    return {"pr_auc": observed, "limit": limit, "would_pass": observed <= limit}
