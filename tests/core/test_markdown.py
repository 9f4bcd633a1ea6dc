"""Tables as text, whatever the dataset holds."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.markdown import escape, results_table, table
from ta_assets.core.results.aggregate import aggregate

markdown_it = pytest.importorskip("markdown_it", reason="renders the tables as a reader would see them")

NASTY = [
    "a | b",
    "a\nb\r\nc\u2028d",
    "<script>alert(1)</script>",
    "<!-- EXPERIMENT_RESULTS_END -->",
    "**bold** _it_ `code` ~~gone~~",
    "[text](http://example.org) ![image](x)",
    "&lt;b&gt; &amp; &#60;",
    "\\| \\",
    "http://example.org www.example.org HTTPS://example.org mailto:a@example.org",
    "position_baseline __init__ _x",
    "$x^2$ {{ moustache }}",
]


def rendered_cells(text: str) -> list[str]:
    """Cells of the body as HTML."""
    parser = markdown_it.MarkdownIt("gfm-like", {"linkify": False})
    return re.findall(r"<td[^>]*>(.*?)</td>", parser.render(text), flags=re.DOTALL)


def shown(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


@pytest.mark.parametrize("text", NASTY)
def test_text_is_shown_as_it_is_and_means_nothing(text: str) -> None:
    cells = rendered_cells(table(["before", "text", "after"], [["x", text, "y"]]))
    assert len(cells) == 3
    assert "<" not in cells[1]
    assert html.unescape(cells[1]) == shown(text)


@given(st.text(alphabet=st.sampled_from("ab|\\`*_[]{}<>!~$&#;:/.-w \n\t()1"), max_size=25))
def test_any_text_stays_in_its_cell(text: str) -> None:
    cells = rendered_cells(table(["before", "text", "after"], [["x", text, "y"]]))
    assert len(cells) == 3
    assert "<" not in cells[1]
    assert html.unescape(cells[1]).split() == shown(text).split()


def test_names_of_models_stay_readable_as_plain_text() -> None:
    assert escape("activations_plus_position") == "activations_plus_position"


def test_a_table_is_aligned_as_plain_text() -> None:
    assert table(["model", "n", "score"], [["a", 3, 0.25], ["long name", 12, None]], decimals=2) == (
        "| model     |   n | score |\n"
        "| --------- | --: | ----: |\n"
        "| a         |   3 |  0.25 |\n"
        "| long name |  12 |   n/a |\n"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.12345, "0.1235"),
        (np.float32(0.5), "0.5000"),
        (float("nan"), "n/a"),
        (None, "n/a"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (np.int64(7), "7"),
    ],
)
def test_values_have_one_way_to_be_written(value: Any, expected: str) -> None:
    assert rendered_cells(table(["v"], [[value]])) == [expected]


def test_a_table_without_rows_has_its_headers() -> None:
    assert table(["model", "n"], []) == "| model | n   |\n| ----- | --- |\n"


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \[1\] do not have 2 cells"):
        table(["a", "b"], [[1, 2], [3]])
    with pytest.raises(ValueError, match="needs headers"):
        table([], [])


def test_results_are_listed_best_first_with_a_spread_only_where_the_seed_matters() -> None:
    def cell(mlp: float) -> dict[str, Any]:
        values = {"mlp_probe": mlp, "linear_probe": 0.5, "position_baseline": None}
        both = {model: {"pr_auc": value, "average_precision": value} for model, value in values.items()}
        return {"models": {model: {"val": one, "test": one} for model, one in both.items()}}

    text = results_table(aggregate({0: cell(0.1), 1: cell(0.3)}))
    assert text == (
        "| model             | average_precision | pr_auc          |\n"
        "| ----------------- | ----------------- | --------------- |\n"
        "| linear_probe      | 0.5000            | 0.5000          |\n"
        "| mlp_probe         | 0.2000 ± 0.1000   | 0.2000 ± 0.1000 |\n"
        "| position_baseline | n/a               | n/a             |\n"
    )
