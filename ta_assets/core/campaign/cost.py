"""What a campaign will cost before its first token: tokens, hours, bytes.

Belongs here: arithmetic over stated sizes. Stays out: how fast an engine is, which the caller says or measures.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_TOKEN = 8.0
"""Of stored parquet: an id of four bytes and about as much text, before compression, which saves about half."""
BYTES_PER_ROLLOUT = 64.0
"""What a row needs beside its tokens."""


@dataclass(frozen=True)
class Workload:
    """Sizes of a campaign; means over its traces."""

    problems: int
    """Problems that are tried."""
    traces: float
    """Traces that are resampled: problems that are kept, each once per corpus."""
    base_tries: int
    """Whole traces that are sampled of each problem that is tried."""
    sentences: float
    """Sentences of a trace that get a label."""
    all_sentences: float
    """Sentences of a trace."""
    rollouts: float
    """Per prefix."""
    prompt_tokens: float
    trace_tokens: float
    """Of a whole trace behind its prompt."""


@dataclass(frozen=True)
class Cost:
    """What a workload asks for."""

    rollouts: int
    generated_tokens: int
    prompt_tokens: int
    """Computed with the prefix shared: each trace is read once."""
    unshared_prompt_tokens: int
    """Computed by an engine that reads the prefix anew for each rollout."""
    bytes: int

    def hours(self, tokens_per_second: float) -> float:
        """Hours at a rate of generated tokens."""
        return self.generated_tokens / tokens_per_second / 3600


def prefixes_of(sentences: float, all_sentences: float) -> float:
    """Prefixes that so many labelled sentences need: each its own and the next one's; all of them share, single ones
    that stand alone do not. A sample is taken to be scattered evenly."""
    if sentences >= all_sentences:
        return all_sentences
    share = sentences / all_sentences
    return min(all_sentences, sentences * (2 - share))


def estimate(work: Workload) -> Cost:
    """The cost of a workload.

    A rollout that begins at a place drawn evenly from a trace has on the mean half of it left.
    """
    prefixes = work.traces * prefixes_of(work.sentences, work.all_sentences)
    tries, resampled = work.problems * work.base_tries, prefixes * work.rollouts
    generated = tries * work.trace_tokens + resampled * work.trace_tokens / 2
    rollouts = tries + resampled
    return Cost(
        rollouts=round(rollouts),
        generated_tokens=round(generated),
        prompt_tokens=round(
            work.problems * work.prompt_tokens + work.traces * (work.prompt_tokens + work.trace_tokens)
        ),
        unshared_prompt_tokens=round(
            tries * work.prompt_tokens + resampled * (work.prompt_tokens + work.trace_tokens / 2)
        ),
        bytes=round(BYTES_PER_TOKEN * generated + BYTES_PER_ROLLOUT * rollouts),
    )
