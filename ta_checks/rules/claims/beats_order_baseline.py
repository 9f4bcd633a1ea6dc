"""Rule: some probe ranks sentences better than the untrained order, earlier being more important."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ta_assets.core.statistics.intervals import ALPHA, MIN_PROBLEMS_FOR_INTERVAL, holm, one_sided_p
from ta_checks.verdict import Verdict


def beats_order_baseline(leads: Mapping[str, np.ndarray], factors: Mapping[str, float]) -> Verdict:
    """Fail when no probe's lead over the order stands out over problems (Student's test, Holm over the probes).

    Args:
        leads: probe -> [n_problems] its average precision less that of the order, problem by problem.
        factors: probe -> factor on the standard error of its lead (``jackknife.factor``).

    Returns:
        observed is the least adjusted p-value; offenders are the probes above the level.
    """
    n = min((len(values) for values in leads.values()), default=0)
    if n < MIN_PROBLEMS_FOR_INTERVAL:
        return Verdict.skipped(f"{n} problems hold anchors, at least {MIN_PROBLEMS_FOR_INTERVAL} are needed")
    p_values = np.array([one_sided_p(values, inflation=factors[name]) for name, values in leads.items()])
    adjusted = dict(zip(leads, holm(p_values), strict=True))
    offenders = [f"{name}: lead {leads[name].mean():+.3f}, p {p:.3g}" for name, p in adjusted.items() if p > ALPHA]
    return Verdict.judge(
        float(min(adjusted.values())), "<=", ALPHA, unit="adjusted p", n=n, offenders=offenders,
        message=f"{len(leads) - len(offenders)} of {len(leads)} probes beat the untrained order",
    )  # fmt: skip
