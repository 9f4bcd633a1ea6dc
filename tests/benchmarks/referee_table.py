"""Every row that a referee would ask for, with its bar; rows that were not measured say so.

``python -m tests.benchmarks.referee_table looks ceiling`` measures the rows whose key starts so, ``all`` every one,
and ``looks=400`` with so many data sets. What was measured is kept in ``referee.json`` beside this file, with the hash
of the code that it was measured on, and the table in ``docs/benchmarks.md`` is written anew.

Belongs here: the list, the record of what was measured. Stays out: measuring (``referee``, ``referee_labels``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_assets.core.markdown import table
from ta_assets.ledger.fingerprint import code_sha256
from tests.benchmarks import referee, referee_labels

MEASURED = Path(__file__).with_name("referee.json")
DOCUMENT = Path(__file__).parents[2] / "docs/benchmarks.md"
START, END = "<!-- TA_BENCHMARK_START referee -->", "<!-- TA_BENCHMARK_END referee -->"


@dataclass(frozen=True)
class Row:
    """One claim."""

    claim: str
    """In words, where nothing was measured yet."""
    bar: str
    sets: int
    """Data sets that make its Monte-Carlo error small enough."""
    measure: Callable[[int], referee.Record]


def rows() -> Mapping[str, Row]:
    """Key -> row, in the order of the document."""
    return dict(_rows())


def _rows() -> Iterator[tuple[str, Row]]:
    for low, high in ((8, 15), (60, 250)):
        for n in (12, 20, 40):
            claim = f"false 'better', activations hold only what is known, {n} problems of {low}-{high} sentences"
            yield f"known/{low}-{high}/{n}", Row(claim, "<= 0.05", 400, _of(referee.false_better, n, low, high))
    for verdict in ("better", "worse"):
        for n in (6, 12, 20, 60):
            claim = f"false {verdict!r}, nothing is known, labels and activations come in runs, {n} problems"
            yield f"nothing/{verdict}/{n}", Row(claim, "<= 0.05", 400, _of(referee.false_of_nothing, verdict, n))
    yield (
        "planted",
        Row("a planted increment is found at 20 problems", ">= 0.8", 200, _of(referee.planted, 20, 1.5)),
    )
    for regime in referee.REGIMES:
        for n in (6, 12, 20, 40, 60):
            claim = f"coverage of the interval of a lead over a trained rival, {regime}, {n} problems"
            yield f"coverage/{regime}/{n}", Row(claim, ">= 0.93", 1000, _of(referee.coverage, regime, n))
    for true in (60, 150):
        for pilot in (8, 12, 20, 40):
            claim = f"power at the stated number is at least .8, true number {true}, pilot of {pilot}"
            yield f"needed/{true}/{pilot}", Row(claim, ">= 0.8", 400, _of(referee.planned_power, true, pilot))
    claim = "a true zero is significant at some of four looks (12, 20, 40, 80)"
    yield "looks", Row(claim, "<= 0.05", 100_000, _of(referee.repeated_looks))
    claim = "false 'better' in a study of 6 settings of 12 problems"
    yield "settings", Row(claim, "<= 0.05", 200, _of(referee.false_among_settings, 6, 12))
    yield "sweep", Row("false 'better' of a sweep of 3 layers", "<= 0.05", 1000, _of(referee_labels.swept_nothing, 3))
    for size in (20, 25, 30, 50, 60):
        claim = f"a campaign of {size} rollouts is counted rightly, or 100 said of it is red"
        yield f"campaign/{size}", Row(claim, ">= 1", 20, _of(referee_labels.campaigns, size))
    for world in referee_labels.WORLDS:
        claim = f"noise ceiling off by, {world}"
        yield f"ceiling/{world}", Row(claim, "<= 0.03", 20, _of(referee_labels.ceiling, world))
    for target in ("chance", "size"):
        for world in [*referee_labels.WORLDS][3:]:
            claim = f"gain of training on the posterior ({target}), {world}"
            yield (
                f"posterior/{target}/{world}",
                Row(claim, ">= 0.03", 30, _of(referee_labels.posterior_gain, world, target)),
            )
    claim = "a problem under two ids, three words changed, is red"
    yield "twins", Row(claim, ">= 1", 100, _of(referee_labels.twins_are_red))
    for objective in ("budget", "error"):
        for n in (3, 6, 15):
            claim = f"an honest plan is called broken, {objective}, {n} problems a side"
            yield f"deferral/{objective}/{n}", Row(claim, "<= 0.1", 400, _of(referee_labels.deferral_red, objective, n))


def _of(measure: Callable[..., referee.Record], *given: Any) -> Callable[[int], referee.Record]:
    return lambda sets: measure(*given, sets)


def measure(wanted: Sequence[str]) -> None:
    """Measure rows and keep what was found after each."""
    known = rows()
    for one in wanted:
        start, _, sets = one.partition("=")
        for key in [key for key in known if start == "all" or key.startswith(start)]:
            row = known[key]
            record = row.measure(int(sets) if sets else row.sets)
            print(f"{record['value']:10.4g} {row.bar:<8} {record['claim']}; {record['detail']}", flush=True)
            kept = {**stored(), key: {**record, "code_sha256": code_sha256()}}
            ordered = {name: kept[name] for name in known if name in kept}
            MEASURED.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    write()


def stored() -> dict[str, Any]:
    """Key -> what was measured."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}


def render() -> str:
    """The table of all rows."""
    found, lines = stored(), []
    for key, row in rows().items():
        one = found.get(key)
        if one is None:
            lines.append([row.claim, "not run", row.bar, "", f"needs {row.sets} data sets"])
        else:
            lines.append([one["claim"], f"{one['value']:.4g}", row.bar, str(one["n"]), one["detail"]])
    return table(["claim", "measured", "bar", "n", "error"], lines)


def write() -> None:
    """Put the table between its markers in the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = text.index(START) + len(START), text.index(END)
    DOCUMENT.write_text(f"{text[:start]}\n{render()}{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    measure(sys.argv[1:])
