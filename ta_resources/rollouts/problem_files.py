"""Bytes of a problem's three files -> ``Problem``; the one place where the dataset's format is checked.

Belongs here: names, parsing and validation. Stays out: where the bytes come from (``local_folder``, ``hub_dataset``)
and what the fields mean (``ta_assets.core``). Fields that nobody reads are not looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import is_blank
from ta_assets.core.values import Problem
from ta_resources.strict_json import read_json

STATEMENT = "problem.json"
BASE_SOLUTION = "base_solution.json"
CHUNKS = "chunks_labeled.json"
FILE_NAMES = (STATEMENT, BASE_SOLUTION, CHUNKS)

_PROBLEM_FOLDER = re.compile(r"problem_([0-9]+)")
MAX_DIGITS = 18
"""So that an id fits into 64 bits."""
FRACTIONS = ("accuracy", "different_trajectories_fraction")
TAGS = "function_tags"


class UnusableProblem(InputError):  # noqa: N818 - it names the thing that is wrong, and reads so in a skip's reason
    """A problem's own files are not what they should be: the problem is lost, the others of its corpus are not."""


@dataclass(frozen=True)
class RawProblem:
    """Files of a problem as they were found."""

    problem_id: int
    source: str
    """Folder or address of the files, for messages."""
    contents: Mapping[str, bytes]
    """File name below the problem's folder -> content; ``parse_problem`` needs each of ``FILE_NAMES``."""


def folder_name(problem_id: int) -> str:
    """``problem_330``."""
    return f"problem_{problem_id}"


def problem_id_of(source: str, name: str) -> int | None:
    """The id in a folder's name, or None where the name is not a problem's.

    Raises:
        InputError: a number with leading zeros, which would stand for the same problem as another folder; or a number
            that is too long.
    """
    match = _PROBLEM_FOLDER.fullmatch(name)
    if match is None:
        return None
    if len(match[1]) > MAX_DIGITS:
        raise InputError(source, name, name, f"problem_ and a number of at most {MAX_DIGITS} digits")
    if folder_name(int(match[1])) != name:
        raise InputError(source, name, name, f"{folder_name(int(match[1]))}, a number without leading zeros")
    return int(match[1])


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is empty or points anywhere but below its root.

    Raises:
        InputError: with what a prefix looks like.
    """
    parts = prefix.split("/")
    if "\\" in prefix or "\0" in prefix or any(part in ("", ".", "..") for part in parts):
        raise InputError("dataset", "prefix", prefix, "{model}/{temperature}/{solutions}: folder names joined by /")


def parse_problem(raw: RawProblem) -> Problem:
    """Validate and join the three files.

    Raises:
        UnusableProblem: not UTF-8 or not JSON; not an object (problem, base solution), or a trace that is no text, or
            a note that there is none; not a non-empty list of objects with a string ``chunk``, a ``chunk_idx`` (if any)
            above the one before it, finite importances, fractions from 0 to 1 and tags that are texts (chunks).
    """
    statement, base_solution, chunks = (
        read_json(f"{raw.source}/{name}", raw.contents[name], UnusableProblem) for name in FILE_NAMES
    )
    for name, value, texts in (
        (STATEMENT, statement, ("solution",)),
        (BASE_SOLUTION, base_solution, ("full_cot", "solution")),
    ):
        source = f"{raw.source}/{name}"
        if not isinstance(value, dict):
            raise UnusableProblem(source, "(whole file)", value, "an object")
        for key in texts:
            # not passed over for the next source of the trace: that would be another text
            if not isinstance(value.get(key), str | None):
                raise UnusableProblem(source, key, value[key], "a text or null")
            check_text(source, key, value.get(key))
    if base_solution.get("error") and not base_solution.get("full_cot"):
        # what the dataset's tool leaves behind when its model gave no answer: ``solution`` is the message
        raise UnusableProblem(f"{raw.source}/{BASE_SOLUTION}", "error", base_solution["error"], "a trace")
    _check_chunks(f"{raw.source}/{CHUNKS}", chunks)
    return Problem(raw.problem_id, raw.source, statement, base_solution, tuple(chunks))


def _check_chunks(source: str, chunks: Any) -> None:
    if not isinstance(chunks, list) or not chunks:
        raise UnusableProblem(source, "(whole file)", chunks, "a list of at least one sentence")
    last = -1
    for position, chunk in enumerate(chunks):
        if not isinstance(chunk, dict):
            raise UnusableProblem(source, f"[{position}]", chunk, "an object")
        if not isinstance(chunk.get("chunk"), str):
            raise UnusableProblem(source, f"[{position}].chunk", chunk.get("chunk"), "the sentence's text")
        check_text(source, f"[{position}].chunk", chunk["chunk"])
        index = chunk.get("chunk_idx", position)
        if type(index) is not int or index <= last:
            expected = f"the number of its rollouts' folder, larger than {last}"
            raise UnusableProblem(source, f"[{position}].chunk_idx", index, expected)
        last = index
        for key, value in chunk.items():
            if _is_importance(key) and value is not None and not _is_finite_number(value):
                raise UnusableProblem(source, f"[{position}].{key}", value, "a finite number or null")
        for key in FRACTIONS:
            value = chunk.get(key)
            if value is not None and not (_is_finite_number(value) and 0 <= value <= 1):
                raise UnusableProblem(source, f"[{position}].{key}", value, "a number from 0 to 1, or null")
        tags = chunk.get(TAGS)
        if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise UnusableProblem(source, f"[{position}].{TAGS}", tags, "a list of texts, or null")
        for tag in tags or ():
            check_text(source, f"[{position}].{TAGS}", tag)
    if all(is_blank(chunk["chunk"]) for chunk in chunks):
        raise UnusableProblem(source, "(whole file)", chunks, "a list of at least one sentence that is not blank")


def check_text(source: str, field: str, text: Any) -> None:
    """Refuse half of a surrogate pair, which is legal JSON but cannot be tokenized, hashed or stored.

    Raises:
        UnusableProblem: with the characters around it. What is no text is not looked at.
    """
    if not isinstance(text, str):
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        found = text[max(error.start - 10, 0) : error.start + 10]
        raise UnusableProblem(source, field, found, "text without lone surrogates") from error


def _is_importance(key: str) -> bool:
    # A divergence of an empty or one-sided group has no value; where it is the label, the label rule judges it. An
    # interval of an importance is none.
    return "importance" in key and not key.endswith(("_kl", "_interval", "_bounds"))


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
