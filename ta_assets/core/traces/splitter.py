"""A trace cut into sentences as the dataset cuts it, for texts that it does not hold.

Belongs here: text -> sentences. Stays out: where they lie in it (``spans``), their labels, files.

The predecessor's rule (cut at any stop, colon or newline, protect decimals, join a sentence to a short one
before it) gives the dataset's own sentences for none of 40 problems. This one gives them for all 32 that were tried
(both models, right and wrong, 8 problems each), from ``full_cot`` as from ``solution``.
"""

from __future__ import annotations

import re

from ta_assets.core.traces.spans import OPEN

MIN_CHARACTERS = 10
"""A shorter sentence is part of the one after it: ``Wait.``, ``1.``, ``Dr.`` alone say nothing."""
CLOSE = "</think>"

_ENDS = re.compile(r"(?<=[.?!])(?=[ \n])|(?<=\n\n)|(?<=\r\n\r\n)")
"""After a stop before a space or a newline (so neither in 3.14 nor in n! = 6), and after an empty line."""


def split_trace(text: str) -> list[str]:
    """Sentences of a trace, in order; what is not thought is left out.

    1. With ``<think>``, what comes after the first one counts; of that, what comes before the first ``</think>``.
    2. It is cut after every ``.``, ``?`` or ``!`` that a space or a newline follows, and after every empty line.
    3. The parts lose the whitespace around them; empty ones are dropped.
    4. A part of fewer than ten characters is put before the next one, with a space between; what is still too short at
       the end, after the last sentence.

    No word is lost, none is added, and none changes its place: sentences joined by spaces differ from the thought in
    whitespace only, so ``spans.character_spans`` finds each of them in it. A text without words has no sentences.
    """
    return [" ".join(filter(None, (part.strip() for part in parts))) for parts in _groups(thought_of(text)[1])]


def thought_of(text: str) -> tuple[int, str]:
    """Where the thought of a trace begins in its text, in characters, and the thought; rule 1 of ``split_trace``."""
    before, opened, after = text.partition(OPEN)
    start = len(before) + len(OPEN) if opened else 0
    return start, (after if opened else text).partition(CLOSE)[0]


def sentence_starts(text: str) -> list[int]:
    """Where each sentence of ``split_trace`` begins, in characters: at its first one that is no whitespace.

    What lies between two of them belongs to the first, with the whitespace behind it, so that no byte is lost.
    """
    cursor, thought = thought_of(text)
    starts = []
    for parts in _groups(thought):
        raw = "".join(parts)
        starts.append(cursor + len(raw) - len(raw.lstrip()))
        cursor += len(raw)
    return starts


def _groups(thought: str) -> list[list[str]]:
    """The parts of each sentence with the whitespace around them: joined, they are the whole thought."""
    groups: list[list[str]] = []
    current: list[str] = []
    for part in _ENDS.split(thought):
        current.append(part)
        if len(" ".join(filter(None, (one.strip() for one in current)))) >= MIN_CHARACTERS:
            groups.append(current)
            current = []
    if groups:
        groups[-1] += current  # the last sentence takes what is too short
    elif "".join(current).strip():
        groups.append(current)
    return groups
