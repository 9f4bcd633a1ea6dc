"""What a deferral plan promises on validation rows holds there, and on the test rows too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

TOLERANCE = 1e-12
"""Largest excess that rounding explains: a mean of rates that are all exactly at the limit."""
RATES = {"budget": "deferral_rate", "error": "accepted_error"}
"""Objective -> the rate that it limits."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The plan's objective on val, and its mean rate on test."""
    value = evidence.value
    rate = RATES[value["objective"]]
    return {
        "objective": value["objective"],
        "limit": value["limit"],
        "test_rate": value["summary"]["test"][rate],
        "infeasible": [
            f"seed {plan['seed']}, {plan['group']}: {rate} {plan['val'][rate]}"
            for plan in value["plans"]
            if not plan["meets_objective"]
        ],
        "n": len(value["plans"]),
    }


def deferral_objective_met(
    objective: str, limit: float, test_rate: float | None, infeasible: Sequence[str], n: int
) -> Verdict:
    """Fail when some plan could not keep the objective where it was chosen, or all together do not on test rows.

    Args:
        objective: ``budget`` (of deferred rows) or ``error`` (among decided rows).
        limit: largest rate.
        test_rate: mean over seeds of that rate on test rows; None when nothing was decided.
        infeasible: the plans (seed and group) that do not keep it on validation rows.
        n: number of plans.
    """
    unit = "share deferred on test" if objective == "budget" else "share of errors on test"
    if infeasible:
        message = f"{len(infeasible)} of {n} plans keep no {objective} of {limit} on validation rows"
        return Verdict.no_faults(infeasible, n=n, unit="plans", message=message)
    rounded = test_rate if test_rate is None or test_rate > limit + TOLERANCE else min(test_rate, limit)
    shown = "nothing was decided" if test_rate is None else f"{test_rate:.3f}"
    message = f"{objective} of at most {limit}: {shown} on test rows"
    return Verdict.judge(rounded, "<=", limit, unit=unit, n=n, message=message)


ROW = Invariant(
    "deferral_objective_met",
    "deferral_plan",
    read,
    deferral_objective_met,
    "The plan does not keep its objective: no thresholds do on the validation problems, or those that do there "
    "fail on the test problems. Not an error of the pipeline: ask for less, or use more problems.",
    severity="WARN",
)
