"""The tables of a page of results, read back by a parser of its own, say what the artifacts hold, cell by cell.

Stays out: whether the files are the stored page (``readme_is_current``), whether the artifacts are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ta_assets.ledger.table import ASSETS, partitions_of, read_together
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.files.page_tables import Table, agrees, numbers, tables_of
from ta_checks.verdict import Verdict
from ta_checks.written_twice import SEEDED

HEADLINES = {"increment": 1, "probe": 2, "baseline": 1, "diagnosis": 1}
"""Best rows of a setting that stand in a README, by kind; kinds in the order in which a table has them."""
LEAST_P = 1.05e-4
"""P-values up to this are the least of ten thousand flips, printed as a bound."""
ROUNDED = {"ap": 4, "lead": 3, "p": 4, "percent": 0, "mean": 4}
"""Decimals of what is printed."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored page against comparisons, means over seeds, and what the event log says of every check."""
    world, settings = evidence.world, list(evidence.study.settings)
    stored = {
        asset: {one: world.store.load(asset, one) for one in settings if world.store.exists(asset, one)}
        for asset in ("probe_comparison", "aggregate_metrics")
    }
    page = evidence.value
    read_together(world, evidence.study)
    cells = [
        (asset, one) for asset in ASSETS if asset != evidence.asset for one in partitions_of(asset, evidence.study)
    ]
    counted: dict[str, tuple[int, int]] = {}
    for name in (row[0] for table in tables_of(page) if "passed" in table.headers for row in table.rows):
        states = [world.ledger.check(asset, name, one) for asset, one in cells] if name != "made" else []
        told = [state.metadata.get("status") for state in states if state is not None]
        counted[name] = (told.count("passed"), len(told)) if name != "made" else (len(cells), len(cells))
    return {
        "page": page,
        "comparisons": stored["probe_comparison"],
        "aggregates": stored["aggregate_metrics"],
        "counted": counted,
    }


def page_tells_artifacts(
    page: str,
    comparisons: Mapping[str, Mapping[str, Any]],
    aggregates: Mapping[str, Mapping[str, Any]],
    counted: Mapping[str, tuple[int, int]],
) -> Verdict:
    """Fail on a printed cell that its artifact does not give, on a row that is absent or too many, on another order.

    Args:
        page: Markdown.
        comparisons: setting -> ``rows`` of its comparison.
        aggregates: setting -> ``seeds``, ``summary_by_model``, ``primary_metric``.
        counted: check -> cells that passed it, cells in which it was evaluated; of ``made`` the cells that there are.
    """
    faults: list[str] = []
    compared = [table for table in tables_of(page) if "verdict" in table.headers]
    seeds = [table for table in tables_of(page) if "seeds" in table.headers]
    checks = [table for table in tables_of(page) if "passed" in table.headers]
    shape = len(compared), len(seeds), len(checks)
    if shape != (2, 1, 1):
        return Verdict.failed(f"{shape} tables of comparisons, of means and of checks, expected 2, 1 and 1")
    for table, short in zip(compared, (True, False), strict=True):
        faults += _of_comparisons(table, comparisons, short)
    faults += [*_of_means(seeds[0], aggregates), *_of_checks(checks[0], counted)]
    n = sum(len(table.headers) * len(table.rows) for table in (*compared, *seeds, *checks))
    return Verdict.no_faults(faults, n=n, message=f"{n} printed cells held against artifacts, {len(faults)} faults")


ROW = Invariant(
    "page_tells_artifacts",
    "readme_block",
    read,
    page_tells_artifacts,
    "A table of the results prints a number, a word or an order that the artifacts do not hold: the page is not to be "
    "read. Materialize readme_block; if it stays red, what renders the page is wrong.",
    every_release=True,
)


