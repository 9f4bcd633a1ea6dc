"""What a deferral plan promises on validation rows holds there, and the test problems do not contradict it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.deferral_recomputes import PlannedRows, planned_rows
from ta_checks.rules.levels import ALPHA
from ta_checks.verdict import Verdict

TOLERANCE = 1e-12
"""Largest excess that rounding explains: a mean of rates that are all exactly at the limit."""
RATES = {"budget": "deferral_rate", "error": "accepted_error"}
"""Objective -> the rate that it limits."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The plan's objective on val, and the decisions on every test problem."""
    value = evidence.value
    rate = RATES[value["objective"]]
    return {
        "objective": value["objective"],
        "limit": value["limit"],
        "test": planned_rows(evidence, ("test",)),
        "infeasible": [
            f"seed {plan['seed']}, {plan['group']}: {rate} {plan['val'][rate]}"
            for plan in value["plans"]
            if not plan["meets_objective"]
        ],
        "n": len(value["plans"]),
    }


def deferral_objective_met(
    objective: str, limit: float, test: Sequence[PlannedRows], infeasible: Sequence[str], n: int
) -> Verdict:
    """Fail when some plan could not keep the objective where it was chosen, or test problems say that it is broken.

    A rate on a few test problems is above a limit that holds every other time. So it must be above by more than
    problems differ: Student's one-sided lower limit over them. Of a single problem it is the binomial one of its
    sentences, as if these were independent.

    Args:
        objective: ``budget`` (of deferred rows) or ``error`` (among decided rows).
        limit: largest rate.
        test: test rows under every plan.
        infeasible: the plans (seed and group) that do not keep it on validation rows.
        n: number of plans.

    Returns:
        observed is the lower limit of the mean rate over test problems; skipped where none has a rate.
    """
    unit = "share deferred on test" if objective == "budget" else "share of errors on test"
    if infeasible:
        message = f"{len(infeasible)} of {n} plans keep no {objective} of {limit} on validation rows"
        return Verdict.no_faults(infeasible, n=n, unit="plans", message=message)
    rates, counts = _rates(test, objective)
    if not len(rates):
        return Verdict.skipped("nothing was decided on test rows")
    low = _lower_limit(rates, counts)
    message = f"{objective} of at most {limit}: {rates.mean():.3f} over {len(rates)} test problems, at least {low:.3f}"
    observed = min(low, limit) if low <= limit + TOLERANCE else low
    return Verdict.judge(observed, "<=", limit, unit=unit, n=n, message=message)


ROW = Invariant(
    "deferral_objective_met",
    "deferral_plan",
    read,
    deferral_objective_met,
    "The plan does not keep its objective: no thresholds do on the validation problems, or the test problems say that "
    "those which do there fail elsewhere. Not an error of the pipeline: ask for less, or use more problems.",
    severity="WARN",
)


def _rates(plans: Sequence[PlannedRows], objective: str) -> tuple[np.ndarray, np.ndarray]:
    """[n_problems] rate of each problem over all plans, of errors where anything is decided; and of how many rows."""
    problems = np.concatenate([plan.problems for plan in plans]) if plans else np.zeros(0)
    decided = np.concatenate([plan.decisions() >= 0 for plan in plans]) if plans else np.zeros(0, dtype=bool)
    wrong = np.concatenate([plan.decisions() != plan.anchors for plan in plans]) & decided if plans else decided
    found: list[tuple[float, int]] = []
    for problem in np.unique(problems):
        own = decided[problems == problem]
        if objective == "budget":
            found.append((1 - own.mean(), len(own)))
        elif own.any():
            found.append((wrong[problems == problem].sum() / own.sum(), int(own.sum())))
    table = np.array(found, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _lower_limit(rates: np.ndarray, counts: np.ndarray) -> float:
    from scipy.stats import beta, t

    n = len(rates)
    if n == 1:
        hits = round(rates[0] * counts[0])
        return float(beta.ppf(ALPHA, hits, counts[0] - hits + 1)) if hits else 0.0
    return float(rates.mean() - t.ppf(1 - ALPHA, n - 1) * rates.std(ddof=1) / np.sqrt(n))
