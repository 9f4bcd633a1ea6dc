"""The one error for input that somebody can mend. Errors of our own making stay ordinary exceptions."""

from __future__ import annotations

import itertools
import reprlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

MAX_FAULTS = 50
"""Faults of one study file that are listed."""
MAX_VALUE_CHARACTERS = 120
MAX_FIELD_CHARACTERS = 300
"""A field may be named by the input itself: a key of a JSON object, a column."""


class InputError(ValueError):
    """Input from outside (a study, a dataset file, a model folder, an artifact) is not what was expected.

    The message is one line of printable characters and of bounded length, whatever the input holds.

    Attributes:
        source: the file, folder or address that holds the fault.
        field: where in it, as a path such as ``settings.pilot.problems`` or ``[3].chunk``.
        value: what was found there.
        expected: what should have been there, in words.
    """

    def __init__(self, source: object, field: str, value: object, expected: str) -> None:
        self.source, self.value, self.expected = str(source), value, expected
        self.field = field if len(field) <= MAX_FIELD_CHARACTERS else f"{field[: MAX_FIELD_CHARACTERS - 1]}…"
        super().__init__(_printable(f"{source}: {self.field}: found {shown(value)}, expected {expected}"))


def say_alone() -> None:
    """Let this process end with the message of an ``InputError`` alone, where it is one that ends it.

    Dagster's commands catch nothing, and Python would print the stack of Dagster above it.
    """
    sys.excepthook = _say_input_error


def _say_input_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, InputError):
        print(f"{kind.__name__}: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a study file."""

    field: str
    """Dotted path in the file, such as ``settings.pilot.problems``."""
    value: object
    """What was found there."""
    expected: str
    """What should have been there, in words."""


class StudyError(InputError):
    """A study file is not a valid study; ``field``, ``value`` and ``expected`` are of the first fault.

    The message has one line per fault, each like that of an ``InputError``; at most ``MAX_FAULTS`` of them.

    Attributes:
        faults: all of them, in the order of the file's sections.
    """

    def __init__(self, source: object, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(source, first.field, first.value, first.expected)
        self.faults = tuple(faults)
        lines = [str(InputError(source, one.field, one.value, one.expected)) for one in self.faults[:MAX_FAULTS]]
        left = len(self.faults) - len(lines)
        self.args = ("\n".join([*lines, *([f"{_printable(str(source))}: {left} more faults"] if left else [])]),)


def shown(value: object) -> str:
    """A value as it is written in Python, cut to 120 characters; a huge one costs no more than a small one."""
    text = _REPR.repr(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[: MAX_VALUE_CHARACTERS - 1] + "…"


def in_short(error: Exception) -> str:
    """An error of a library on one line: its type, and what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class _Bounded(reprlib.Repr):
    """Looks at the first items of a few levels: a value may hold itself, or one thing a billion times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxset = self.maxfrozenset = self.maxdict = 8
        self.maxstring = self.maxother = self.maxlong = 1000

    def repr_int(self, x: int, level: int) -> str:
        """Python writes out no number of thousands of digits."""
        return repr(x) if x.bit_length() <= self.maxlong else f"<a number of {x.bit_length()} bits>"

    def repr_dict(self, x: dict, level: int) -> str:
        """In the order of the input, which ``reprlib`` would sort."""
        if level <= 0 and x:
            return "{...}"
        items = [
            f"{self.repr1(key, level - 1)}: {self.repr1(item, level - 1)}"
            for key, item in itertools.islice(x.items(), self.maxdict)
        ]
        return "{" + ", ".join([*items, *(["..."] if len(x) > self.maxdict else [])]) + "}"


_REPR = _Bounded()


def _printable(text: str) -> str:
    """On one line and without control characters: a message must not drive the terminal or break a log's line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
