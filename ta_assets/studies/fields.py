"""Names, paths and swept values as a study file spells them.

Stays out: numbers, layers and models (``core/option_values.py``), the sections (``sections.py``).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, StringConstraints

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
"""Names become partition keys, folders and table cells: no separators, no dots, no markup."""
FORBIDDEN = set('\\<>|"`*?')
"""Another system would take a backslash for a separator; the others are markup, where a path is shown."""


class FieldError(ValueError):
    """The fault of several keys together, found by a validator that must say itself where it looked.

    Attributes:
        field: dotted path in the study file.
        value: what was found there.
        expected: what should have been there, in words.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: {value!r}: {expected}")


def is_path(model: str) -> bool:
    """Whether a language model is a local folder rather than an id on the Hub."""
    return model.startswith((".", "/", "~"))


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path.isprintable() or FORBIDDEN & set(path) or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"must be a relative path of printable characters, without '..' and {''.join(sorted(FORBIDDEN))}"
        )
    return path


def _path(path: str) -> str:
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError("must be a path below a home that exists") from None
    if not path.strip() or not path.isprintable():
        raise ValueError("must be a path of printable characters")
    return path


def _model(model: str) -> str:
    if is_path(model):
        return _path(model)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise ValueError("must be a Hub id such as owner/name, or a path that starts with . or / or ~")
    return model


def _swept(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("must be one value; keys of a section within a section are factors, as section.key: [values]")
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("must be a number, a text, or true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
InnerPath = Annotated[str, AfterValidator(_inside)]
FolderPath = Annotated[str, AfterValidator(_path)]
ModelPlace = Annotated[str, AfterValidator(_model)]
Revision = Annotated[str, StringConstraints(pattern=r"^[\w./+@-]+$")]
SweptValue = Annotated[bool | int | float | str, PlainValidator(_swept)]
"""Kept as it is written: what it may be is known only to the key whose value it is."""
