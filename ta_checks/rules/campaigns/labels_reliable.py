"""Two halves of a campaign tell the same sentences apart: without that, no probe can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns.own_draws import OwnTrace, importances, own_traces, same_words
from ta_checks.verdict import Verdict

LEAST = 0.5
"""Reliability of the whole campaign below which half of the variance of its labels, or more, is chance."""
FEWEST = 3
"""Sentences of a trace below which it has no correlation."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Rollouts with even numbers against those with odd ones, of every trace of the corpus."""
    return {"traces": own_traces(evidence)}


def labels_reliable(traces: Iterable[OwnTrace]) -> Verdict:
    """Warn where the importances of two halves of the campaign hardly agree.

    The figure is the mean over traces of the correlation of both halves' importances, raised to the whole campaign by
    r' = 2 r / (1 + r) (Spearman 1910; Brown 1910). A re-used draw is in the half of the rollout that it is of, so that
    the halves share nothing. Sentences are compared by their text, also where a cosine decides the labels.
    """
    found = [one for trace in traces if (one := _between_halves(trace)) is not None]
    if not found:
        return Verdict.skipped("no trace has enough sentences whose importances differ")
    half = float(np.mean(found))
    whole = 2 * half / (1 + half) if half > -1 else -1.0
    message = f"importances of two halves of the campaign correlate by {half:.2f}, of two whole ones by {whole:.2f}"
    if whole < LEAST:
        message += ": most of what probes are to learn is chance; more rollouts help, other probes do not"
    return Verdict.judge(
        whole, ">=", LEAST, unit="reliability", n=len(found), message=message, details={"of_half_a_campaign": half}
    )


def _between_halves(trace: OwnTrace) -> float | None:
    halves = []
    for odd in (0, 1):
        draws = {place: [one for one in of if one.index % 2 == odd] for place, of in trace.draws.items()}
        halves.append(importances(trace.sentences, draws, same_words)["counterfactual"][:-1])
    if len(halves[0]) < FEWEST or any(np.ptp(half) == 0 for half in halves):
        return None
    return float(np.corrcoef(*halves)[0, 1])


ROW = Invariant(
    "labels_reliable",
    "labels",
    read,
    labels_reliable,
    "Two halves of this campaign disagree about which sentences matter, so that labels are mostly chance and no probe "
    "can do well on them. Ask for more rollouts per sentence; the noise ceiling of the comparison says what it brings.",
    severity="WARN",
)
