"""The labels of every problem follow from its own stored fractions, in whole rollouts.

With n answered rollouts of a sentence, accuracy and different fraction are whole numbers over n. The counterfactual
importance plus the next sentence's accuracy is the share of right answers among the rollouts with another sentence, a
whole number over their number; the resampling importance is the next accuracy less the sentence's own (Bogdan et al.
2025, section 3, in the form in which the dataset stores it). So numbers that are shifted, in percent, of another
campaign or filled up with zeros betray themselves, also where no rollouts are at hand. Stays out: the rollouts
themselves (``labels_recomputable``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.data.rollouts_counted import MOST, rollouts_shown
from ta_checks.verdict import Verdict

ACCURACY, DIFFERENT = "accuracy", "different_trajectories_fraction"
COUNTERFACTUAL, RESAMPLING = "counterfactual_importance_accuracy", "resampling_importance_accuracy"
ROUNDING = 1e-9
"""Largest distance of a share from a whole number over its count: float64."""
MAX_SENTENCES, MAX_SHARE, MAX_SHARE_OF_CORPUS = 2, 0.05, 0.01
"""Sentences of one problem, and shares of them and of a corpus, that may not follow: 5 of 4,510 of the public data do
not, at most 2 of a problem, where the two fractions were counted over other rollouts. Shifting breaks half to two
thirds of the sentences."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Labels and fractions of every sentence of every problem of the corpus, as the dataset holds them."""
    study, wanted = evidence.study, evidence.problems_of_corpus()
    loaded = evidence.world.rollouts.read_problems(evidence.world.source(evidence.partition), wanted)
    # another is skipped, which another check says
    problems = [(problem.problem_id, problem.chunks) for _, problem in loaded if isinstance(problem, Problem)]
    # where sentences say their counts, they need not have the same number
    shown = None if study.generation else rollouts_shown(chunks for _, chunks in problems)[0]
    most = study.labels.rollouts or shown or MOST
    return {"problems": problems, "most_rollouts": most}


def labels_follow_fractions(problems: Iterable[tuple[int, Sequence[Mapping[str, Any]]]], most_rollouts: int) -> Verdict:
    """Fail on a problem more than a few of whose labels no whole number of rollouts can give.

    Problems without fractions cannot be judged; the message says how many.

    Args:
        problems: id, and fields of each sentence in order.
        most_rollouts: of a sentence.
    """
    faults, silent, wrong, n = [], 0, 0, 0
    for problem_id, chunks in problems:
        if not _tells(chunks):
            silent += 1
            continue
        bad = [index for index in range(len(chunks) - 1) if not _follows(chunks, index, most_rollouts)]
        n, wrong = n + len(chunks) - 1, wrong + len(bad)
        if len(bad) > max(MAX_SENTENCES, MAX_SHARE * len(chunks)):
            said = f"labels of {len(bad)} of {len(chunks) - 1} sentences, such as {bad[0]}"
            faults.append(f"problem {problem_id}: {said}, are not those of its own fractions")
    if wrong > max(MAX_SENTENCES, MAX_SHARE_OF_CORPUS * n) and not faults:
        faults.append(f"labels of {wrong} of {n} sentences, over many problems, are not those of their fractions")
    message = f"{n - wrong} of {n} labels follow from the fractions beside them"
    message += f"; {silent} problems hold no fractions, and theirs were not looked at" if silent else ""
    return Verdict.no_faults(faults, n=n, unit="problems", message=message, details={"not_following": wrong})


ROW = Invariant(
    "labels_follow_fractions",
    "sentences",
    read,
    labels_follow_fractions,
    "The labels of a problem cannot come from the accuracies and fractions that the dataset holds beside them: they "
    "are shifted, scaled, of another campaign, or missing ones were written as 0. Get the data of these problems "
    "again, or leave them out.",
    parameters=lambda study: {"rollouts": study.labels.rollouts},
    applies=lambda study: study.labels.field in (COUNTERFACTUAL, RESAMPLING),
)


def _tells(chunks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any sentence has all four numbers."""
    fields = (ACCURACY, DIFFERENT, COUNTERFACTUAL, RESAMPLING)
    return any(all(chunk.get(name) is not None for name in fields) for chunk in chunks)


def _follows(chunks: Sequence[Mapping[str, Any]], index: int, most: int) -> bool:
    own, following = chunks[index], chunks[index + 1]
    values = [own.get(name) for name in (ACCURACY, DIFFERENT, COUNTERFACTUAL, RESAMPLING)] + [following.get(ACCURACY)]
    if any(value is None for value in values):
        return False
    accuracy, different, counterfactual, resampling, after = (float(value) for value in values)  # type: ignore[arg-type]
    # of a sentence behind which a folder is left out the dataset's tool writes no resampling importance
    is_next = following.get("chunk_idx", index + 1) == own.get("chunk_idx", index) + 1
    if abs(resampling - (after - accuracy if is_next else 0)) > ROUNDING:
        # a group without rollouts has no accuracy: 0 is written for it and for what follows from it
        return resampling == counterfactual == 0 and 0 in (accuracy, after)
    counts = np.arange(1, most + 1)
    whole = counts[_is_whole(accuracy * counts) & _is_whole(different * counts)]
    chosen, right = np.rint(different * whole), np.rint(accuracy * whole)
    hits = (counterfactual + after) * chosen
    fits = _is_whole(hits) & (np.rint(hits) <= np.minimum(chosen, right))
    fits &= np.rint(hits) >= np.maximum(0, right - (whole - chosen))
    return bool(np.where(chosen == 0, counterfactual == 0, fits).any())


def _is_whole(values: np.ndarray) -> np.ndarray:
    return np.abs(values - np.rint(values)) <= ROUNDING * np.maximum(1, np.abs(values)) * 100
