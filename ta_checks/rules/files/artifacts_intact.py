"""Rule: the stored files of a cell are those that were recorded when it was materialized.

Belongs here: this rule. Stays out: hashing and where the record is kept, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping

from ta_checks.verdict import Verdict


def artifacts_intact(recorded: Mapping[str, str] | None, found: Mapping[str, str | None]) -> Verdict:
    """Fail when a file is missing, changed or was never recorded, and when nothing was recorded at all.

    Args:
        recorded: file -> sha256 in hex, from the latest materialization; None when it recorded nothing.
        found: file -> sha256 of what lies on disk now; None for a file that cannot be read.
    """
    if not recorded:
        return Verdict.failed("no content hashes were recorded: materialize the cell again", n=len(found))
    offenders = []
    for file in sorted({*recorded, *found}):
        there = found.get(file)
        if file not in recorded and there is None:
            continue
        if file not in recorded:
            offenders.append(f"{file}: not recorded")
        elif there is None:
            offenders.append(f"{file}: missing")
        elif there.lower() != recorded[file].lower():
            offenders.append(f"{file}: changed, sha256 {there[:12]} instead of {recorded[file][:12]}")
    message = f"{len(offenders)} differences between the disk and the {len(recorded)} recorded files"
    if offenders:
        message += ": changed behind Dagster's back, materialize the cell again"
    return Verdict.judge(len(offenders), "<=", 0, unit="files", n=len(recorded), offenders=offenders, message=message)
