"""No claim of better or worse rests on so few problems that no scores could reach its level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import mixed_problems
from ta_checks.rules.levels import CLAIMS
from ta_checks.verdict import Verdict

MOST = 100
"""Problems beyond which no level asks for more."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The verdicts of the rows and their level against the problems that hold both classes."""
    value = evidence.value
    return {"rows": value["rows"], "n_problems": mixed_problems(evidence), "level": value["level"]}


def enough_problems(rows: Iterable[Mapping[str, Any]], n_problems: int, level: float) -> Verdict:
    """Fail when a row claims a difference on so few problems of both classes that no flips of signs reach its level.

    Of n problems the least two-sided p-value is 2 / 2^n.

    Args:
        rows: of a comparison; ``name`` and ``verdict`` are read.
        n_problems: problems with anchors and other sentences, counted from the labels and not from the comparison.
        level: what p-values must reach.
    """
    rows, least = list(rows), 1
    while 2 / 2**least > level and least < MOST:
        least += 1
    claims = [f"{row['name']}: {row['verdict']}" for row in rows if row["verdict"] in CLAIMS]
    offenders = claims if n_problems < least else []
    message = f"{len(claims)} claims rest on {n_problems} problems, at least {least} are needed"
    return Verdict.judge(len(offenders), "==", 0, unit="claims", n=len(rows), offenders=offenders, message=message)


ROW = Invariant(
    "enough_problems",
    "probe_comparison",
    read,
    enough_problems,
    "A probe is called better or worse on so few problems that no scores could reach the level. Use more problems; "
    "nothing can be claimed from these.",
)
