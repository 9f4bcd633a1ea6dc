"""Rule: seeds change what depends on a seed, and nothing else.

Belongs here: this rule. Stays out: which models depend on a seed (``core.probes``), reading, Dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from ta_checks.verdict import Verdict


def seeds_differ(predictions: Mapping[int, pd.DataFrame], seeded: Collection[str]) -> Verdict:
    """Fail on two seeds with equal scores of a seeded model, and on different scores of any other.

    Args:
        predictions: seed -> the cell's val and test rows with ``score_<model>``, in one order.
        seeded: models that depend on the seed.
    """
    if len(predictions) < 2:
        return Verdict.skipped(f"{len(predictions)} seeds: there is nothing to compare")
    names = sorted({name for table in predictions.values() for name in table.columns if name.startswith("score_")})
    offenders, n = [], 0
    for name in names:
        model = name.removeprefix("score_")
        for a, b in combinations(sorted(predictions), 2):
            n += 1
            if name not in predictions[a] or name not in predictions[b]:
                offenders.append(f"{model}: only one of the seeds {a} and {b} has scores")
                continue
            equal = np.array_equal(predictions[a][name].to_numpy(), predictions[b][name].to_numpy())
            if equal and model in seeded:
                offenders.append(f"{model}: seeds {a} and {b} have equal scores")
            if not equal and model not in seeded:
                offenders.append(f"{model}: seeds {a} and {b} have other scores, though no seed changes it")
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=n, offenders=offenders,
        message=f"{n} pairs of seeds compared, {len(offenders)} faults",
    )  # fmt: skip
