"""No problem of a corpus was skipped, neither when its sentences were labelled nor by the extraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ta_assets.core.values import Skip
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations


def read_labels(evidence: Evidence) -> dict[str, Any]:
    """The problems of the corpus' settings that the table lacks, each with why it cannot be labelled."""
    from ta_assets.core.traces.labels import label_or_skip

    study, rollouts = evidence.study, evidence.world.rollouts
    wanted = set(evidence.problems_of_corpus())
    lacking = sorted(wanted - {int(one) for one in evidence.value["problem_id"].unique()})
    found = rollouts.read_problems(evidence.world.source(evidence.partition), lacking)
    labelled = (label_or_skip(problem_id, problem, study.labels) for problem_id, problem in found)
    skipped = [one for one in labelled if isinstance(one, Skip)]
    known = {skip.problem_id for skip in skipped}
    skipped += [Skip(one, "lost", "neither labelled nor skipped") for one in lacking if one not in known]
    return {"skipped": skipped, "n_problems": len(wanted)}


def read_vectors(evidence: Evidence) -> dict[str, Any]:
    """The skips that the extraction recorded, and problems that it lost without a word."""
    activations: Activations = evidence.value
    skipped = [Skip(**skip) for skip in activations.record["skipped"]]
    wanted = set(evidence.problems_of_corpus())
    lost = sorted(wanted - set(activations.shards) - {skip.problem_id for skip in skipped})
    skipped += [Skip(problem_id, "lost", "neither extracted nor recorded as skipped") for problem_id in lost]
    return {"skipped": skipped, "n_problems": len(wanted)}


def zero_skipped_problems(skipped: Sequence[Skip], n_problems: int) -> Verdict:
    """Fail when any of the ``n_problems`` that were attempted was skipped, or when none was attempted."""
    if n_problems < 1:
        return Verdict.failed("no problem was attempted: the corpus is empty")
    message = f"{len(skipped)} of {n_problems} problems were skipped"
    if skipped:
        message += ": the study would report on fewer problems than it names"
    offenders = [f"problem {skip.problem_id}: {skip.kind}: {skip.reason}" for skip in skipped]
    return Verdict.no_faults(offenders, n=n_problems, unit="problems", message=message)


ROW_OF_LABELS = Invariant(
    "zero_skipped_problems",
    "sentences",
    read_labels,
    zero_skipped_problems,
    "Problems of the corpus have no labels, since their files are absent, malformed or without the label's field: "
    "the study would report on fewer problems than it names. The offenders say what each one lacks; mend the data, "
    "or choose other problems, then materialize sentences.",
)
ROW_OF_VECTORS = Invariant(
    "zero_skipped_problems",
    "activations",
    read_vectors,
    zero_skipped_problems,
    "Some problems have no activations, so results are about fewer problems than the study says. The offenders "
    "carry the reasons: a longer context, more memory or a repaired text helps; or leave them out of the study.",
)
