"""No problem of a corpus was skipped when its sentences were labelled; the rule is that of skipped extractions."""

from __future__ import annotations

from typing import Any

from ta_assets.core.values import Skip
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.vectors.zero_skipped_problems import zero_skipped_problems


def read(evidence: Evidence) -> dict[str, Any]:
    """The problems of the corpus' settings that the table lacks, each with why it cannot be labelled."""
    from ta_assets.core.traces.labels import label_or_skip

    study, rollouts = evidence.study, evidence.world.rollouts
    wanted = set(evidence.problems_of_corpus())
    lacking = sorted(wanted - {int(one) for one in evidence.value["problem_id"].unique()})
    found = rollouts.read_problems(study.source(evidence.partition), lacking)
    labelled = (label_or_skip(problem_id, problem, study.label_rule) for problem_id, problem in found)
    skipped = [one for one in labelled if isinstance(one, Skip)]
    known = {skip.problem_id for skip in skipped}
    skipped += [Skip(one, "lost", "neither labelled nor skipped") for one in lacking if one not in known]
    return {"skipped": skipped, "n_problems": len(wanted)}


ROW = Invariant(
    "zero_skipped_problems",
    "sentences",
    read,
    zero_skipped_problems,
    "Problems of the corpus have no labels, since their files are absent, malformed or without the label's field: "
    "the study would report on fewer problems than it names. The offenders say what each one lacks; mend the data, "
    "or choose other problems, then materialize sentences.",
)
