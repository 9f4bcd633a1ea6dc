"""Tables of a Markdown page, read back: a parser that knows nothing of what renders them.

Belongs here: cells and the numbers in them. Stays out: what they must say (``page_tells_artifacts``).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
ROUNDING = 1e-9


@dataclass(frozen=True)
class Table:
    """One table."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def named(self, cells: Sequence[str]) -> dict[str, str]:
        """The cells of a row by their headers."""
        return dict(zip(self.headers, cells, strict=True))


def tables_of(page: str) -> list[Table]:
    """The tables of a page: a heading, a rule of dashes, and rows."""
    found = []
    for is_table, lines in groupby(page.splitlines(), key=lambda line: line.startswith("|")):
        if is_table:
            heading, _, *rows = [_cells(line) for line in lines]
            found.append(Table(heading, tuple(rows)))
    return found


def numbers(cell: str) -> list[float]:
    """Every number that a cell prints."""
    return [float(one) for one in NUMBER.findall(cell)]


def agrees(printed: Sequence[float], values: Sequence[float | None], decimals: int) -> bool:
    """Whether numbers are those values, rounded to so many decimals."""
    bound = 0.5 * 10.0**-decimals + ROUNDING
    pairs = zip(printed, values, strict=False)
    return len(printed) == len(values) and all(b is not None and abs(a - b) <= bound for a, b in pairs)


def _cells(line: str) -> tuple[str, ...]:
    parts = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return tuple(html.unescape(re.sub(r"\\(.)", r"\1", part.strip())) for part in parts)
