"""The table of columns in ``docs/data.md``, from the schema of the sentence table.

Stays out: the rest of that document, which is written by hand.
"""

from __future__ import annotations

import math
from pathlib import Path

from ta_assets.core.markdown import table
from ta_assets.core.traces.labels import COLUMNS, Column

DOCUMENT = Path(__file__).parents[2] / "docs/data.md"
START, END = "<!-- columns of the sentence table: start -->", "<!-- columns of the sentence table: end -->"


def render() -> str:
    """The document with its table as the code has it now."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    rows = [[name, one.dtype, _values(one), one.meaning] for name, one in COLUMNS.items()]
    written = table(["column", "dtype", "values", "meaning"], rows)
    return f"{before}{START}\n\n{written.strip()}\n\n{END}{after}"


def _values(column: Column) -> str:
    """Bounds in words."""
    ends = [f"{words} {end:g}" for words, end in (("at least", column.low), ("at most", column.high))
            if math.isfinite(end)]  # fmt: skip
    return ", ".join([*ends, *([] if column.known else ["or unknown (NaN)"])])
