"""Where sentences lie in a text: character spans, and from them token spans.

Belongs here: alignment of strings and of integer offsets; numpy only. Stays out: tokenizers, models, files, labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

OPEN = "<think>"
"""What a trace is thought behind."""
SHOWN_CHARACTERS = 60
"""How much of a sentence a message quotes: enough to find it, short enough for one line."""


class UnalignedSentence(ValueError):  # noqa: N818 - it names the thing that is wrong, and reads so in a skip's reason
    """A sentence does not occur in the text after the sentences before it, or has no tokens there.

    Attributes:
        index: 0-based position of the sentence in its trace.
        start: the sentence's first characters.
    """

    def __init__(self, index: int, sentence: str, cursor: int) -> None:
        self.index, self.start = index, sentence[:SHOWN_CHARACTERS]
        super().__init__(f"sentence {index} ({self.start!r}) does not occur in the text after character {cursor}")


def is_blank(sentence: str) -> bool:
    """Whether a sentence shows nothing: it is empty, or all whitespace, control and zero-width characters."""
    return not any(one.isprintable() and not one.isspace() for one in sentence)


def character_spans(text: str, sentences: Sequence[str]) -> np.ndarray:
    """Half-open character span of every sentence, found left to right.

    A sentence is looked for from the end of the one before it: literally, else with every run of whitespace in it
    matching any run of whitespace in the text. An empty sentence (or one of only whitespace that is not found
    literally) gets the empty span at the cursor.

    The prompt may hold the same words, as where a trace begins by restating its question. The first sentence is
    therefore looked for behind ``<think>``: the last one of the text behind which all sentences are found (a prompt may
    ask for such a tag, and a trace may name it). Where there is none, the whole text is searched. Sentences that all
    stand there a second time, behind the first, are those of the trace and not of its prompt; and every sentence but
    the last is moved to its last occurrence before the one after it: the sentences of a trace follow one another.

    Returns:
        [n_sentences, 2] int64, starts and ends in characters; starts never decrease, spans never overlap.

    Raises:
        UnalignedSentence: for the first sentence that is not found in the whole text.
    """
    opened = text.rfind(OPEN)
    while opened >= 0:
        found = _found(text, sentences, opened + len(OPEN))
        if found is not None:
            return found
        opened = text.rfind(OPEN, 0, opened)
    found = _forward(text, sentences, 0)
    while len(found) and (again := _found(text, sentences, int(found[-1, 1]))) is not None:
        if again[-1, 1] == found[-1, 1]:
            break
        found = again
    return _moved_together(text, sentences, found)


def _found(text: str, sentences: Sequence[str], cursor: int) -> np.ndarray | None:
    """As ``_forward``; None where a sentence is not found."""
    try:
        return _forward(text, sentences, cursor)
    except UnalignedSentence:
        return None


def _forward(text: str, sentences: Sequence[str], cursor: int) -> np.ndarray:
    """Spans of the first occurrences, each after the one before it, the first from ``cursor`` on."""
    spans = np.zeros((len(sentences), 2), dtype=np.int64)
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


def _moved_together(text: str, sentences: Sequence[str], spans: np.ndarray) -> np.ndarray:
    """The spans, each at the last occurrence of its own characters before the span after it."""
    moved = spans.copy()
    for index in range(len(sentences) - 2, -1, -1):
        start, end = spans[index].tolist()
        if start < end:
            last = text.rfind(text[start:end], end, int(moved[index + 1, 0]))
            moved[index] = (start, end) if last < 0 else (last, last + end - start)
    return moved


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
