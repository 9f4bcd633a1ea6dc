"""Fault x check: every planted fault against every check of every cell.

Belongs here: running and judging. Stays out: the faults (``faults``), the worlds (``world``), releases without a fault
(``clean``), what is written about them (``document``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.core.errors import InputError
from ta_assets.ledger.table import FACTS, Scope
from ta_checks.report.rows import ADDED, MADE
from ta_checks.table import INVARIANTS
from tests.proof.faults import REFUSED, Fault, catalogue
from tests.proof.world import World, build, in_child, say

PART = "matrix"
OF_DATASETS = [one for one in INVARIANTS if FACTS[one.asset].scope is not Scope.GENERATED]
"""Checks of the world's study, which reads a dataset. Faults of rollouts that are made are planted in a campaign, by
``tests/checks/test_campaign_faults.py``."""
ROLLED_UP = (MADE.name, *(f"{row.name}[release_verdict]" for row in ADDED if row is not MADE))
Row = dict[str, Any]


def run(
    folder: Path,
    faults: Iterable[Fault] | None = None,
    log: Callable[[str], None] = say,
) -> dict[str, Any]:
    """Plant every fault in a copy of a healthy release.

    Args:
        folder: empty or absent; worlds are made below it.
        faults: by default the whole catalogue.
        log: receives one line a fault.

    Returns:
        Counts faults, caught, caught_by_named_check, checks_without_fault; and ``rows``.

    Raises:
        RuntimeError: the healthy release is not OK.
    """
    faults = catalogue() if faults is None else tuple(faults)
    with dg.DagsterInstance.ephemeral() as instance:
        world = build(folder / "healthy", instance)
        baseline = in_place(world)
        rows = [judged(world, folder / "fault", fault, baseline, log) for fault in faults]
    return {**counts(rows), "rows": rows}


def in_place(world: World) -> set[str]:
    """Release the healthy world; the checks and cells that warn nevertheless, which catch nothing.

    Raises:
        RuntimeError: it is not OK.
    """
    import os

    before = Path.cwd()
    os.chdir(world.folder)
    try:
        verdict = world.release()
    finally:
        os.chdir(before)
    if verdict["verdict"] != "OK":
        raise RuntimeError(f"the healthy release is not OK: {alarms(verdict, set())}")
    return {_key(row) for row in verdict["checks"] if row["status"] != "passed"}


def judged(world: World, folder: Path, fault: Fault, baseline: set[str], log: Callable[[str], None]) -> Row:
    """One fault in a copy of the world, and whether its check noticed."""
    started = time.monotonic()

    def planted(copy: World) -> dict[str, Any]:
        fault.plant(copy)  # an error in here is none of the product's answer
        try:
            verdict = fault.judge(copy)
        except InputError as error:
            return {"refusal": str(error), "verdict": "", "alarms": []}
        if fault.check == REFUSED:
            return {"refusal": "", "verdict": "", "alarms": []}
        return {"refusal": "", "verdict": verdict["verdict"], "alarms": alarms(verdict, baseline)}

    try:
        found = in_child(world, folder, planted)
    except RuntimeError as error:
        found = {"refusal": "", "verdict": "", "alarms": [], "error": str(error)}
    own = [
        alarm
        for alarm in found["alarms"]
        if (alarm["check"], alarm["asset"], alarm["status"]) == (fault.check, fault.asset, fault.status)
    ]
    refused = bool(found["refusal"]) and all(text in found["refusal"] for text in fault.expected)
    named = refused if fault.check == REFUSED else bool(own)
    said = found["refusal"] or next((alarm["message"] for alarm in own), "")
    row = {
        "part": PART,
        "name": fault.name,
        "check": fault.check if fault.check == REFUSED else f"{fault.check}[{fault.asset}]",
        "caught": named or refused or found["verdict"] == "NOT OK",
        "caught_by_named_check": named,
        "said": said.replace(str(folder), "…"),
        "alarms": sorted({f"{one['check']}[{one['asset']}] {one['status']}" for one in found["alarms"]}),
        "error": found.get("error", ""),
        "seconds": round(time.monotonic() - started, 1),
    }
    mark = "caught" if named else "CAUGHT BY OTHERS" if row["caught"] else "MISSED"
    log(f"{mark:16} {row['check']:42} {fault.name} ({row['seconds']} s)")
    return row


def alarms(verdict: dict[str, Any], baseline: set[str]) -> list[dict[str, str]]:
    """Every row of a verdict that is not passed and was before."""
    return [
        {"check": row["name"], "asset": row["asset"], "status": row["status"], "message": str(row["message"])[:300]}
        for row in verdict["checks"]
        if row["status"] != "passed" and _key(row) not in baseline
    ]


def counts(rows: list[Row]) -> dict[str, int]:
    """The integers of the matrix."""
    return {
        "faults": len(rows),
        "caught": sum(row["caught"] for row in rows),
        "caught_by_named_check": sum(row["caught_by_named_check"] for row in rows),
        "checks_without_fault": len(checks_without_fault(rows)),
    }


def checks_without_fault(rows: list[Row]) -> list[str]:
    """Checks that caught none of the faults that name them; ``made`` is one check, whatever the asset."""
    caught = {row["check"] for row in rows if row["caught_by_named_check"]}
    caught |= {check.partition("[")[0] for check in caught if check.startswith(f"{MADE.name}[")}
    wanted = [f"{one.name}[{one.asset}]" for one in OF_DATASETS]
    return [check for check in (*wanted, *ROLLED_UP) if check not in caught]


def _key(row: dict[str, Any]) -> str:
    return f"{row['name']} {row['asset']} {row['partition']}"
