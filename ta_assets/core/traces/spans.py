"""Where sentences lie in a text: character spans, and from them token spans.

Belongs here: alignment of strings and of integer offsets; numpy only. Stays out: tokenizers, models, files, labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

SHOWN_CHARACTERS = 60
"""How much of a sentence a message quotes: enough to find it, short enough for one line."""


class UnalignedSentence(ValueError):  # noqa: N818 - it names the thing that is wrong, and reads so in a skip's reason
    """A sentence does not occur in the text after the sentences before it.

    Attributes:
        index: 0-based position of the sentence in its trace.
        start: the sentence's first characters.
    """

    def __init__(self, index: int, sentence: str, cursor: int) -> None:
        self.index, self.start = index, sentence[:SHOWN_CHARACTERS]
        super().__init__(f"sentence {index} ({self.start!r}) does not occur in the text after character {cursor}")


def character_spans(text: str, sentences: Sequence[str]) -> np.ndarray:
    """Half-open character span of every sentence, found left to right.

    A sentence is looked for from the end of the one before it: literally, else with every run of whitespace in it
    matching any run of whitespace in the text. An empty sentence (or one of only whitespace that is not found
    literally) gets the empty span at the cursor.

    Returns:
        [n_sentences, 2] int64, starts and ends in characters; starts never decrease, spans never overlap.

    Raises:
        UnalignedSentence: for the first sentence that is not found.
    """
    spans = np.zeros((len(sentences), 2), dtype=np.int64)
    cursor = 0
    for index, sentence in enumerate(sentences):
        start = text.find(sentence, cursor)
        end = start + len(sentence)
        if start < 0:
            match = _flexible(sentence).search(text, cursor)
            if match is None:
                raise UnalignedSentence(index, sentence, cursor)
            start, end = match.span()
        spans[index] = start, end
        cursor = end
    return spans


def _flexible(sentence: str) -> re.Pattern[str]:
    """The sentence as a pattern whose runs of whitespace match any run of whitespace; empty matches at the cursor."""
    return re.compile(r"\s+".join(re.escape(word) for word in sentence.split()))


def token_spans(char_spans: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Half-open token span of every character span.

    A span runs from the first token whose end is greater than the character start to the first token whose start is
    at least the character end; where there is none, to the number of tokens. A span that would be empty gets one
    token, so the end can exceed the number of tokens when a sentence lies after the last token: the caller decides
    what that means.

    The rule speaks of the *first* token in order, so offsets need not be sorted: "first index whose value exceeds x"
    is the same for a sequence and for its running maximum, and the running maximum can be searched by bisection.
    The (0, 0) offsets of special tokens thus never start a span, wherever they stand; they can lie inside one, so
    tokenize without special tokens where they must not be pooled.

    Args:
        char_spans: [n_sentences, 2] int, half-open, in characters.
        offsets: [n_tokens, 2] int, half-open, in characters of the same text, in token order.

    Returns:
        [n_sentences, 2] int64, half-open, in tokens; every span holds at least one position.

    Raises:
        ValueError: an array of another shape, or a span or an offset that ends before it starts.
    """
    char_spans, offsets = _pairs("char_spans", char_spans), _pairs("offsets", offsets)
    starts = np.searchsorted(np.maximum.accumulate(offsets[:, 1]), char_spans[:, 0], side="right")
    ends = np.searchsorted(np.maximum.accumulate(offsets[:, 0]), char_spans[:, 1], side="left")
    return np.stack([starts, np.maximum(ends, starts + 1)], axis=1).astype(np.int64)


def _pairs(name: str, values: np.ndarray) -> np.ndarray:
    """The array as [n, 2] int64, or an error that says what is wrong with it."""
    values = np.asarray(values, dtype=np.int64)
    if values.size == 0:
        return values.reshape(0, 2)
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"{name}: shape {values.shape}, expected [n, 2]")
    if (values < 0).any() or (values[:, 1] < values[:, 0]).any():
        row = int(np.argmax((values < 0).any(axis=1) | (values[:, 1] < values[:, 0])))
        raise ValueError(f"{name}[{row}]: {values[row].tolist()}, expected 0 <= start <= end")
    return values
