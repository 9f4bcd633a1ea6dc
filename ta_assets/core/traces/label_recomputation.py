"""Labels of a trace computed again from its rollouts, by the formula with which the dataset stores them.

Belongs here: rollouts and what counts as another sentence -> numbers per sentence, numpy only. Stays out: the label
rule (``labels``), embedding models and files (``ta_resources``), the comparison with what is stored (``ta_checks``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COUNTERFACTUAL = "counterfactual_importance_accuracy"
RESAMPLING = "resampling_importance_accuracy"
ACCURACY = "accuracy"
DIFFERENT = "different_trajectories_fraction"
RECOMPUTABLE = (COUNTERFACTUAL, RESAMPLING, ACCURACY, DIFFERENT)
"""Fields of ``chunks_labeled.json`` that rollouts decide."""


@dataclass(frozen=True)
class Rollout:
    """One continuation of a trace that was sampled anew from one of its sentences, and that reached an answer."""

    removed: str
    """The sentence of the trace that it replaces."""
    resampled: str
    """The sentence that it has in that place."""
    is_correct: bool | None
    """None where the dataset's own tool could not tell: in no accuracy, but in the share of dissimilar sentences."""


def recompute_labels(
    rollouts: Sequence[Sequence[Rollout]], different: Sequence[np.ndarray], folders: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """The fields of ``RECOMPUTABLE`` for every sentence of a trace.

    With a(i) the accuracy of the rollouts of sentence i and d(i) that of those whose sentence differs from the removed
    one: counterfactual = d(i) - a(i+1), positive when the sentence lowers accuracy; resampling = a(i+1) - a(i), of
    opposite sense. Zero where a group is empty and for the last sentence, which has no next one. The *next* group is
    not filtered: the predecessor's check filtered it too, and so checked another label than the one it trained on.
    Source: Bogdan et al. 2025, "Thought Anchors", section 3, in the form in which the dataset stores it.

    Args:
        rollouts: of each sentence, in order, those that reached an answer.
        different: for each sentence [n_rollouts] bool, whether the rollout has another sentence in its place.
        folders: number of each sentence's folder of rollouts, increasing; without gaps by default. Where one is left
            out, the dataset's next group is still the next sentence's for the counterfactual label, but the resampling
            label is zero.

    Returns:
        Field name -> [n_sentences] float64. An accuracy without rollouts is 0, as is a fraction of none.

    Raises:
        ValueError: the two do not fit together.
    """
    sizes, flags = [len(group) for group in rollouts], [len(mask) for mask in different]
    if sizes != flags:
        raise ValueError(f"{sizes} rollouts a sentence, but {flags} flags")
    # NaN where nobody can tell whether the answer is right
    right = [
        np.array([np.nan if one.is_correct is None else one.is_correct for one in group], dtype=np.float64)
        for group in rollouts
    ]
    chosen = [flags[np.asarray(mask, dtype=bool)] for flags, mask in zip(right, different, strict=True)]
    every, other = _accuracies(right), _accuracies(chosen)
    following = np.append(every[1:], np.nan)
    adjacent = np.diff([*(range(len(rollouts)) if folders is None else folders), np.inf]) == 1
    return {
        COUNTERFACTUAL: np.nan_to_num(other - following),
        RESAMPLING: np.where(adjacent, np.nan_to_num(following - every), 0.0),
        ACCURACY: np.nan_to_num(every),
        DIFFERENT: np.array([len(some) / max(len(group), 1) for some, group in zip(chosen, right, strict=True)]),
    }


def different_text(rollouts: Sequence[Rollout]) -> np.ndarray:
    """[n_rollouts] bool: the resampled sentence is another text than the removed one, whatever its whitespace."""
    return np.array([one.resampled.split() != one.removed.split() for one in rollouts], dtype=bool)


def _accuracies(groups: Sequence[np.ndarray]) -> np.ndarray:
    """[n_groups] float64: right ones among those that can be told, 0 if none can be; NaN for an empty group."""
    return np.array(
        [np.nansum(group) / max(np.count_nonzero(~np.isnan(group)), 1) if len(group) else np.nan for group in groups]
    )
