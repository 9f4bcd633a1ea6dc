"""No problem of a corpus was skipped by the extraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ta_assets.core.values import Skip
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations


def read(evidence: Evidence) -> dict[str, Any]:
    """The skips that the extraction recorded, and problems that it lost without a word."""
    activations: Activations = evidence.value
    skipped = [Skip(**skip) for skip in activations.record["skipped"]]
    wanted = set(evidence.problems_of_corpus())
    lost = sorted(wanted - set(activations.shards) - {skip.problem_id for skip in skipped})
    skipped += [Skip(problem_id, "lost", "neither extracted nor recorded as skipped") for problem_id in lost]
    return {"skipped": skipped, "n_problems": len(wanted)}


def zero_skipped_problems(skipped: Sequence[Skip], n_problems: int) -> Verdict:
    """Fail when any of the ``n_problems`` that were attempted has no activations, or when none was attempted."""
    if n_problems < 1:
        return Verdict.failed("no problem was attempted: the corpus is empty")
    message = f"{len(skipped)} of {n_problems} problems were skipped"
    if skipped:
        message += ": the study would report on fewer problems than it names"
    offenders = [f"problem {skip.problem_id}: {skip.kind}: {skip.reason}" for skip in skipped]
    return Verdict.no_faults(offenders, n=n_problems, unit="problems", message=message)


ROW = Invariant(
    "zero_skipped_problems",
    "activations",
    read,
    zero_skipped_problems,
    "Some problems have no activations, so results are about fewer problems than the study says. The offenders "
    "carry the reasons: a longer context, more memory or a repaired text helps; or leave them out of the study.",
)
