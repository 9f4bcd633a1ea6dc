"""The stored files of a cell are those that were recorded when it was materialized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ta_assets.ledger.table import ASSETS
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """Every recorded file against the one on disk."""
    latest = evidence.world.ledger.materialization(evidence.asset, evidence.partition)
    recorded = latest.metadata.get("files") if latest else None
    stored = evidence.world.store.hashes(evidence.asset, evidence.partition)
    return {"recorded": recorded, "found": {**dict.fromkeys(recorded or {}), **stored}}


def artifacts_intact(recorded: Mapping[str, str] | None, found: Mapping[str, str | None]) -> Verdict:
    """Fail when a file is missing, changed or was never recorded, and when nothing was recorded at all.

    Args:
        recorded: file -> sha256 in hex, from the latest materialization; None when it recorded nothing.
        found: file -> sha256 of its content on disk now; None for a file that cannot be read.
    """
    if not recorded:
        return Verdict.failed("no content hashes were recorded: materialize the cell again", n=len(found))
    differences = []
    for file in sorted({*recorded, *found}):
        there = found.get(file)
        if file not in recorded and there is None:
            continue
        if file not in recorded:
            differences.append(f"{file}: not recorded")
        elif there is None:
            differences.append(f"{file}: missing")
        elif there.lower() != recorded[file].lower():
            differences.append(f"{file}: changed, sha256 {there[:12]} instead of {recorded[file][:12]}")
    message = f"{len(differences)} differences between the disk and the {len(recorded)} recorded files"
    if differences:
        message += ": changed behind Dagster's back, materialize the cell again"
    return Verdict.no_faults(differences, n=len(recorded), unit="files", message=message)


ROWS = tuple(
    Invariant(
        "artifacts_intact",
        asset,
        read,
        artifacts_intact,
        "A stored file is missing or is not the one that was recorded when the cell was made: it was changed "
        "outside Dagster. Nothing made from it can be believed. Find out why, then materialize the cell.",
        blocking=True,
        every_release=True,
    )
    for asset in ASSETS
)
