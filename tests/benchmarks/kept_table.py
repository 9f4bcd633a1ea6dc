"""A table of claims of which each is measured by itself and kept, with the hash of the code that it was measured on.

Belongs here: the record of what was measured, the table in ``docs/benchmarks.md``. Stays out: measuring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_assets.core.markdown import table
from ta_assets.ledger.fingerprint import code_sha256

DOCUMENT = Path(__file__).parents[2] / "docs/benchmarks.md"
Record = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One claim."""

    claim: str
    """In words, where nothing was measured yet."""
    bar: str
    sets: int
    """Data sets that make its Monte-Carlo error small enough."""
    measure: Callable[[int], Record]


@dataclass(frozen=True)
class KeptTable:
    """Rows by their key, kept in ``NAME.json`` beside this file."""

    name: str
    rows: Mapping[str, Row]
    """In the order of the document."""

    def measure(self, wanted: Sequence[str]) -> None:
        """Measure rows and keep what was found after each.

        Args:
            wanted: beginnings of keys, or ``all``; ``KEY=400`` measures with so many data sets.
        """
        for one in wanted:
            start, _, sets = one.partition("=")
            for key in [key for key in self.rows if start == "all" or key.startswith(start)]:
                row = self.rows[key]
                record = row.measure(int(sets) if sets else row.sets)
                print(f"{record['value']:10.4g} {row.bar:<8} {record['claim']}; {record['detail']}", flush=True)
                kept = {**self.stored(), key: {**record, "code_sha256": code_sha256()}}
                ordered = {name: kept[name] for name in self.rows if name in kept}
                self._measured.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        self.write()

    def stored(self) -> dict[str, Any]:
        """Key -> what was measured."""
        return json.loads(self._measured.read_text(encoding="utf-8")) if self._measured.exists() else {}

    def render(self) -> str:
        """The table of all rows."""
        found, lines = self.stored(), []
        for key, row in self.rows.items():
            one = found.get(key)
            if one is None:
                lines.append([row.claim, "not run", row.bar, "", f"needs {row.sets} data sets"])
            else:
                lines.append([one["claim"], f"{one['value']:.4g}", row.bar, str(one["n"]), one["detail"]])
        return table(["claim", "measured", "bar", "n", "error"], lines)

    def write(self) -> None:
        """Put the table between its markers in the document."""
        text = DOCUMENT.read_text(encoding="utf-8")
        first, last = (f"<!-- TA_BENCHMARK_{word} {self.name} -->" for word in ("START", "END"))
        start, end = text.index(first) + len(first), text.index(last)
        DOCUMENT.write_text(f"{text[:start]}\n{self.render()}{text[end:]}", encoding="utf-8")

    @property
    def _measured(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.json")
