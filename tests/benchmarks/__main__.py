"""``make benchmark``: every claim measured, written to ``artifacts/benchmarks`` and printed; the inference's table goes
into ``docs/benchmarks.md``.

``python -m tests.benchmarks inference`` measures one of the two groups.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ta_assets.core.markdown import table
from tests.benchmarks import bootstrap, extraction, inference, inference_speed, planning, release

FOLDER = Path("artifacts/benchmarks")
DOCUMENT = Path("docs/benchmarks.md")
START, END = "<!-- TA_BENCHMARK_START inference -->", "<!-- TA_BENCHMARK_END inference -->"


def performance() -> list[dict[str, Any]]:
    """Speed and memory; SmolLM2's folder may be given in ``TA_SMOLLM2``."""
    model = os.environ.get("TA_SMOLLM2")
    return [*bootstrap.run(), *extraction.run(Path(model) if model else None), *release.run(), *planning.run()]


def comparison() -> list[dict[str, Any]]:
    """Error rates, and the speed of the comparison."""
    return [*inference.run(), *inference_speed.run()]


GROUPS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {"performance": performance, "inference": comparison}


def main(names: Iterable[str]) -> None:
    """Run some or all groups."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        records = GROUPS[name]()
        target = FOLDER / f"{name}.json"
        target.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        for record in records:
            print(f"{record['value']:12.4g} {record['comparison']} {record['bar'] or '':<8} {record['claim']}")
        print(target)
        if name == "inference":
            write_table(records)


def write_table(records: list[dict[str, Any]]) -> None:
    """Put the measured claims between the markers of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = text.index(START) + len(START), text.index(END)
    rows = [
        [
            record["claim"],
            f"{record['value']:.4g}",
            "" if record["bar"] is None else f"{record['comparison']} {record['bar']:g}",
            record["n"],
        ]
        for record in records
    ]
    block = table(["claim", "measured", "bar", "n"], rows)
    DOCUMENT.write_text(f"{text[:start]}\n{block}{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or GROUPS)
