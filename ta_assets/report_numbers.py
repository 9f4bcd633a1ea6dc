"""The numbers of a study's block of results, and which artifact each of them is of.

Belongs here: reading the block as ``readme`` writes it. Stays out: finding and verifying artifacts (``trace``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ta_assets.study import Study

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?(?![\w])")
"""As printed: a sign, thousands with commas, an exponent or a percent sign may belong to it."""


@dataclass(frozen=True)
class Found:
    """Where a number stands in a report, and whose it is."""

    line: str
    what: str
    """Names of its row and column."""
    node: tuple[str, str]


def numbers_of(block: str, study: Study) -> Iterator[tuple[str, Found]]:
    """Every number of a block of results with what it is: (as printed, where and whose).

    Tables belong to the artifact that their header tells; lines below them to the setting or corpus that they name.
    """
    header: list[str] = []
    for line in block.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not header:
                header = cells
            elif not set(line) <= set("|-: "):
                node, row = _row(header, cells, study)
                for column, cell in zip(header, cells, strict=True):
                    for number in NUMBER.findall(cell):
                        yield number, Found(line, f"{row}: {column}", node)
            continue
        header = []
        name = re.match(r"- (\w+): ", line)
        if name:
            made_from = "data prefix" in line or "language model" in line
            node = ("activations" if made_from else "probe_comparison", name[1])
            for number in NUMBER.findall(line):
                yield number, Found(line, name[1], node)


def _row(header: list[str], cells: list[str], study: Study) -> tuple[tuple[str, str], str]:
    """The artifact that a row of a table is of, and its name."""
    if header[0] == "check":
        return ("readme_block", study.name), cells[0]
    if header[1] == "score":
        return ("probe_comparison", cells[0]), f"{cells[0]}, {cells[1]}"
    return ("aggregate_metrics", cells[0]), f"{cells[0]}, {cells[1]}"
