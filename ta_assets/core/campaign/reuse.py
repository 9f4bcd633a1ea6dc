"""Verbatim re-use: a rollout that repeats a sentence, token for token, is a rollout of the next prefix as well.

Given that the first tokens of a rollout are those of the sentence, the rest is distributed as a rollout of the prefix
behind it: the event is known after those tokens, and the model sees what it would see there. So the rest is a draw that
costs nothing, and the same again for the sentence after it. How many there are is left to chance, but not to what they
answer, so accuracies stay unbiased. It needs a limit of tokens that lies at the same place of the trace for every
prefix (``Sampling.max_total_tokens``).

Belongs here: rollouts by prefix -> more rollouts by prefix. Stays out: sampling, labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ta_assets.core.campaign.prefixes import CutTrace, Decode
from ta_assets.core.campaign.records import FinishReason, Rollout


@dataclass(frozen=True)
class Draw:
    """A rollout as one of some prefix."""

    rollout: Rollout
    """What it has behind that prefix."""
    drawn_at: int
    """The sentence whose prefix it was sampled from."""


def repeated(token_ids: Sequence[int], trace: CutTrace, sentence: int) -> int:
    """How many sentences, from this one on, a rollout repeats token for token; the last sentence is never counted,
    because no prefix lies behind it."""
    ids, count, cursor = tuple(token_ids), 0, 0
    for place in range(sentence, len(trace.boundaries) - 1):
        own = trace.sentence_ids(place)
        if ids[cursor : cursor + len(own)] != own:
            break
        count, cursor = count + 1, cursor + len(own)
    return count


def with_reused(
    trace: CutTrace, rollouts: Mapping[int, Sequence[Rollout]], decode: Decode, reuse: bool = True
) -> dict[int, list[Draw]]:
    """Sentence -> its own draws, then those that others are of it too, in the order of their sentences.

    A rollout without token ids, or one that an engine failed at, is only its own.

    Args:
        trace: the trace.
        rollouts: sentence -> its rollouts.
        decode: the tokenizer's, for the text that is left.
        reuse: whether to re-use at all.
    """
    draws = {sentence: [Draw(one, sentence) for one in own] for sentence, own in sorted(rollouts.items())}
    if not reuse:
        return draws
    for sentence, own in sorted(rollouts.items()):
        for rollout in own:
            if rollout.completion.finish_reason == FinishReason.ERROR:
                continue
            for further in range(1, repeated(rollout.completion.token_ids, trace, sentence) + 1):
                there = sentence + further
                draws.setdefault(there, []).append(Draw(_behind(rollout, trace, sentence, there, decode), sentence))
    return {sentence: draws[sentence] for sentence in sorted(draws)}


def _behind(rollout: Rollout, trace: CutTrace, sentence: int, there: int, decode: Decode) -> Rollout:
    """The rollout without what it repeats of the trace."""
    gone = trace.boundaries[there] - trace.boundaries[sentence]
    whole = rollout.completion
    left = replace(
        whole,
        token_ids=whole.token_ids[gone:],
        text=decode(whole.token_ids[gone:]),
        prompt_tokens=whole.prompt_tokens + gone,
        generated_tokens=whole.generated_tokens - gone,
    )
    return replace(rollout, completion=left)
