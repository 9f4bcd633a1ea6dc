"""Where a trace can be begun anew: the tokens before each of its sentences, exact to the token and the byte.

Belongs here: token ids and text -> boundaries. Stays out: where sentences end (``splitter``), tokenizers, sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import SHOWN_CHARACTERS
from ta_assets.core.traces.splitter import sentence_starts, split_trace, thought_of

Decode = Callable[[Sequence[int]], str]
"""Token ids -> their text, special tokens included."""
FIRST_STEP = 8
"""Tokens by which the search for the next sentence begins."""


@dataclass(frozen=True)
class CutTrace:
    """A trace as its own token ids, and where each sentence begins among them."""

    token_ids: tuple[int, ...]
    """Prompt and trace."""
    boundaries: tuple[int, ...]
    """Tokens before each sentence; increasing, the first is the prompt's number."""
    sentences: tuple[str, ...]
    """Text of each sentence, as ``split_trace`` gives it."""
    inside: tuple[bool, ...]
    """Whether a sentence starts inside a token that also holds the end of the one before it: its prefix ends before
    that token, so that those characters are drawn anew."""
    thought_end: int
    """Tokens before what follows the last sentence: ``</think>``, or the end of the trace."""

    def prefix(self, sentence: int) -> tuple[int, ...]:
        """Token ids of the prompt and of the sentences before this one: an exact slice of the trace."""
        return self.token_ids[: self.boundaries[sentence]]

    def sentence_ids(self, sentence: int) -> tuple[int, ...]:
        """Token ids from this sentence's boundary to the next one's."""
        end = self.boundaries[sentence + 1] if sentence + 1 < len(self.boundaries) else self.thought_end
        return self.token_ids[self.boundaries[sentence] : end]


def prefix_token_ids(trace: CutTrace, sentence: int) -> tuple[int, ...]:
    """Token ids of everything before a sentence, 0-based; see ``CutTrace.prefix``."""
    return trace.prefix(sentence)


def cut_trace(token_ids: Sequence[int], prompt_tokens: int, decode: Decode, source: str = "trace") -> CutTrace:
    """Cut a trace at its sentences.

    Sentences of which one has no token of its own (both begin inside the same token) are one sentence.

    Args:
        token_ids: prompt and trace, as they were sampled.
        prompt_tokens: how many of them are the prompt.
        decode: the tokenizer's.
        source: the trace, for messages.

    Raises:
        InputError: no sentence behind the prompt, or a tokenizer whose text of a beginning is not the beginning of its
            text.
    """
    ids = tuple(token_ids)
    text, prompt = decode(ids), decode(ids[:prompt_tokens])
    if not 0 < prompt_tokens < len(ids) or not text.startswith(prompt):
        raise InputError(source, "prompt", prompt_tokens, f"a prompt that begins the trace of {len(ids)} tokens")
    behind = text[len(prompt) :]
    # the prompt opens the thought where it is opened at all
    starts = [len(prompt) + start for start in sentence_starts(behind)]
    if not starts:
        raise InputError(source, "sentences", behind[:SHOWN_CHARACTERS], "a thought with at least one sentence")
    start, thought = thought_of(behind)
    end = len(prompt) + start + len(thought)
    found, inside = token_boundaries(ids, [*starts[1:], end], decode, source, prompt_tokens)
    bounds = [prompt_tokens, *found]
    last = bounds[-1] if end < len(text) else len(ids)
    kept = [
        place
        for place in range(len(starts))
        if bounds[place] < (bounds[place + 1] if place + 1 < len(starts) else last)
    ]
    kept = [0, *[place for place in kept if bounds[place] > prompt_tokens]]
    raw = [text[starts[a] : starts[b] if b < len(starts) else end] for a, b in pairwise([*kept, len(starts)])]
    return CutTrace(
        token_ids=ids,
        boundaries=tuple(bounds[place] for place in kept),
        sentences=tuple(" ".join(split_trace(one)) for one in raw),
        inside=tuple(place > 0 and inside[place - 1] for place in kept),
        thought_end=last,
    )


def token_boundaries(
    token_ids: Sequence[int], starts: Sequence[int], decode: Decode, source: str = "trace", first: int = 0
) -> tuple[list[int], list[bool]]:
    """Number of tokens before each character position, and whether what they leave out shows anything.

    It is the first token whose text goes beyond the position. Only decoding is asked of a tokenizer: what was sampled
    need not be what the text would be tokenized to.

    Args:
        token_ids: the whole text.
        starts: positions in characters, not decreasing.
        decode: the tokenizer's.
        source: the trace, for messages.
        first: no boundary is smaller.

    Raises:
        InputError: the text of a beginning is not the beginning of the text.
    """
    ids, text = tuple(token_ids), decode(token_ids)
    boundaries, inside, low = [], [], first
    for start in starts:
        low = _first_beyond(ids, start, decode, low)
        before = decode(ids[:low])
        if not text.startswith(before) or len(before) > start:
            expected = "a tokenizer that decodes the beginning of a text to the beginning of its text"
            raise InputError(source, f"tokens[:{low}]", before[-SHOWN_CHARACTERS:], expected)
        boundaries.append(low)
        inside.append(bool(text[len(before) : start].strip()))
    return boundaries, inside


def _first_beyond(ids: tuple[int, ...], start: int, decode: Decode, low: int) -> int:
    """The smallest number n >= low such that the first n + 1 tokens have more than ``start`` characters.

    Lengths are those of the text from one token before ``low``, as some tokenizers treat the first token of a text
    by itself; the token is in both of what is compared.
    """
    anchor = max(low - 1, 0)
    known = len(decode(ids[:low])) - len(decode(ids[anchor:low]))

    def reaches(n: int) -> bool:
        return known + len(decode(ids[anchor : n + 1])) > start

    step, high = FIRST_STEP, low
    while high < len(ids) and not reaches(high):
        low, high, step = high + 1, min(high + step, len(ids)), step * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    return low


def first_sentence(text: str) -> str:
    """The sentence that a rollout has in place of the one it was begun at; empty when it ends the thought at once."""
    return next(iter(split_trace(text)), "")