def _of_comparisons(table: Table, comparisons: Mapping[str, Mapping[str, Any]], short: bool) -> Iterator[str]:
    wanted: list[tuple[str, str]] = []
    known = {}
    for setting, value in comparisons.items():
        places = {kind: place for place, kind in enumerate(HEADLINES)}
        ranked = sorted(value["rows"], key=lambda row: (places[row["kind"]], -row["average_precision"], row["name"]))
        seen: Counter[str] = Counter()
        for row in ranked:
            known[setting, row["name"]] = row
            seen[row["kind"]] += row["twin_of"] is None
            if not short or (row["twin_of"] is None and seen[row["kind"]] <= HEADLINES[row["kind"]]):
                wanted.append((setting, row["name"]))
    found = [(row[0], row[1]) for row in table.rows]
    if found != wanted:
        yield f"the {'short' if short else 'whole'} comparison has rows {_differ(found, wanted)}"
    for cells in table.rows:
        row = known.get((cells[0], cells[1]))
        if row is not None:
            yield from (f"{cells[0]}, {cells[1]}: {fault}" for fault in _of_row(table.named(cells), row))


def _of_row(cells: Mapping[str, str], row: Mapping[str, Any]) -> Iterator[str]:
    share = [row[name] for name in ("share_of_ceiling", "share_low", "share_high")]
    for column, values, decimals in (
        ("average precision", [row["average_precision"]], ROUNDED["ap"]),
        ("difference [95 %]", [row["difference"], row["low"], row["high"]], ROUNDED["lead"]),
        ("p", [row["p"]], ROUNDED["p"]),
        ("of ceiling [95 %]", [None if one is None else 100 * one for one in share], ROUNDED["percent"]),
    ):
        told = [value for value in values if value is not None]
        if not agrees(numbers(cells[column]), told, decimals):
            yield f"{column} is printed as {cells[column]}, the artifact holds {values}"
    if row["p"] <= LEAST_P and not cells["p"].startswith("≤"):
        yield f"p is printed as {cells['p']}, which is the least that flips of signs can give and no value"
    for column, name in (("against", "against"), ("verdict", "verdict")):
        if cells[column] != str(row[name]):
            yield f"{column} is printed as {cells[column]!r}, the artifact holds {row[name]!r}"


def _of_means(table: Table, aggregates: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    rows, wanted = {}, []
    for setting, value in aggregates.items():
        for row in value["summary_by_model"]:
            rows[setting, row["model"]] = (row, value)
            wanted.append((setting, row["model"]))
    found = [(cells[0], cells[1]) for cells in table.rows]
    if found != wanted:
        yield f"the means over seeds have rows {_differ(found, wanted)}"
    for cells in table.rows:
        if (cells[0], cells[1]) not in rows:
            continue
        (row, value), named = rows[cells[0], cells[1]], table.named(cells)
        if named["seeds"] != str(len(value["seeds"])):
            yield f"{cells[0]}, {cells[1]}: {named['seeds']} seeds are printed, the mean is over {len(value['seeds'])}"
        for metric in table.headers[3:]:
            values = [row[f"{metric}_mean"], *([row[f"{metric}_std"]] if row["model"] in SEEDED else [])]
            if not agrees(numbers(named[metric]), values, ROUNDED["mean"]):
                yield f"{cells[0]}, {cells[1]}: {metric} is printed as {named[metric]}, the artifact holds {values}"


def _of_checks(table: Table, counted: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    sums: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for name, _, passed, every in table.rows:
        sums[name] += int(passed)
        of[name] += int(every)
    for name, (passed, every) in counted.items():
        too_many = sums[name] > passed if name == "made" else sums[name] != passed
        if too_many or of[name] != every:
            yield f"{name} is printed as passed in {sums[name]} of {of[name]} cells, it did in {passed} of {every}"


def _differ(found: Sequence[Any], wanted: Sequence[Any]) -> str:
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted)))
    return f"that differ from the artifacts' from row {at} on: {found[at : at + 1]}, expected {wanted[at : at + 1]}"
