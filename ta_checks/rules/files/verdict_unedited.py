"""The files of a verdict that lie on the disk are the ones that its release wrote.

No row of the table: the next release judges it, before it writes its own files. Stays out: reading the record and the
files, which the asset ``release_verdict`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ta_checks.invariant import AddedRow
from ta_checks.verdict import Verdict


def verdict_unedited(recorded: Sequence[Mapping[str, str]], found: Mapping[str, str | None]) -> Verdict:
    """Fail when a file of the earlier verdict is gone or is not the one that its release recorded.

    Args:
        recorded: records of releases, each name of a file -> sha256 in hex, the newest first; then older ones, whose
            files releases that died may have left in place. No record, or an empty first one: no earlier verdict.
        found: name of a file -> sha256 in hex of its content; None when it is not there.
    """
    names = [*recorded[0]] if recorded else []
    wrong = [name for name in names if found.get(name) not in {one.get(name) for one in recorded}]
    offenders = [
        f"{name} is gone" if found.get(name) is None else f"{name} was edited since its release wrote it"
        for name in wrong
    ]
    message = "the earlier verdict is as it was written" if names else "no earlier verdict is recorded"
    return Verdict.no_faults(offenders, n=len(names), unit="files", message="; ".join(offenders) or message)


ROW = AddedRow(
    "verdict_unedited",
    "The files of the earlier verdict against the hashes that Dagster recorded when its release wrote them.",
    "A file of the verdict before this one is gone or is not the one that was recorded when it was written: whoever "
    "read it may have read something else. Find out who changed it; this release has written it anew.",
)
