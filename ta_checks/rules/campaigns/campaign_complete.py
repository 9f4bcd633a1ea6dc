"""A campaign has what its study asks for: every question, every sentence, every rollout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns.own_rollouts import lists_of
from ta_checks.verdict import Verdict

MOST_FAILED = 0.1
"""Share of a prefix's rollouts that an engine may have failed at: their answers are not known, and they are not drawn
again."""


@dataclass(frozen=True)
class Asked:
    """What a study asks for of every prefix."""

    kind: str
    """``uniform``, or ``threshold``: then a sentence that is clear needs no more."""
    rollouts: int
    first: int
    """The least of every prefix, where the kind is ``threshold``."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The questions, the traces and the rollouts of the campaign against the options of the study."""
    store, corpus, rule = evidence.world.store, evidence.partition, evidence.study.campaign.rollouts
    base, rows = store.load("base_traces", corpus), evidence.value.rows
    drawn = {
        (int(problem), int(sentence)): int(number)
        for problem, sentence, number in zip(rows["problem_id"], rows["sentence"], rows["drawn"], strict=True)
    }
    return {
        "questions": [int(one["problem_id"]) for one in store.load("problem_set", corpus)],
        "left_out": {int(one["problem_id"]): str(one["why"]) for one in base.record["left_out"]},
        "sentences": {
            int(row["problem_id"]): len(lists_of(row, "boundaries")[0]) for row in base.rows.to_dict("records")
        },
        "drawn": drawn,
        "failed": {
            (int(problem), int(sentence)): int(number)
            for problem, sentence, number in zip(
                rows["problem_id"], rows["sentence"], rows["engine_error"], strict=True
            )
        },
        "unclear": {(int(problem), int(sentence)) for problem, sentence in evidence.value.record["unclear"]},
        "asked": Asked(rule.kind, rule.rollouts, rule.first),
    }


def campaign_complete(
    questions: Sequence[int],
    left_out: Mapping[int, str],
    sentences: Mapping[int, int],
    drawn: Mapping[tuple[int, int], int],
    failed: Mapping[tuple[int, int], int],
    unclear: Collection[tuple[int, int]],
    asked: Asked,
) -> Verdict:
    """Fail on a question without a trace or a reason, a sentence without its rollouts, and a campaign that ran out.

    Args:
        questions: problem ids, in the order of their file.
        left_out: problem id -> why it has no trace.
        sentences: problem id -> sentences of its trace.
        drawn: (problem id, sentence) -> rollouts that were sampled.
        failed: (problem id, sentence) -> those of them that the engine failed at.
        unclear: (problem id, sentence) where a stopping rule had not decided when the campaign ended.
        asked: by the study.
    """
    faults = [f"problem {one}: neither a trace nor a reason" for one in questions if one not in {*sentences, *left_out}]
    faults += [f"problem {one}: a trace and a reason to have none" for one in sorted({*sentences} & {*left_out})]
    faults += [f"problem {one}: a trace of no question" for one in sorted({*sentences} - {*questions})]
    least = asked.rollouts if asked.kind == "uniform" else min(asked.first, asked.rollouts)
    wanted = {(problem, place) for problem, count in sentences.items() for place in range(count)}
    for problem, place in sorted(wanted):
        found = drawn.get((problem, place), 0)
        if found < least:
            faults.append(f"problem {problem}, sentence {place}: {found} rollouts, at least {least} asked for")
        elif failed.get((problem, place), 0) > MOST_FAILED * found:
            faults.append(
                f"problem {problem}, sentence {place}: the engine failed at {failed[problem, place]} of {found}"
            )
        elif (problem, place) in unclear:
            faults.append(f"problem {problem}, sentence {place}: the tokens were used up before it was clear")
    faults += [f"problem {a}, sentence {b}: rollouts of no sentence" for a, b in sorted({*drawn} - wanted)]
    message = f"{len(sentences)} of {len(questions)} questions have a trace, with {sum(drawn.values())} rollouts"
    return Verdict.no_faults(faults, n=len(wanted), message=message, details={"left_out": list(left_out.values())[:50]})


ROW = Invariant(
    "campaign_complete",
    "rollouts",
    read,
    campaign_complete,
    "The campaign has fewer rollouts than its study asks for: an engine failed, or generation.budget_tokens was used "
    "up. Labels of such sentences rest on less than is said. Release again, which draws what is missing, or raise the "
    "budget, or ask for less. Rollouts that the engine failed at stay failed: they are not drawn again under these "
    "options.",
    parameters=lambda study: {"rollouts": study.generation.rollouts.model_dump() if study.generation else None},
)
