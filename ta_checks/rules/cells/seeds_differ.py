"""Seeds change what depends on a seed, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import SCORE_PREFIX, SEEDED


def read(evidence: Evidence) -> dict[str, Any]:
    """The predictions of the aggregated seeds against each other."""
    cells = evidence.aggregated_cells()
    models = {model for cell in cells.values() for model in cell.metrics["models"]}
    return {
        "predictions": {seed: cell.predictions for seed, cell in cells.items()},
        "seeded": models & set(SEEDED),
    }


def seeds_differ(predictions: Mapping[int, pd.DataFrame], seeded: Collection[str]) -> Verdict:
    """Fail on two seeds with equal scores of a seeded model, and on different scores of any other.

    Args:
        predictions: seed -> the cell's val and test rows with ``score_<model>``, in one order.
        seeded: models that depend on the seed.
    """
    if len(predictions) < 2:
        return Verdict.skipped(f"{len(predictions)} seeds: there is nothing to compare")
    names = sorted({name for table in predictions.values() for name in table.columns if name.startswith(SCORE_PREFIX)})
    faults, n = [], 0
    for name in names:
        model = name.removeprefix(SCORE_PREFIX)
        for a, b in combinations(sorted(predictions), 2):
            n += 1
            if name not in predictions[a] or name not in predictions[b]:
                faults.append(f"{model}: only one of the seeds {a} and {b} has scores")
                continue
            equal = np.array_equal(predictions[a][name].to_numpy(), predictions[b][name].to_numpy())
            if equal and model in seeded:
                faults.append(f"{model}: seeds {a} and {b} have equal scores")
            if not equal and model not in seeded:
                faults.append(f"{model}: seeds {a} and {b} have other scores, though no seed changes it")
    return Verdict.no_faults(faults, n=n, message=f"{n} pairs of seeds compared, {len(faults)} faults")


ROW = Invariant(
    "seeds_differ",
    "aggregate_metrics",
    read,
    seeds_differ,
    "Two seeds gave the same seeded probe, or other scores of a model that knows no seed: a standard deviation "
    "over seeds says nothing. Materialize the cells; if it stays red, the seed does not reach the probe.",
)
