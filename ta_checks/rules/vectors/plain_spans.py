"""Where sentences lie among tokens, from the text that the tokens decode to: no offsets, no search but ``str.find``.

Whitespace is left out of both texts, so that neither a tokenizer's spaces nor line breaks of the data matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from ta_checks.rules.vectors.plain_model import Reader

BROKEN = "\ufffd"
"""What a part of a character decodes to."""


def token_ranges(reader: Reader, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open range of characters of every token in the text that all of them decode to, whitespace not counted.

    Tokens that together make one character have its range, each of them.
    """
    lengths, whole = [0], [True]
    for end in range(1, len(tokens) + 1):
        text = reader.decode(tokens[:end])
        whole.append(not text.endswith(BROKEN))
        lengths.append(len(bare(text)) if whole[-1] else lengths[-1])
    following = lengths.copy()
    for place in range(len(tokens) - 1, -1, -1):
        if not whole[place]:
            following[place] = following[place + 1]
    return [(lengths[place], following[place + 1]) for place in range(len(tokens))]


def places(text: str, sentences: Sequence[str], begin: int) -> list[tuple[int, int] | None]:
    """Half-open range of characters of every sentence; None for one that may lie in more than one place.

    The earliest and the latest place that leave room for the sentences before and after it are the same.

    Args:
        text: without whitespace.
        sentences: without whitespace.
        begin: where the first one may begin.

    Raises:
        ValueError: a sentence is not there, after those before it.
    """
    earliest, latest, cursor = [], [], begin
    for sentence in sentences:
        earliest.append(text.index(sentence, cursor))
        cursor = earliest[-1] + len(sentence)
    end = len(text)
    for sentence in reversed(sentences):
        latest.append(text.rindex(sentence, begin, end))
        end = latest[-1]
    both = zip(earliest, reversed(latest), sentences, strict=True)
    return [(first, first + len(sentence)) if first == last else None for first, last, sentence in both]


def span_of(place: tuple[int, int], ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Half-open span of the tokens that hold characters of a place."""
    inside = [token for token, (start, end) in enumerate(ranges) if end > place[0] and start < place[1]]
    return inside[0], inside[-1] + 1


def bare(text: str) -> str:
    """A text without its whitespace."""
    return "".join(text.split())
