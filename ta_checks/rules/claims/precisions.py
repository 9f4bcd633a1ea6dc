"""Average precision of out-of-fold scores, problem by problem, and leads of one score over another.

By code of its own, which is slow and plain: the comparison is held against it. Belongs here: what several checks of a
comparison count, from scores and labels and not from the comparison. Stays out: any judgement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ta_checks.evidence import KEYS, Evidence
from ta_checks.rules.inference import shared_fits_factor
from ta_checks.rules.levels import ON_ACTIVATIONS

CHANCE = "chance"
"""Name of a random order in place of a score."""


def score_names(scores: pd.DataFrame) -> list[str]:
    """Names of the scores of a table with columns ``name/repeat``, in its order."""
    return list(dict.fromkeys(column.rpartition("/")[0] for column in scores.columns if "/" in column))


def probes(evidence: Evidence) -> list[str]:
    """Names of the scores of a comparison that read activations."""
    return [row["name"] for row in evidence.value["rows"] if row["kind"] in ON_ACTIVATIONS]


def mixed_problems(evidence: Evidence) -> int:
    """Number of scored problems of the setting that hold both classes."""
    rows = evidence.sentences().merge(evidence.cross_fitted.scores[KEYS], on=KEYS)
    return int((rows.groupby("problem_id")["anchor"].nunique() > 1).sum())


def factors(evidence: Evidence, rivals: Mapping[str, str]) -> dict[str, float]:
    """Name -> factor on the standard error of its lead over its rival, for the fits that problems share.

    The expected factor is that of Nadeau and Bengio (2003, section 4) for test sets of one problem.

    Args:
        evidence: of a comparison.
        rivals: score -> the score that it is held against.
    """
    fitted, n = evidence.cross_fitted, mixed_problems(evidence)
    expected = math.sqrt(1 + n / fitted.record["fewest_train"])
    stored = fitted.without[fitted.without["grading"] == "every"]
    found = {}
    for name, rival in rivals.items():
        trained = [one for one in (name, rival) if one in stored]
        lead = precision_of(fitted.scores, name) - precision_of(fitted.scores, rival)
        changed = np.zeros((n, n))
        for one in trained:
            own = stored[one].to_numpy(np.float64).reshape(n, n)
            changed += (1 if one == name else -1) * (precision_of(fitted.scores, one)[:, None] - own)
        np.fill_diagonal(changed, 0.0)
        found[name] = shared_fits_factor(lead, changed, expected) if trained else 1.0
    return found


def leads(evidence: Evidence, rivals: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Name -> [n_problems] lead in average precision over its rival, averaged over repeats.

    Args:
        evidence: of a comparison.
        rivals: score -> the score that it is held against.
    """
    scores: pd.DataFrame = evidence.cross_fitted.scores
    return {name: precision_of(scores, name) - precision_of(scores, rival) for name, rival in rivals.items()}


def precision_of(scores: pd.DataFrame, name: str) -> np.ndarray:
    """[n_problems] average precision of a score within each problem of both classes, averaged over repeats.

    Args:
        scores: out-of-fold scores, see ``CrossFitted``.
        name: the score, or ``chance`` for a random order.
    """
    columns = [column for column in scores.columns if column.rpartition("/")[0] == name]
    precisions = []
    for _, rows in scores.groupby("problem_id", sort=True):
        labels = rows["anchor"].tolist()
        if 0 < sum(labels) < len(labels):
            repeats = [[0.0] * len(labels)] if name == CHANCE else [rows[column].tolist() for column in columns]
            precisions.append(np.mean([_precision(labels, repeat) for repeat in repeats]))
    return np.array(precisions)


def _precision(labels: list[int], scores: list[float]) -> float:
    """Mean over the anchors of the expected precision at their place, tied scores in random order."""
    blocks: dict[float, list[int]] = {}
    for label, score in zip(labels, scores, strict=True):
        blocks.setdefault(score, []).append(label)
    total, above, hits = 0.0, 0, 0
    for score in sorted(blocks, reverse=True):
        length, inside = len(blocks[score]), sum(blocks[score])
        for place in range(1, length + 1):
            others = (place - 1) * (inside - 1) / (length - 1) if length > 1 else 0.0
            total += inside / length * (hits + 1 + others) / (above + place)
        above, hits = above + length, hits + inside
    return total / hits
