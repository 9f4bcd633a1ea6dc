"""Nothing is claimed, or would be claimed by a single test, that the correction for looking at all takes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims import precisions
from ta_checks.rules.inference import one_sided_p
from ta_checks.rules.levels import ALPHA, FURTHER_TESTS, ON_ACTIVATIONS
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """Every probe's lead over its hardest rival, from the out-of-fold scores, and what the comparison says."""
    rows = evidence.value["rows"]
    rivals = {row["name"]: row["against"] for row in rows if row["kind"] in ON_ACTIVATIONS}
    return {
        "rows": rows,
        "leads": precisions.leads(evidence, rivals),
        "factors": precisions.factors(evidence, rivals),
    }


def claims_survive_correction(
    rows: Iterable[Mapping[str, Any]], leads: Mapping[str, np.ndarray], factors: Mapping[str, float]
) -> Verdict:
    """Fail when a probe's lead over its hardest rival is significant alone but not among all that were looked at.

    Such a probe is what gets published when only the best of many is reported.

    Args:
        rows: of a comparison; ``name``, ``kind``, ``p``, those of ``FURTHER_TESTS`` and ``verdict`` are read.
        leads: probe -> [n_problems] its lead over its hardest rival, recomputed from the scores.
        factors: probe -> factor on the standard error of its lead (``precisions.factors``).
    """
    probes = [row for row in rows if row["kind"] in ON_ACTIVATIONS]
    offenders, single = [], 0
    for row in probes:
        alone = 2 * min(one_sided_p(leads[row["name"]], factors[row["name"]]), 0.5)
        single += alone <= ALPHA
        corrected = max([row[key] for key in ("p", *FURTHER_TESTS) if row[key] is not None], default=1.0)
        if row["verdict"] == "better" and corrected > ALPHA:
            offenders.append(f"{row['name']}: called better with corrected p {corrected:.3g}")
        elif alone <= ALPHA < corrected:
            offenders.append(f"{row['name']}: p {alone:.3g} alone, {corrected:.3g} corrected")
    message = f"{single} of {len(probes)} probes lead by a single test; the correction takes back {len(offenders)}"
    return Verdict.judge(len(offenders), "==", 0, unit="claims", n=len(probes), offenders=offenders, message=message)


ROW = Invariant(
    "claims_survive_correction",
    "probe_comparison",
    read,
    claims_survive_correction,
    "A single test would call a probe better, the correction for all probes, blocks and baselines does not. Do not "
    "report it alone; the comparison says how many problems would decide.",
    severity="WARN",
)
