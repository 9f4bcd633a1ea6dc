"""No claim of better or worse rests on so few problems that no scores could reach its level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import mixed_problems
from ta_checks.rules.levels import CLAIMS, MIN_PROBLEMS_FOR_CLAIM
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """The verdicts of the rows against the problems that hold both classes."""
    return {"rows": evidence.value["rows"], "n_problems": mixed_problems(evidence)}


def enough_problems(rows: Iterable[Mapping[str, Any]], n_problems: int) -> Verdict:
    """Fail when a row claims a difference though fewer than ``MIN_PROBLEMS_FOR_CLAIM`` problems hold both classes.

    Args:
        rows: of a comparison; ``name`` and ``verdict`` are read.
        n_problems: problems with anchors and other sentences, counted from the labels and not from the comparison.
    """
    rows = list(rows)
    claims = [f"{row['name']}: {row['verdict']}" for row in rows if row["verdict"] in CLAIMS]
    offenders = claims if n_problems < MIN_PROBLEMS_FOR_CLAIM else []
    message = f"{len(claims)} claims rest on {n_problems} problems, at least {MIN_PROBLEMS_FOR_CLAIM} are needed"
    return Verdict.judge(len(offenders), "==", 0, unit="claims", n=len(rows), offenders=offenders, message=message)


ROW = Invariant(
    "enough_problems",
    "probe_comparison",
    read,
    enough_problems,
    "A probe is called better or worse on so few problems that no scores could reach the level. Use more problems; "
    "nothing can be claimed from these.",
)
