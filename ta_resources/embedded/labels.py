"""Labels of the sentences of a trace from rollouts, by the dataset's definition.

Belongs here: rollouts in the dataset's layout -> numbers per sentence. Stays out: sampling, files, anchors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ta_resources.embedded.task import function_tags

Rollout = Mapping[str, Any]
"""One entry of ``chunk_{i}/solutions.json``; here its chunk_removed, chunk_resampled, answer, is_correct are used."""


def label_chunks(chunks: Sequence[str], rollouts: Sequence[Sequence[Rollout]]) -> list[dict[str, Any]]:
    """Entries of ``chunks_labeled.json``; ``rollouts[i]`` are those that resample sentence ``i``.

    With accuracy over answered rollouts (answer neither empty nor ``None``), a(i) of all rollouts of sentence i and
    d(i) of those whose sentence i has another text:
    ``counterfactual_importance_accuracy`` = d(i) - a(i+1), positive when the sentence lowers accuracy;
    ``resampling_importance_accuracy`` = a(i+1) - a(i), of opposite sense, as in the dataset;
    both 0 for the last sentence and where a group is empty. Source: Bogdan et al. 2025, "Thought Anchors", section 3,
    in the form in which the dataset stores it; the paper's cosine < 0.8 is "another text" here.
    """
    answered = [[rollout for rollout in group if rollout["answer"] not in ("", "None", None)] for group in rollouts]
    different = [[rollout for rollout in group if _is_different(rollout)] for group in answered]
    all_accuracies = [_accuracy(group) for group in answered]
    entries = []
    for index, chunk in enumerate(chunks):
        here = all_accuracies[index]
        following = all_accuracies[index + 1] if index + 1 < len(chunks) else None
        other = _accuracy(different[index])
        entries.append(
            {
                "chunk": chunk,
                "chunk_idx": index,
                "function_tags": function_tags(chunk),
                "depends_on": [],
                "accuracy": 0.0 if here is None else here,
                "resampling_importance_accuracy": 0.0 if here is None or following is None else following - here,
                "counterfactual_importance_accuracy": 0.0 if other is None or following is None else other - following,
                "different_trajectories_fraction": len(different[index]) / max(1, len(answered[index])),
            }
        )
    return entries


def _is_different(rollout: Rollout) -> bool:
    return " ".join(rollout["chunk_resampled"].split()) != " ".join(rollout["chunk_removed"].split())


def _accuracy(rollouts: Sequence[Rollout]) -> float | None:
    """Share of right answers; None for no rollouts."""
    return sum(rollout["is_correct"] for rollout in rollouts) / len(rollouts) if rollouts else None
