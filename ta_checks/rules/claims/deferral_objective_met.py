"""Rule: what a deferral plan promises on validation rows holds there, and on the test rows too.

Belongs here: this rule. Stays out: choosing thresholds, Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

from ta_checks.verdict import Verdict

TOLERANCE = 1e-12
"""A mean of rates that are exactly at the limit may be off by rounding."""


def deferral_objective_met(
    objective: str, limit: float, test_rate: float | None, infeasible: Sequence[str], n: int
) -> Verdict:
    """Fail when some plan could not keep the objective where it was chosen, or all together do not on test rows.

    Args:
        objective: ``budget`` (of deferred rows) or ``error`` (among decided rows).
        limit: largest rate.
        test_rate: mean over seeds of that rate on test rows; None when nothing was decided.
        infeasible: the plans (seed and group) that do not keep it on validation rows.
        n: how many plans there are.
    """
    unit = "share deferred on test" if objective == "budget" else "share of errors on test"
    if infeasible:
        return Verdict.judge(
            len(infeasible), "<=", 0, unit="plans", n=n, offenders=infeasible,
            message=f"{len(infeasible)} of {n} plans keep no {objective} of {limit} on validation rows",
        )  # fmt: skip
    found = test_rate if test_rate is None or test_rate > limit + TOLERANCE else min(test_rate, limit)
    shown = "nothing was decided" if test_rate is None else f"{test_rate:.3f}"
    return Verdict.judge(
        found, "<=", limit, unit=unit, n=n, message=f"{objective} of at most {limit}: {shown} on test rows"
    )
