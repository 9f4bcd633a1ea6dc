"""Text that knows its artifact: pieces of lines, each with the artifact it is of; and the numbers printed in them.

Belongs here: the pieces and what can be asked of them. Stays out: what a block says (``block``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ta_assets.ledger.table import Node

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?(?![\w])")
"""As printed: a sign, thousands with commas, an exponent or a percent sign may belong to it."""
BETWEEN = " | "
"""What stands between the cells of a table."""


@dataclass(frozen=True)
class Span:
    """A piece of a line."""

    text: str
    node: Node | None = None
    """The artifact that it is of; None for what holds no number of its own, such as the bars of a table."""
    what: str = ""
    """What it is of that artifact: names of its row and column."""


Line = tuple[Span, ...]
"""The pieces of one line, in their order."""


@dataclass(frozen=True)
class Found:
    """Where a number stands in a report, and whose it is."""

    line: str
    what: str
    """Names of its row and column."""
    node: Node


def row(cells: Sequence[str], node: Node | None = None, whats: Sequence[str] = ()) -> Line:
    """A line of a table from its padded cells, one span each, see ``core.markdown.table_cells``.

    Args:
        cells: the padded texts.
        node: the artifact that all cells are of.
        whats: what each cell is of it; nothing by default.
    """
    spans: list[Span] = [Span("| ")]
    for text, what in zip(cells, whats or [""] * len(cells), strict=True):
        spans += [Span(text, node, what), Span(BETWEEN)]
    return (*spans[:-1], Span(" |"))


def text_of(line: Line) -> str:
    """A line as it is printed."""
    return "".join(span.text for span in line)


def render(block: Sequence[Line]) -> str:
    """A block as it is printed."""
    return "\n".join(map(text_of, block))


def numbers(block: Sequence[Line]) -> Iterator[tuple[str, Found]]:
    """Every number of a block with what it is: (as printed, where and whose)."""
    for line in block:
        for span in line:
            if span.node is not None:
                found = Found(text_of(line), span.what, span.node)
                yield from ((number, found) for number in NUMBER.findall(span.text))


def to_json(block: Sequence[Line]) -> list[list[list[str]]]:
    """A block as it is recorded: for each span its text, then asset, partition and what, where it has an artifact."""
    return [[[one.text] if one.node is None else [one.text, *one.node, one.what] for one in line] for line in block]


def from_json(recorded: Sequence[Sequence[Sequence[str]]]) -> list[Line]:
    """The block that ``to_json`` recorded."""
    return [tuple(_span(*one) for one in line) for line in recorded]


def _span(text: str, asset: str = "", partition: str = "", what: str = "") -> Span:
    return Span(text, (asset, partition) if asset else None, what)
