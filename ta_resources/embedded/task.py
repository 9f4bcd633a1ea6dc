"""The arithmetic language of the embedded model: problems on a 12-hour clock, chains of thought, answers, tags.

Belongs here: pure Python on strings. Stays out: tokens, models, files.

A step whose direction differs from the step before is a *turn*, and every problem has ``TURNS`` of them at random
places. Now and then the training text goes on in the old direction there ("3) -9: 4 + 9 = 1."), and nothing else ever
goes wrong. So the words of one sentence do not tell what decides: a right turn is written like any other step, and a
slip shows only where the two signs of a sentence are held against each other, each of which is as frequent elsewhere. A
model that writes such text has to know both. Steps that are no turns decide nothing; alternatives to a sentence are
either frequent or absent: importances that rest on one or two dissimilar rollouts are noise.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

HOURS = 12
SIGNS = ("+", "-")
"""Forward and back."""

TURNS = 2
"""Steps per problem whose direction differs from the step before."""
HALF_ROUND = HOURS // 2
"""By this many hours forward and back lead to the same hour, so no turn has this operand."""

PLANS = ("Let me take the steps one by one.", "I will go through the steps in order.", "I work from the first step on.")
HALFWAY = ("Half of the steps are done.", "So far this is easy.", "That was the first half.")
LAST_STEP = ("Now the last step.", "One step is left.", "Only one more to go.")
DONE = ("All steps are done.", "That was everything.", "Now I know the end.")
CHECK = "Wait, let me check that step."

_ANSWER = re.compile(r"So the answer is (\d+)\.")
_SENTENCE = re.compile(r"[^.?]*[.?]|[^.?]+$")
_TAGS = (
    (re.compile(r"\d+\) [+-]\d+: .*"), "active_computation"),
    (re.compile(r"The clock shows \d+ at first\."), "problem_setup"),
    (re.compile(r"Wait, .*"), "uncertainty_management"),
    (re.compile(r"(Yes|No), .*"), "self_checking"),
    (re.compile(r"So the answer is \d+\."), "final_answer_emission"),
    (re.compile("|".join(map(re.escape, (*PLANS, *LAST_STEP)))), "plan_generation"),
    (re.compile("|".join(map(re.escape, (*HALFWAY, *DONE)))), "result_consolidation"),
)


@dataclass(frozen=True)
class Habits:
    """How often a trace of the training text slips and looks back; shares."""

    slip: float = 0.4
    """Of turns: gone on in the old direction."""
    check_after_slip: float = 0.45
    check_after_turn: float = 0.12
    """Of right turns; other steps are never checked."""
    notice: float = 0.88
    """Of checked slips: corrected; the rest is confirmed."""


CLEAR_HABITS = Habits(slip=0.5, check_after_slip=1.0, check_after_turn=0.0, notice=1.0)
"""For the first lessons: a model that has not seen slips told apart without exception does not begin to do it."""


@dataclass(frozen=True)
class ClockProblem:
    """Where the clock starts (1..12) and what is done to it, in order."""

    start: int
    steps: tuple[tuple[str, int], ...]
    """(sign, hours): one of ``SIGNS``, and 1..11."""

    @property
    def statement(self) -> str:
        """The problem as the model reads it."""
        steps = " ".join(f"{number}) {sign}{hours}." for number, (sign, hours) in enumerate(self.steps, start=1))
        return f"A clock of {HOURS} hours shows {self.start}. {steps} What does it show?"

    @property
    def prompt(self) -> str:
        """Statement and the word that opens the chain of thought; sentences follow, each after one space."""
        return f"Problem: {self.statement} Solution:"

    @property
    def turns(self) -> tuple[bool, ...]:
        """Whether each step goes another way than the step before."""
        return (False, *(sign != before for (before, _), (sign, _) in pairwise(self.steps)))

    @property
    def answer(self) -> str:
        """The right answer."""
        return str(self._values()[-1])

    @property
    def solution(self) -> str:
        """The steps with their right results, one sentence each."""
        values = self._values()
        return " ".join(_sum(sign, value, hours) for (sign, hours), value in zip(self.steps, values, strict=False))

    def _values(self) -> list[int]:
        """What the clock shows at first and after every step."""
        values = [self.start]
        for sign, hours in self.steps:
            values.append(apply(sign, values[-1], hours))
        return values


def apply(sign: str, value: int, hours: int) -> int:
    """What the clock shows after a step, 1..12."""
    return (value + (hours if sign == "+" else -hours) - 1) % HOURS + 1


def draw_problem(rng: random.Random, n_steps: int) -> ClockProblem:
    """A random problem with ``TURNS`` turns among its ``n_steps`` > ``TURNS`` steps, each place equally likely."""
    turns = set(rng.sample(range(1, n_steps), TURNS))
    sign = rng.choice(SIGNS)
    steps = []
    for number in range(n_steps):
        sign = _other(sign) if number in turns else sign
        steps.append((sign, rng.choice([n for n in range(1, HOURS) if number not in turns or n != HALF_ROUND])))
    return ClockProblem(rng.randint(1, HOURS), tuple(steps))


def draw_questions(count: int, n_steps: Sequence[int], seed: int = 0) -> list[dict[str, str]]:
    """Problems as a campaign reads them, each with ``id``, ``question`` and ``answer``; none twice.

    The first ones stay what they are when more are drawn.
    """
    found: dict[str, str] = {}
    number = 0
    while len(found) < count:
        number += 1
        rng = random.Random(f"question {seed} {number}")
        problem = draw_problem(rng, rng.choice(n_steps))
        found.setdefault(problem.statement, problem.answer)
    return [
        {"id": str(place), "question": question, "answer": answer}
        for place, (question, answer) in enumerate(found.items(), start=1)
    ]


def write_trace(problem: ClockProblem, rng: random.Random, habits: Habits) -> list[str]:
    """A chain of thought as the model is to learn it: with slips, checks, corrections and fillers; its sentences."""
    sentences = [rng.choice(PLANS), f"The clock shows {problem.start} at first."]
    value, n_steps = problem.start, len(problem.steps)
    for number, ((sign, hours), turn) in enumerate(zip(problem.steps, problem.turns, strict=True), start=1):
        if number == n_steps:
            sentences.append(rng.choice(LAST_STEP))
        slips = turn and rng.random() < habits.slip
        done = _other(sign) if slips else sign
        sentences.append(f"{number}) {sign}{hours}: {_sum(done, value, hours)}")
        if turn and rng.random() < (habits.check_after_slip if slips else habits.check_after_turn):
            notices = slips and rng.random() < habits.notice
            done = sign if notices else done
            sentences += [CHECK, f"{'No' if notices else 'Yes'}, {_sum(done, value, hours)}"]
        value = apply(done, value, hours)
        if number == n_steps // 2:
            sentences.append(rng.choice(HALFWAY))
    return [*sentences, rng.choice(DONE), f"So the answer is {value}."]


def _other(sign: str) -> str:
    return "-" if sign == "+" else "+"


def _sum(sign: str, value: int, hours: int) -> str:
    return f"{value} {sign} {hours} = {apply(sign, value, hours)}."


def split_sentences(text: str) -> list[str]:
    """Sentences of a chain of thought without the spaces around them; an unfinished end counts as one."""
    return [sentence.strip() for sentence in _SENTENCE.findall(text) if sentence.strip()]


def extract_answer(text: str) -> str:
    """The last stated answer, or the empty string when there is none."""
    found = _ANSWER.findall(text)
    return found[-1] if found else ""


def function_tags(sentence: str) -> list[str]:
    """What a sentence does, in the dataset's own words; empty for a sentence outside the language."""
    return [tag for pattern, tag in _TAGS if pattern.fullmatch(sentence)][:1]


def vocabulary() -> list[str]:
    """Every word, number, step number (``2)``), step (``-9``) and sign of the language, each once, sorted."""
    problem = ClockProblem(1, (("+", 1),))
    fixed = " ".join((*PLANS, *HALFWAY, *LAST_STEP, *DONE, CHECK, problem.prompt))
    texts = f"{fixed} Yes, No, The clock shows 1 at first. 1) +1: = So the answer is 1."
    words = set(re.findall(r"[A-Za-z]+|[^A-Za-z0-9\s)]", texts)) | set(SIGNS)
    numbers = range(1, HOURS + 1)
    steps = {f"{sign}{hours}" for sign in SIGNS for hours in range(1, HOURS)}
    return sorted(words | steps | {str(number) for number in numbers} | {f"{number})" for number in numbers})
