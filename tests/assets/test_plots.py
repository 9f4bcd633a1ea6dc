"""What stands in Dagster's pages fits on a screen."""

from __future__ import annotations

import base64
import struct

import pandas as pd
import pytest

from ta_assets.pages import plots

DIALOG = (1000, 850)
"""Width and height in pixels of what Dagster's dialog shows without scrolling."""


def size_of(markdown: str) -> tuple[int, int]:
    """Width and height of the PNG in a piece of Markdown."""
    content = base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize("height", [4.0, 5.6])
def test_a_plot_is_as_large_as_the_dialog_has_room_for(height: float) -> None:
    made = plots.figure(lambda axes: axes.plot([0, 1]), "a setting (study b): what it is", height=height)
    width, tall = size_of(made.md_str or "")
    assert 900 <= width <= DIALOG[0]
    assert 600 <= tall <= DIALOG[1]


def test_of_many_problems_some_are_named() -> None:
    many = plots.tokens({str(problem): 10 for problem in range(100)}, "a corpus (study b)")
    assert size_of(many.md_str or "") == size_of(plots.tokens({"1": 10}, "a corpus (study b)").md_str or "")


@pytest.mark.parametrize("blocks", [1, 3, 20])
def test_a_long_text_is_cut_into_screens_and_none_of_it_is_lost(blocks: int) -> None:
    text = "\n\n".join("\n".join(f"line {line} of {block}" for line in range(8)) for block in range(blocks))
    pieces = plots.screens("report", text)
    assert "\n\n".join(piece.md_str or "" for piece in pieces.values()) == text
    assert all(len((piece.md_str or "").splitlines()) <= plots.MAX_LINES for piece in pieces.values())
    assert next(iter(pieces)) == ("report" if blocks <= 3 else "report 1 of 7")


def test_a_table_for_a_page_is_no_longer_than_a_screen() -> None:
    shown = plots.markdown_table(pd.DataFrame({"a": range(500)}))
    assert len(shown.splitlines()) <= plots.MAX_LINES
    assert "more rows in the artifact" in shown
