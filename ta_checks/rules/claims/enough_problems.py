"""Rule: no claim of better or worse rests on so few problems that no scores could reach its level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ta_assets.core.statistics.power import MIN_PROBLEMS_FOR_CLAIM
from ta_checks.verdict import Verdict

CLAIMS = ("better", "worse")


def enough_problems(rows: Iterable[Mapping[str, Any]], n_problems: int) -> Verdict:
    """Fail when a row claims a difference though fewer than ``MIN_PROBLEMS_FOR_CLAIM`` problems hold both classes.

    Args:
        rows: of a comparison; ``name`` and ``verdict`` are read.
        n_problems: problems with anchors and other sentences, counted from the labels and not from the comparison.
    """
    rows = list(rows)
    claims = [f"{row['name']}: {row['verdict']}" for row in rows if row["verdict"] in CLAIMS]
    offenders = claims if n_problems < MIN_PROBLEMS_FOR_CLAIM else []
    return Verdict.judge(
        len(offenders), "==", 0, unit="claims", n=len(rows), offenders=offenders,
        message=f"{len(claims)} claims rest on {n_problems} problems, at least {MIN_PROBLEMS_FOR_CLAIM} are needed",
    )  # fmt: skip
