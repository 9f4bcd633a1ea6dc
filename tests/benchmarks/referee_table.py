"""Every row that a referee would ask for, with its bar; rows that were not measured say so.

``python -m tests.benchmarks.referee_table looks ceiling`` measures the rows whose key starts so, ``all`` every one,
and ``looks=400`` with so many data sets. What was measured is kept in ``referee.json`` beside this file, with the hash
of the code that it was measured on, and the table in ``docs/benchmarks.md`` is written anew.

Belongs here: the list. Stays out: measuring (``referee``, ``referee_labels``), keeping (``kept_table``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.benchmarks import referee, referee_labels
from tests.benchmarks.kept_table import KeptTable, Row


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


if __name__ == "__main__":
    KeptTable("referee", rows()).measure(sys.argv[1:])
