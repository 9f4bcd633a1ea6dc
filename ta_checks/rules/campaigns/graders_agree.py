"""Answers are called right by two graders alike, and never against what can be seen without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

MOST = 0.01
"""Share of judged rollouts about which two graders may disagree."""


@dataclass(frozen=True)
class Judged:
    """One answer to one question, and what was said of it."""

    name: str
    answer: str
    gold: str
    times: int
    """Rollouts that gave it."""
    verdict: bool | None
    """What counts; None for an answer that nobody can judge."""
    first: bool | None
    second: bool | None


def read(evidence: Evidence) -> dict[str, Any]:
    """Every distinct answer of the campaign with the verdicts of both graders."""
    questions = {one["problem_id"]: one for one in evidence.world.store.load("problem_set", evidence.partition)}
    return {
        "answers": [
            Judged(
                name=f"problem {one['problem_id']}",
                answer=one["answer"],
                gold=questions[one["problem_id"]]["answer"],
                times=int(one["times"]),
                verdict=one["verdict"],
                first=one["first"],
                second=one["second"],
            )
            for one in evidence.value.record["verdicts"]
        ]
    }


def graders_agree(answers: Sequence[Judged]) -> Verdict:
    """Fail where two graders disagree about more than a few rollouts, or one denies what needs no grader.

    Answers that are the same text, or numbers that are equal or differ, need none.
    """
    judged = sum(one.times for one in answers)
    denied = [fault for one in answers for fault in _plainly_wrong(one)]
    apart = [one for one in answers if None not in (one.first, one.second) and one.first != one.second]
    share = sum(one.times for one in apart) / max(judged, 1)
    shown = sorted(apart, key=lambda one: -one.times)
    offenders = [
        *denied,
        *(f"{o.name}: {o.answer!r} for {o.gold!r}: {o.first} and {o.second}, {o.times} times" for o in shown),
    ]
    message = f"{len(answers)} answers of {judged} rollouts: graders disagree about {share:.2%} of these"
    if denied:
        return Verdict(
            status="failed",
            n=judged,
            offenders=tuple(offenders),
            message=f"{message}; {len(denied)} verdicts are plainly wrong",
        )
    return Verdict.judge(share, "<=", MOST, unit="share of rollouts", n=judged, offenders=offenders, message=message)


def _plainly_wrong(one: Judged) -> Iterator[str]:
    numbers = [_number(text) for text in (one.answer, one.gold)]
    same = one.answer.split() == one.gold.split()
    equal = same or (None not in numbers and numbers[0] == numbers[1])
    unequal = None not in numbers and numbers[0] != numbers[1]
    if equal and one.verdict is not True:
        yield f"{one.name}: {one.answer!r} is said not to be {one.gold!r}"
    if unequal and one.verdict is not False:
        yield f"{one.name}: {one.answer!r} is said to be {one.gold!r}"


def _number(text: str) -> Fraction | None:
    """A plain decimal number or fraction; None for anything else."""
    plain = text.strip().replace(",", "") if "," in text and "." in text else text.strip()
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None


ROW = Invariant(
    "graders_agree",
    "labels",
    read,
    graders_agree,
    "What is called a right answer depends on who is asked, so accuracies are of the grader and not of the model. Look "
    "at the offenders: choose another grader, write the answers of the questions as the model writes them, or give a "
    "function of your own under generation.answers.grader.",
    parameters=lambda study: {"answers": study.generation.answers.model_dump() if study.generation else None},
)
