"""Questions with their right answers, checked one by one before anything is drawn.

Belongs here: rows -> questions. Stays out: files (``ta_resources.campaigns.questions``), whether a grader can read an
answer (``grading``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import is_blank

MAX_ID = 10**18
"""Numbers of problems stay below it, as those of the published data do."""


@dataclass(frozen=True)
class Question:
    """One question."""

    problem_id: int
    """Its number: its id where all ids are whole numbers, else its place in the file, from 1."""
    name: str
    """Its id as it is written."""
    question: str
    answer: str
    """The right one."""


@dataclass(frozen=True)
class Keys:
    """Under which keys a row has what."""

    id: str = "id"
    question: str = "question"
    answer: str = "answer"


def questions_of(rows: Sequence[Mapping[str, Any]], keys: Keys, source: str) -> list[Question]:
    """The questions of a file, in its order.

    Args:
        rows: its rows.
        keys: of id, question and answer.
        source: the file, for messages.

    Raises:
        InputError: no row; a key is absent; a question or an answer is empty; an id or a question occurs twice.
    """
    if not rows:
        raise InputError(source, "(whole file)", "no rows", "at least one question")
    names: dict[str, int] = {}
    texts: dict[str, int] = {}
    found = []
    for place, row in enumerate(rows):
        name = _text(source, place, keys.id, row)
        question, answer = (_text(source, place, key, row) for key in (keys.question, keys.answer))
        _once(source, f"[{place}].{keys.id}", name, names.setdefault(name, place), place)
        _once(source, f"[{place}].{keys.question}", question, texts.setdefault(question, place), place)
        found.append((name, question, answer))
    numbers = [
        int(name) if name.isascii() and name.isdigit() and len(name) < len(str(MAX_ID)) else -1 for name in names
    ]
    numbered = min(numbers) >= 0 and len({*numbers}) == len(found)
    return [
        Question(numbers[place] if numbered else place + 1, name, question, answer)
        for place, (name, question, answer) in enumerate(found)
    ]


def _text(source: str, place: int, key: str, row: Mapping[str, Any]) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(source, f"[{place}].{key}", value, "a text, or a number")
    text = value if isinstance(value, str) else repr(value)
    if is_blank(text):
        raise InputError(source, f"[{place}].{key}", value, "a text that is not empty")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(source, f"[{place}].{key}", value, "text without lone surrogates") from None
    return text


def _once(source: str, field: str, value: str, first: int, place: int) -> None:
    if first != place:
        raise InputError(source, field, value, f"one that row {first} does not have")
