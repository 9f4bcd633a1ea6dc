"""A setting has at least as many problems as in the release before."""

from __future__ import annotations

from typing import Any

from ta_assets.ledger.table import Role, with_role
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

COUNTED_BY = "problems_as_asked"
"""The check whose row in a verdict says how many problems a setting had."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored ids against the number of problems in the verdict before this one."""
    store, study, before = evidence.world.store, evidence.study.name, None
    (verdict,) = with_role(Role.VERDICT)
    if store.exists(verdict, study):
        rows = store.load(verdict, study)["checks"]
        counts = [row["n"] for row in rows if (row["name"], row["partition"]) == (COUNTED_BY, evidence.partition)]
        before = int(counts[0]) if counts else None
    return {"now": len(evidence.value), "before": before}


def corpus_not_shrunk(now: int, before: int | None) -> Verdict:
    """Fail when there are fewer problems than there were.

    Args:
        now: number of problems of the setting.
        before: the same in the release before; None when there was none.
    """
    known = now if before is None else before
    message = f"{now} problems, {'no release before to compare with' if before is None else f'{before} before'}"
    return Verdict.judge(now, ">=", known, unit="problems", n=now, message=message)


ROW = Invariant(
    "corpus_not_shrunk",
    "problem_ids",
    read,
    corpus_not_shrunk,
    "The setting has fewer problems than in the release before. Where nobody has asked for fewer, problems were lost "
    "from the data, and results are about those that are left.",
    severity="WARN",
    every_release=True,
)
