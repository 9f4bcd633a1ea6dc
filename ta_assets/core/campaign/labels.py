"""From the draws of a trace's prefixes to what ``chunks_labeled.json`` holds of each sentence, and how sure it is.

A pure function of stored rollouts: another grader, threshold or embedding asks for no new token. Belongs here: the
fields. Stays out: how alike sentences are (``ta_resources``), which rollouts there are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.prefixes import CutTrace, first_sentence
from ta_assets.core.campaign.records import ANSWERED, Outcome
from ta_assets.core.campaign.reuse import Draw
from ta_assets.core.campaign.sequences import difference_interval, difference_sequence
from ta_assets.core.statistics.intervals import ALPHA
from ta_assets.core.traces.label_recomputation import COUNTERFACTUAL, RESAMPLING, Rollout, recompute_labels
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS

FLOOR = 1e-9
"""Chance of an answer that a group never gave, as the dataset's own tool takes it."""


def replacements(draws: Sequence[Draw]) -> list[str]:
    """The sentence that each draw has in the place of the trace's."""
    return [first_sentence(draw.rollout.completion.text) for draw in draws]


def label_sentences(
    trace: CutTrace,
    draws: Mapping[int, Sequence[Draw]],
    different: Mapping[int, np.ndarray],
    *,
    stopped: bool,
    alpha: float = ALPHA,
) -> list[dict[str, Any]]:
    """One entry per sentence of the trace, in order, JSON-able.

    The fields of the dataset are computed by its formulas (``label_recomputation``) from answered draws; those of an
    importance are absent where its sentence, or the next one, has no draws at all: nobody sampled them. Beside them
    stand, per sentence: ``outcomes``, how many draws are ``reused``, ``accuracy_bounds`` (what the unfinished can do
    to it), the counts of ``COUNT_COLUMNS``, ``interval`` (sampling error) and ``importance_bounds`` (the
    unfinished) of the counterfactual importance.

    Args:
        trace: the trace.
        draws: sentence -> its draws (``reuse.with_reused``).
        different: sentence -> for each draw, whether it has a dissimilar sentence in the place of the trace's.
        stopped: whether results decided how many rollouts there are; the interval then holds at every number of them.
        alpha: 1 - coverage of the intervals.
    """
    n = len(trace.sentences)
    groups = [list(draws.get(place, ())) for place in range(n)]
    flags = [np.asarray(different.get(place, np.zeros(0)), dtype=bool) for place in range(n)]
    if [len(group) for group in groups] != [len(mask) for mask in flags]:
        raise ValueError(f"{[len(one) for one in groups]} draws, but {[len(one) for one in flags]} flags")
    answered = [np.array([one.rollout.outcome in ANSWERED for one in group], dtype=bool) for group in groups]
    counts = _counts(groups, flags)
    low, high = (difference_sequence if stopped else difference_interval)(counts, alpha)
    fields = recompute_labels(
        [
            _as_rollouts(group, known, trace.sentences[place])
            for place, (group, known) in enumerate(zip(groups, answered, strict=True))
        ],
        [mask[known] for mask, known in zip(flags, answered, strict=True)],
    )
    entries = []
    for place in range(n):
        entry: dict[str, Any] = {"chunk": trace.sentences[place], "chunk_idx": place, "depends_on": []}
        if groups[place]:
            entry |= _of_group(groups[place], place)
            entry |= {name: float(fields[name][place]) for name in ("accuracy", "different_trajectories_fraction")}
        if groups[place] and (place == n - 1 or groups[place + 1]):
            following = groups[place + 1] if place < n - 1 else []
            entry |= {name: float(fields[name][place]) for name in (COUNTERFACTUAL, RESAMPLING)}
            entry |= _divergences(groups[place], flags[place], following)
        if groups[place] and place < n - 1 and groups[place + 1]:
            entry |= {name: int(value) for name, value in zip(COUNT_COLUMNS, counts[place], strict=True)}
            entry["interval"] = [float(low[place]), float(high[place])]
            entry["importance_bounds"] = _bounds(groups[place], flags[place], groups[place + 1])
        entries.append(entry)
    return entries


def counts_of(draws: Mapping[int, Sequence[Draw]], different: Mapping[int, np.ndarray], n_sentences: int) -> np.ndarray:
    """[n_sentences, 4] int64 of ``COUNT_COLUMNS``; zeros where nothing was drawn, and no next rollouts for the last."""
    groups = [list(draws.get(place, ())) for place in range(n_sentences)]
    flags = [np.asarray(different.get(place, np.zeros(0)), dtype=bool) for place in range(n_sentences)]
    return _counts(groups, flags)


def _counts(groups: Sequence[Sequence[Draw]], flags: Sequence[np.ndarray]) -> np.ndarray:
    found = np.zeros((len(groups), 4), dtype=np.int64)
    for place, (group, mask) in enumerate(zip(groups, flags, strict=True)):
        every = Tally.of(one.rollout.outcome for one in group)
        other = Tally.of(one.rollout.outcome for one, flag in zip(group, mask, strict=True) if flag)
        found[place, :2] = other.answered, other.right
        if place:
            found[place - 1, 2:] = every.answered, every.right
    return found


def _as_rollouts(group: Sequence[Draw], known: np.ndarray, removed: str) -> list[Rollout]:
    """The answered draws, as the dataset's formulas take them."""
    return [
        Rollout(removed, "", one.rollout.outcome == Outcome.RIGHT)
        for one, flag in zip(group, known, strict=True)
        if flag
    ]


def _of_group(group: Sequence[Draw], place: int) -> dict[str, Any]:
    """What is told of the draws of one prefix, whatever the sentence."""
    tally, texts = Tally.of(one.rollout.outcome for one in group), replacements(group)
    return {
        "outcomes": {str(outcome): getattr(tally, outcome) for outcome in Outcome},
        "reused": sum(one.drawn_at != place for one in group),
        "accuracy_bounds": list(tally.bounds),
        "overdeterminedness": 1 - len(set(texts)) / len(texts),
    }


def _bounds(group: Sequence[Draw], mask: np.ndarray, following: Sequence[Draw]) -> list[float]:
    """Between what the importance of these draws would lie, had all of them been let finish."""
    low, high = Tally.of(one.rollout.outcome for one, flag in zip(group, mask, strict=True) if flag).bounds
    next_low, next_high = Tally.of(one.rollout.outcome for one in following).bounds
    return [low - next_high, high - next_low]


def _divergences(group: Sequence[Draw], mask: np.ndarray, following: Sequence[Draw]) -> dict[str, float]:
    """Both importances as divergences of answers: of the dissimilar draws from the others, of all from the next."""
    here, there = _answers(group), _answers(following)
    other = _answers([one for one, flag in zip(group, mask, strict=True) if flag])
    similar = here - other
    return {
        "counterfactual_importance_kl": _divergence(other, there + similar),
        "resampling_importance_kl": _divergence(here, there),
    }


def _answers(group: Sequence[Draw]) -> Counter[str]:
    return Counter(one.rollout.answer for one in group if one.rollout.outcome in ANSWERED)


def _divergence(first: Counter[str], second: Counter[str]) -> float:
    """Kullback and Leibler's of two groups of answers, chances not below ``FLOOR``; 0 where a group is empty."""
    n, m = first.total(), second.total()
    if not n or not m:
        return 0.0
    return sum(count / n * math.log(count / n / max(second[answer] / m, FLOOR)) for answer, count in first.items())
