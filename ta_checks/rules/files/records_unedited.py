"""What the event log says of a check changes by an evaluation only.

No row of the table: each release judges it before it writes its own verdict. Stays out: reading the earlier verdict and
the log, which the asset ``release_verdict`` does; files that were edited (``verdict_unedited``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ta_checks.invariant import AddedRow
from ta_checks.verdict import Verdict

Key = tuple[str, str, str]
"""Check, asset, partition."""
RED = ("failed", "warned")
"""One finding of an ERROR check and of a WARN check, which a check may have become."""


def records_unedited(
    earlier: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]], was_evaluated_before: Callable[[Key], bool]
) -> Verdict:
    """Fail on a row that says something else than in the earlier verdict and was not evaluated since.

    Args:
        earlier: rows of the earlier verdict as its file has them.
        now: the present ones.
        was_evaluated_before: whether the answer that now stands in the log is older than the earlier verdict; asked of
            rows that differ.
    """
    before = {_key(row): row for row in earlier}
    found = [(before[_key(row)], row) for row in now if _key(row) in before]
    offenders = [
        f"{row['name']} of {row['asset']}[{row['partition']}] was {old['status']}, is {row['status']}, and nobody "
        "evaluated it in between"
        for old, row in found
        if _answer(old) != _answer(row) and was_evaluated_before(_key(row))
    ]
    message = f"{len(found)} rows of the earlier verdict still stand, or were evaluated since"
    if not before:
        message = "no earlier verdict is recorded"
    return Verdict.no_faults(offenders, n=len(found), unit="rows", message="; ".join(offenders) or message)


ROW = AddedRow(
    "records_unedited",
    "Every row of the earlier verdict against the event log now: one that changed must have been evaluated since.",
    "What the event log says of a check is not what it said when the verdict before this one was given, and the check "
    "was not evaluated in between: somebody edited the record. Materialize the cell, and find out who.",
)


def _key(row: Mapping[str, Any]) -> Key:
    return row["name"], row["asset"], row["partition"]


def _answer(row: Mapping[str, Any]) -> tuple[Any, ...]:
    status = RED[0] if row["status"] in RED else row["status"]
    return status, row["observed"], row["n"]
