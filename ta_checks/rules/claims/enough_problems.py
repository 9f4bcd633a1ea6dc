"""Rule: no claim of better or worse rests on fewer problems than an interval needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ta_assets.core.statistics.intervals import MIN_PROBLEMS_FOR_INTERVAL
from ta_checks.verdict import Verdict

CLAIMS = ("better", "worse")


def enough_problems(rows: Iterable[Mapping[str, Any]], n_problems: int) -> Verdict:
    """Fail when a row claims a difference though fewer than ``MIN_PROBLEMS_FOR_INTERVAL`` problems hold both classes.

    Args:
        rows: of a comparison; ``name`` and ``verdict`` are read.
        n_problems: problems with anchors and other sentences, counted from the labels and not from the comparison.
    """
    rows = list(rows)
    claims = [f"{row['name']}: {row['verdict']}" for row in rows if row["verdict"] in CLAIMS]
    offenders = claims if n_problems < MIN_PROBLEMS_FOR_INTERVAL else []
    return Verdict.judge(
        len(offenders), "==", 0, unit="claims", n=len(rows), offenders=offenders,
        message=f"{len(claims)} claims rest on {n_problems} problems, at least {MIN_PROBLEMS_FOR_INTERVAL} are needed",
    )  # fmt: skip
