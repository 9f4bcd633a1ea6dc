"""The draws of every sentence of a trace with what they answered, re-used ones too, by the checks' own code.

Belongs here: stored rollouts and stored verdicts -> draws, and the importances of a trace. Stays out: files
(``own_rollouts``), judging (the checks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.rules.campaigns.own_rollouts import (
    Stored,
    Task,
    by_sentence,
    lists_of,
    model_folder,
    own_answer,
    own_first_sentence,
    task_of,
)

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class OwnDraw:
    """One draw of one prefix that reached an answer which could be judged."""

    index: int
    """Number of the rollout in its own prefix."""
    drawn_at: int
    sentence: str
    """What it has in the place of the trace's sentence."""
    right: bool


@dataclass(frozen=True)
class OwnTrace:
    """A trace with its draws."""

    problem_id: int
    sentences: Sequence[str]
    draws: Mapping[int, Sequence[OwnDraw]]


def own_traces(evidence: Evidence) -> Iterator[OwnTrace]:
    """Every trace of the corpus of an artifact of ``labels``; the verdicts of graders are those that it stores."""
    from ta_checks.rules.vectors.plain_model import library_reader

    store, corpus = evidence.world.store, evidence.partition
    base, rollouts = store.load("base_traces", corpus), store.load("rollouts", corpus)
    decode = library_reader(model_folder(evidence, base.record)).decode
    verdicts = {(int(one["problem_id"]), one["answer"]): one["verdict"] for one in evidence.value.record["verdicts"]}
    for row in base.rows.to_dict("records"):
        tokens, boundaries, sentences = lists_of(row, "token_ids", "boundaries", "sentences")
        problem_id = int(row["problem_id"])
        own = {answer: verdict for (problem, answer), verdict in verdicts.items() if problem == problem_id}
        cuts = [*boundaries, int(row["thought_end"])]
        pieces = [tuple(tokens[start:end]) for start, end in pairwise(cuts)]
        stored = by_sentence(rollouts.rows, store.local_folder, problem_id)
        reuse = evidence.study.campaign.reuse
        yield OwnTrace(problem_id, sentences, own_draws(stored, pieces, own, task_of(evidence), decode, reuse=reuse))


def own_draws(
    stored: Mapping[int, Sequence[Stored]],
    pieces: Sequence[tuple[int, ...]],
    verdicts: Mapping[str, Any],
    task: Task,
    decode: Decode,
    *,
    reuse: bool,
) -> dict[int, list[OwnDraw]]:
    """Sentence -> its draws that were judged.

    Args:
        stored: sentence -> rollouts.
        pieces: tokens of every sentence of the trace.
        verdicts: answer -> whether it is right; None for one that cannot be judged.
        task: where answers stand.
        decode: the tokenizer's.
        reuse: whether a rollout that repeats a sentence is one of the next, too.
    """
    draws: dict[int, list[OwnDraw]] = {place: [] for place in stored}
    for place, rollouts in stored.items():
        for one in rollouts:
            answer = own_answer(one.text, task)
            verdict = verdicts.get(answer) if answer and one.ended != "error" else None
            if verdict is None:
                continue
            at, left, text = place, one.tokens, one.text
            while True:
                draws.setdefault(at, []).append(OwnDraw(one.index, place, own_first_sentence(text), bool(verdict)))
                piece = pieces[at]
                if not reuse or at + 1 >= len(pieces) or left[: len(piece)] != piece:
                    break
                at, left = at + 1, left[len(piece) :]
                text = decode(left)
    return draws


def importances(
    sentences: Sequence[str], draws: Mapping[int, Sequence[OwnDraw]], alike: Callable[[str, str], bool]
) -> dict[str, np.ndarray]:
    """Accuracy, share of other sentences, and both importances of every sentence of a trace, [n_sentences] each.

    With a(i) the share of right draws of sentence i and d(i) that of those with another sentence: the counterfactual
    importance is d(i) - a(i+1), the resampling importance a(i+1) - a(i); 0 where a group is empty and for the last
    sentence (Bogdan et al. 2025, section 3, as the dataset stores it).
    """
    n = len(sentences)
    every = [[one.right for one in draws.get(place, ())] for place in range(n)]
    other = [[one.right for one in draws.get(i, ()) if not alike(one.sentence, sentences[i])] for i in range(n)]
    found = {name: np.zeros(n) for name in ("accuracy", "share", "counterfactual", "resampling")}
    for i in range(n):
        found["accuracy"][i] = np.mean(every[i]) if every[i] else 0.0
        found["share"][i] = len(other[i]) / max(len(every[i]), 1)
        following = every[i + 1] if i + 1 < n else []
        if following and other[i]:
            found["counterfactual"][i] = np.mean(other[i]) - np.mean(following)
        if following and every[i]:
            found["resampling"][i] = np.mean(following) - np.mean(every[i])
    return found


def same_words(one: str, other: str) -> bool:
    """Whether two sentences are the same text, whatever their whitespace."""
    return one.split() == other.split()
