"""Rule: no problem of a corpus was skipped by the extraction.

Belongs here: this rule. Stays out: why a problem is skipped (the language model resource records that), Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

from ta_assets.core.values import Skip
from ta_checks.verdict import Verdict


def zero_skipped_problems(skipped: Sequence[Skip], n_problems: int) -> Verdict:
    """Fail when any of the ``n_problems`` that were attempted has no activations, or when none was attempted."""
    if n_problems < 1:
        return Verdict.failed("no problem was attempted: the corpus is empty")
    message = f"{len(skipped)} of {n_problems} problems were skipped"
    if skipped:
        message += ": the study would report on fewer problems than it names"
    return Verdict.judge(
        len(skipped),
        "<=",
        0,
        unit="problems",
        n=n_problems,
        offenders=[f"problem {skip.problem_id}: {skip.kind}: {skip.reason}" for skip in skipped],
        message=message,
    )
