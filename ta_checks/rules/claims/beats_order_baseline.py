"""Some probe ranks sentences better than the untrained order, in which earlier sentences are more important."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims import precisions
from ta_checks.rules.inference import holm, one_sided_p
from ta_checks.rules.levels import ALPHA, MIN_PROBLEMS
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """Every probe's lead over the untrained order, from the out-of-fold scores."""
    rivals = dict.fromkeys(precisions.probes(evidence), "order")
    return {"leads": precisions.leads(evidence, rivals), "factors": precisions.factors(evidence, rivals)}


def beats_order_baseline(leads: Mapping[str, np.ndarray], factors: Mapping[str, float]) -> Verdict:
    """Fail when no probe's lead over the order stands out over problems (Student's test, Holm over the probes).

    Args:
        leads: probe -> [n_problems] its average precision less that of the order, problem by problem.
        factors: probe -> factor on the standard error of its lead (``precisions.factors``).

    Returns:
        observed is the least adjusted p-value; offenders are the probes above the level.
    """
    n = min((len(values) for values in leads.values()), default=0)
    if n < MIN_PROBLEMS:
        return Verdict.skipped(f"{n} problems hold anchors, at least {MIN_PROBLEMS} are needed")
    adjusted = holm({name: one_sided_p(values, factors[name]) for name, values in leads.items()})
    offenders = [f"{name}: lead {leads[name].mean():+.3f}, p {p:.3g}" for name, p in adjusted.items() if p > ALPHA]
    return Verdict.judge(
        min(adjusted.values()),
        "<=",
        ALPHA,
        unit="adjusted p",
        n=n,
        offenders=offenders,
        message=f"{len(leads) - len(offenders)} of {len(leads)} probes beat the untrained order",
    )


ROW = Invariant(
    "beats_order_baseline",
    "probe_comparison",
    read,
    beats_order_baseline,
    "No probe is better than ranking earlier sentences higher, which needs no model and no training. Not an error "
    "of the pipeline: there is nothing to claim.",
    severity="WARN",
)
