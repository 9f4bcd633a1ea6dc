"""Markdown tables from values.

Belongs here: text of tables. Stays out: where a table is put (marker-delimited blocks), files, computing numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

UNDEFINED = "n/a"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# An underscore between letters or digits means nothing in Markdown; so names of models stay readable as text.
_MARKS = re.compile(r"[\\`*\[\]{}|~$!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_AUTOLINK = re.compile(r"(?i)(?<=[a-z]):(?=//)|(?<=www)\.|(?<=mailto):|(?<=xmpp):")


def escape(text: str) -> str:
    """Make text safe inside a table cell: shown as it is, on one line, with no Markdown or HTML meaning."""
    line = _CONTROL.sub(" ", text).strip()
    line = _AUTOLINK.sub(lambda match: "\\" + match.group(), _MARKS.sub(lambda match: "\\" + match.group(), line))
    return re.sub(r"&", "&amp;", line).replace("<", "&lt;").replace(">", "&gt;")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], decimals: int = 4) -> str:
    """Render a GitHub Markdown table whose columns are also aligned as plain text; ends with a newline.

    Raises:
        ValueError: as ``table_cells``.
    """
    return "".join(f"{line_of(cells)}\n" for cells in table_cells(headers, rows, decimals))


def table_cells(headers: Sequence[str], rows: Iterable[Sequence[Any]], decimals: int = 4) -> list[list[str]]:
    """Padded cells of the lines of a table: the heading, the rule below it, then the rows.

    Floats get ``decimals`` places, None and NaN are ``n/a``, booleans yes or no, everything else its escaped text.
    A column without text is aligned to the right.

    Raises:
        ValueError: a row has another number of cells than there are headers; no headers.
    """
    values = [list(row) for row in rows]
    if not headers:
        raise ValueError("a table needs headers")
    odd = [index for index, row in enumerate(values) if len(row) != len(headers)]
    if odd:
        raise ValueError(f"rows {odd} do not have {len(headers)} cells")
    cells = [[escape(header) for header in headers], *([_cell(value, decimals) for value in row] for row in values)]
    right = [bool(values) and all(_is_number(row[column]) for row in values) for column in range(len(headers))]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headers))]
    rule = ["-" * (width - 1) + ":" if to_right else "-" * width for width, to_right in zip(widths, right, strict=True)]
    return [_padded(cells[0], widths, right), rule, *(_padded(row, widths, right) for row in cells[1:])]


def line_of(cells: Sequence[str]) -> str:
    """A line of a table from its padded cells."""
    return f"| {' | '.join(cells)} |"


def comparison_table(rows: Sequence[Mapping[str, Any]], leading: Sequence[str] = ()) -> str:
    """Every score of a comparison with its verdict; ``leading`` names keys of the rows to put first."""
    return table(*comparison_columns(rows, leading))


def comparison_columns(
    rows: Sequence[Mapping[str, Any]], leading: Sequence[str] = ()
) -> tuple[list[str], list[list[Any]]]:
    """Headers and values of ``comparison_table``."""
    columns = ["score", "average precision", "against", "difference [95 %]", "p", "of ceiling [95 %]", "verdict"]
    lines = [
        [
            *(row[key] for key in leading),
            row["name"],
            row["average_precision"],
            row["against"],
            _with_interval(row),
            _p_value(row["p"]),
            _share(row),
            row["verdict"],
        ]
        for row in rows
    ]
    return [*leading, *columns], lines


FLOOR = 1.05e-4
"""P-values up to this are the least that ten thousand random flips can give: a bound, not a value."""


def _p_value(value: float) -> float | str:
    return "≤ 0.0001" if value <= FLOOR else value


def _share(row: Mapping[str, Any]) -> str:
    if row["share_of_ceiling"] is None:
        return UNDEFINED
    if row["share_low"] is None:
        return f"{row['share_of_ceiling']:.0%}"
    return f"{row['share_of_ceiling']:.0%} ({row['share_low']:.0%} to {row['share_high']:.0%})"


def _with_interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['difference']:+.3f}"
    return f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"


def results_table(aggregated: Mapping[str, Any]) -> str:
    """Test means over seeds of every model, best first; the std follows where the model depends on the seed."""
    metrics = [aggregated["primary_metric"], *(m for m in aggregated["metrics"] if m != aggregated["primary_metric"])]
    rows = [
        [row["model"], *(_mean_and_std(row, metric) for metric in metrics)] for row in aggregated["summary_by_model"]
    ]
    return table(["model", *metrics], rows)


def _mean_and_std(row: Mapping[str, Any], metric: str) -> Any:
    mean, std = row[f"{metric}_mean"], row[f"{metric}_std"]
    if mean is None or not row["depends_on_seed"]:
        return mean
    return f"{mean:.4f} ± {std:.4f}"


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return UNDEFINED if np.isnan(value) else f"{value:.{decimals}f}"
    return escape(str(value))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float, np.number)) and not isinstance(value, bool))


def _padded(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    return [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
