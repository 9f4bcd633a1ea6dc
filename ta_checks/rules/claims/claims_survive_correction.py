"""Rule: nothing is claimed, or would be claimed by a single test, that the correction for looking at all takes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_assets.core.results.claims import BEYOND
from ta_assets.core.statistics.intervals import ALPHA, one_sided_p
from ta_checks.rules.claims.enough_problems import CLAIMS
from ta_checks.verdict import Verdict


def claims_survive_correction(
    rows: Iterable[Mapping[str, Any]], leads: Mapping[str, np.ndarray], factors: Mapping[str, float]
) -> Verdict:
    """Fail when a probe's lead over its hardest rival is significant alone but not among all that were looked at.

    Such a probe is what gets published when only the best of many is reported.

    Args:
        rows: of a comparison; ``name``, ``kind``, ``p``, those of ``claims.BEYOND`` and ``verdict`` are read.
        leads: probe -> [n_problems] its lead over its hardest rival, recomputed from the scores.
        factors: probe -> factor on the standard error of its lead (``jackknife.factor``).
    """
    probes = [row for row in rows if row["kind"] in ("increment", "probe")]
    offenders, single = [], 0
    for row in probes:
        alone = 2 * min(one_sided_p(leads[row["name"]], inflation=factors[row["name"]]), 0.5)
        single += alone <= ALPHA
        tests = [row[key] for key in ("p", *BEYOND) if row[key] is not None]
        corrected = max(tests, default=1.0)
        if row["verdict"] in CLAIMS[:1] and corrected > ALPHA:
            offenders.append(f"{row['name']}: called better with corrected p {corrected:.3g}")
        elif alone <= ALPHA < corrected:
            offenders.append(f"{row['name']}: p {alone:.3g} alone, {corrected:.3g} corrected")
    return Verdict.judge(
        len(offenders), "==", 0, unit="claims", n=len(probes), offenders=offenders,
        message=f"{single} of {len(probes)} probes lead by a single test; the correction takes back {len(offenders)}",
    )  # fmt: skip
