"""The mean of a setting is over all seeds of its study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ta_assets.core.options import SEEDS
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """The seeds of the aggregate against those of the study."""
    return {"seeds": evidence.value["seeds"], "left_out": evidence.value["left_out"], "wanted": SEEDS}


def all_seeds_aggregated(seeds: Sequence[int], left_out: Mapping[str, str], wanted: int) -> Verdict:
    """Fail when the mean is over fewer or more seeds than the study has.

    Args:
        seeds: in the mean.
        left_out: seed -> why its cell is not in the mean.
        wanted: number of seeds of the study.
    """
    return Verdict.judge(
        len(seeds),
        "==",
        wanted,
        unit="seeds",
        n=wanted,
        offenders=[f"seed {seed}: {reason}" for seed, reason in sorted(left_out.items())],
        message=f"{len(seeds)} of {wanted} seeds are in the mean",
    )


ROW = Invariant(
    "all_seeds_aggregated",
    "aggregate_metrics",
    read,
    all_seeds_aggregated,
    "The mean is over fewer seeds than the study has; the offenders say which cells were left out and why. "
    "Repair those cells and release again.",
)
