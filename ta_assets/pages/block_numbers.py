"""The numbers of a study's block of results, and which artifact each of them is of.

Belongs here: reading the block as ``readme`` writes it. Stays out: finding and verifying artifacts (``trace``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_assets.studies.study import Study

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?(?![\w])")
"""As printed: a sign, thousands with commas, an exponent or a percent sign may belong to it."""
_ABOUT = re.compile(r"(?:- |Left out: )(\w+): ")
"""How a line below a table begins that is about one setting or corpus."""


@dataclass(frozen=True)
class Found:
    """Where a number stands in a report, and whose it is."""

    line: str
    what: str
    """Names of its row and column."""
    node: tuple[str, str]


def numbers_of(block: str, study: Study, source: Path) -> Iterator[tuple[str, Found]]:
    """Every number of a block of results with what it is: (as printed, where and whose).

    Tables belong to the artifact that their header tells; lines below them to the setting or corpus that they name;
    headings and the table of checks to the block itself.

    Args:
        block: the text between the study's markers.
        study: whose block it is.
        source: the file it stands in, for errors.

    Raises:
        InputError: a line is none that a block of this study can have: somebody edited it.
    """
    header: list[str] = []
    for line in block.splitlines():
        if not line.startswith("|"):
            header = []
            node, what = _of_line(line, study, source)
            yield from ((number, Found(line, what, node)) for number in NUMBER.findall(line))
            continue
        cells = _cells(line, source)
        if not header:
            header = [_name(cell) for cell in cells]
            node, names = ("readme_block", study.name), ["heading of a table"] * len(header)
            _asset_of(header, line, source)
        elif set(line) <= set("|-: "):
            continue
        else:
            node, row = _of_row(header, cells, (line, study, source))
            names = [f"{row}: {column}" for column in header]
        for what, cell in zip(names, cells, strict=True):
            yield from ((number, Found(line, what, node)) for number in NUMBER.findall(cell))


def _of_line(line: str, study: Study, source: Path) -> tuple[tuple[str, str], str]:
    """The artifact that a line outside the tables is of, and its name."""
    about = _ABOUT.match(line)
    if about is None:
        return ("readme_block", study.name), "text of the block"
    name = about[1]
    if line.startswith("Left out: "):
        asset, known = "aggregate_metrics", tuple(study.settings)
    elif line.startswith((f"- {name}: data ", f"- {name}: no activations")):
        asset, known = "activations", study.corpora
    else:
        asset, known = "probe_comparison", tuple(study.settings)
    if name not in known:
        raise InputError(source, "line", line, f"one about {', '.join(known)}")
    return (asset, name), name


def _of_row(header: list[str], cells: list[str], where: tuple[str, Study, Path]) -> tuple[tuple[str, str], str]:
    """The artifact that a row of a table is of, and its name."""
    line, study, source = where
    if len(cells) != len(header):
        raise InputError(source, "table row", line, f"{len(header)} cells, as the heading has")
    asset, first, second = _asset_of(header, line, source), _name(cells[0]), _name(cells[1])
    if asset == "readme_block":
        return (asset, study.name), first
    if first not in study.settings:
        raise InputError(source, "table row", line, f"a setting among {', '.join(study.settings)} in its first cell")
    return (asset, first), f"{first}, {second}"


def _asset_of(header: list[str], line: str, source: Path) -> str:
    if header[:2] == ["check", "severity"]:
        return "readme_block"
    if header[:2] == ["setting", "score"]:
        return "probe_comparison"
    if header[:1] == ["setting"] and header[2:3] == ["seeds"]:
        return "aggregate_metrics"
    raise InputError(source, "table row", line, "the heading of a table of scores, of seeds or of checks")


def _cells(line: str, source: Path) -> list[str]:
    before, *cells, after = re.split(r"(?<!\\)\|", line)
    if before or after.strip() or not cells:
        raise InputError(source, "table row", line, "cells between bars")
    return cells


def _name(cell: str) -> str:
    """The text of a cell without the escapes of Markdown."""
    return cell.strip().replace("\\", "")
