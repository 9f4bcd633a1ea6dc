"""A campaign: which rollouts of a trace are wanted, by its rule, and what they amount to.

The rule is asked again from the first rollout on whenever a campaign is run, and looks only at the rollouts that it has
asked for so far. So a run that was killed, one that shares its store with others and one that finds everything stored
come to the same rollouts, and labels follow from the parts alone. Belongs here: the loop. Stays out: engines, files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.campaign.grading import judged, stated_answer
from ta_assets.core.campaign.labels import counts_of, label_sentences, replacements
from ta_assets.core.campaign.prefixes import CutTrace, Decode
from ta_assets.core.campaign.records import Drawn, FinishReason, Rollout
from ta_assets.core.campaign.reuse import Draw, with_reused
from ta_assets.core.campaign.seeds import BASE_TRIES
from ta_assets.core.campaign.stopping import StoppingRule, next_rollouts
from ta_assets.core.errors import InputError
from ta_assets.core.traces import label_recomputation
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.source import Request, Source
from ta_resources.engines.protocol import require_room

Differs = Callable[[str, Sequence[str]], np.ndarray]
"""A trace's sentence and its replacements -> for each [n] bool, whether it says something else."""


@dataclass(frozen=True)
class TraceTask:
    """A trace whose sentences are to be labelled."""

    name: str
    """For messages."""
    trace: CutTrace
    gold: str
    """The right answer."""
    thinking: bool
    """Whether prefixes end inside a thought, so that only what follows ``</think>`` can be an answer."""
    sentences: tuple[int, ...]
    """Those that get a label, ascending."""

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Sentences whose prefixes are sampled: the labelled ones and, for each, the next one."""
        last = len(self.trace.boundaries) - 1
        return tuple(sorted({*self.sentences, *(min(one + 1, last) for one in self.sentences)}))


@dataclass(frozen=True)
class TraceResult:
    """The rollouts of a trace."""

    task: TraceTask
    rollouts: dict[int, list[Rollout]]
    """Sentence -> what was sampled from its prefix."""
    draws: dict[int, list[Draw]]
    """The same and what is re-used."""
    different: dict[int, np.ndarray]
    """Sentence -> for each draw, whether it has another sentence there."""
    stopped: bool
    """Whether results decided how many rollouts there are."""

    def labels(self) -> list[dict[str, Any]]:
        """Entries of ``chunks_labeled.json``; see ``label_sentences``."""
        return label_sentences(self.task.trace, self.draws, self.different, stopped=self.stopped)


@dataclass(frozen=True)
class Judgement:
    """What turns completions into outcomes and replacements into differences; asks for no token."""

    graders: Graders
    differs: Differs
    decode: Decode
    reuse: bool = True

    def rollouts(self, drawn: Sequence[Drawn], task: TraceTask) -> list[Rollout]:
        """Stored completions with their outcomes."""
        rule = self.graders.rule
        finished = [one for one in drawn if one.completion.finish_reason != FinishReason.ERROR]
        answers = {stated_answer(one.completion.text, rule, task.thinking) for one in finished}
        verdicts = self.graders.verdicts(answers, task.gold)
        return [judged(one, rule, task.thinking, verdicts) for one in drawn]

    def result(self, task: TraceTask, rollouts: dict[int, list[Rollout]], stopped: bool) -> TraceResult:
        """The rollouts with all that follows from them; of what is re-used only the sampled prefixes count."""
        every = with_reused(task.trace, rollouts, self.decode, self.reuse)
        draws = {place: every[place] for place in rollouts}
        different = {
            place: np.asarray(self.differs(task.trace.sentences[place], replacements(own)), dtype=bool)
            for place, own in draws.items()
        }
        return TraceResult(task, rollouts, draws, different, stopped)


def different_text(removed: str, resampled: Sequence[str]) -> np.ndarray:
    """[n] bool: another text than the removed sentence, whatever its whitespace."""
    return label_recomputation.different_text([label_recomputation.Rollout(removed, one, None) for one in resampled])


def base_draws(source: Source, prompt: Sequence[int], count: int, batch: int) -> list[Drawn]:
    """Tries of whole traces, of which one may become a base trace; in no accuracy, whatever becomes of them.

    Args:
        source: where they are stored, and what samples them.
        prompt: token ids.
        count: how many.
        batch: rollouts of a part.
    """
    ids = tuple(int(one) for one in prompt)
    source.fill(_requests(ids, BASE_TRIES, BASE_TRIES + count, batch))
    return source.read(ids, BASE_TRIES, BASE_TRIES + count)


def run_trace(source: Source, task: TraceTask, rule: StoppingRule, judgement: Judgement) -> TraceResult:
    """Sample what the rule asks for of one trace, where it is not stored.

    Raises:
        InputError: a gold answer that the grader cannot read, no sentence to label, a limit of tokens that leaves no
            room behind a prefix.
        BudgetSpentError, MissingRolloutsError, EngineUnavailableError: as ``Source.fill``.
    """
    n = len(task.trace.boundaries)
    if not task.sentences or not all(0 <= one < n for one in task.sentences):
        raise InputError(task.name, "sentences", list(task.sentences)[:8], f"numbers of sentences below {n}")
    judgement.graders.require(task.gold, task.name)
    prefixes = task.prefixes
    require_room(task.trace.prefix(prefixes[-1]), source.sampling)  # said before the first token
    if rule.kind == "uniform":
        requests = [
            one for place in prefixes for one in _requests(task.trace.prefix(place), 0, rule.rollouts, rule.batch)
        ]
        source.fill(requests)
        drawn = dict.fromkeys(prefixes, rule.rollouts)
        return judgement.result(task, _judged(source, task, judgement, dict.fromkeys(prefixes, 0), drawn), False)
    return _until_clear(source, task, rule, judgement)


def _until_clear(source: Source, task: TraceTask, rule: StoppingRule, judgement: Judgement) -> TraceResult:
    prefixes = task.prefixes
    at = {place: number for number, place in enumerate(prefixes)}
    paired = [one for one in task.sentences if one + 1 in at]
    places = np.array([[at[one], at[one + 1]] for one in paired], dtype=np.int64).reshape(-1, 2)
    drawn, rollouts = dict.fromkeys(prefixes, 0), {place: [] for place in prefixes}
    result = judgement.result(task, rollouts, True)
    while True:
        counts = counts_of(result.draws, result.different, len(task.trace.sentences))[paired]
        asked = next_rollouts(counts, places, np.array([drawn[one] for one in prefixes]), rule)
        if not asked.any():
            return result
        wanted = {place: drawn[place] + int(more) for place, more in zip(prefixes, asked, strict=True)}
        source.fill(
            [Request(task.trace.prefix(one), drawn[one], wanted[one]) for one in prefixes if wanted[one] > drawn[one]]
        )
        for place, new in _judged(source, task, judgement, drawn, wanted).items():
            rollouts[place] = [*rollouts[place], *new]
        drawn = wanted
        result = judgement.result(task, rollouts, True)


def _judged(
    source: Source, task: TraceTask, judgement: Judgement, first: dict[int, int], end: dict[int, int]
) -> dict[int, list[Rollout]]:
    return {
        place: judgement.rollouts(source.read(task.trace.prefix(place), first[place], end[place]), task)
        for place in first
    }


def _requests(prefix: tuple[int, ...], first: int, end: int, batch: int) -> list[Request]:
    return [Request(prefix, start, min(start + batch, end)) for start in range(first, end, batch)]
