"""The arithmetic language of the embedded model: problems on a 12-hour clock, chains of thought, answers, tags.

Belongs here: pure Python on strings. Stays out: tokens, models, files.

A step back by ``RISKY`` hours or more is *risky*: now and then the training text goes forward there instead
("2) back 9: 4 + 9 = 1."), and nothing else ever goes wrong. A slip reads like any other step unless word and sign are
held against each other. So a trace has steps that decide and steps that do not, and alternatives to a sentence are
either frequent or absent: importances that rest on one or two dissimilar rollouts are noise.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

HOURS = 12
SYMBOLS = {"forward": "+", "back": "-", "times": "x"}
FACTORS = (2, 3, 5)

RISKY = 7
RISKY_SHARE = 0.7
"""Share of the steps back that are risky."""

PLANS = ("Let me take the steps one by one.", "I will go through the steps in order.", "I work from the first step on.")
HALFWAY = ("Half of the steps are done.", "So far this is easy.", "That was the first half.")
LAST_STEP = ("Now the last step.", "One step is left.", "Only one more to go.")
DONE = ("All steps are done.", "That was everything.", "Now I know the end.")
CHECK = "Wait, let me check that step."

_ANSWER = re.compile(r"So the answer is (\d+)\.")
_SENTENCE = re.compile(r"[^.?]*[.?]|[^.?]+$")
_TAGS = (
    (re.compile(r"\d+\) \w+ \d+: .*"), "active_computation"),
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

    slip: float = 0.25
    """Of risky steps: gone forward instead of back."""
    check_after_slip: float = 0.45
    check_after_risk: float = 0.12
    """Of right risky steps; steps without risk are never checked."""
    notice: float = 0.88
    """Of checked slips: corrected; the rest is confirmed."""


CLEAR_HABITS = Habits(slip=0.5, check_after_slip=1.0, check_after_risk=0.0, notice=1.0)
"""For the first lessons: a model that has not seen slips told apart without exception does not begin to do it."""


@dataclass(frozen=True)
class ClockProblem:
    """Where the clock starts (1..12) and what is done to it, in order."""

    start: int
    steps: tuple[tuple[str, int], ...]
    """(operation, operand): a key of ``SYMBOLS`` and a positive number."""

    @property
    def statement(self) -> str:
        """The problem as the model reads it."""
        steps = " ".join(f"{number}) {name} {operand}." for number, (name, operand) in enumerate(self.steps, start=1))
        return f"A clock of {HOURS} hours shows {self.start}. {steps} What does it show?"

    @property
    def prompt(self) -> str:
        """Statement and the word that opens the chain of thought; sentences follow, each after one space."""
        return f"Problem: {self.statement} Solution:"

    @property
    def answer(self) -> str:
        """The right answer."""
        return str(self._values()[-1])

    @property
    def solution(self) -> str:
        """The steps with their right results, one sentence each."""
        values = self._values()
        return " ".join(_sum(name, value, operand) for (name, operand), value in zip(self.steps, values, strict=False))

    def _values(self) -> list[int]:
        """What the clock shows at first and after every step."""
        values = [self.start]
        for name, operand in self.steps:
            values.append(apply(name, values[-1], operand))
        return values


def apply(name: str, value: int, operand: int) -> int:
    """Result of an operation on the clock, 1..12."""
    plain = {"forward": value + operand, "back": value - operand, "times": value * operand}[name]
    return (plain - 1) % HOURS + 1


def is_risky(name: str, operand: int) -> bool:
    """Whether a step may go forward instead of back."""
    return name == "back" and operand >= RISKY


def draw_problem(rng: random.Random, n_steps: int) -> ClockProblem:
    """A random problem: of eight steps five go back, two forward, and one multiplies."""
    steps = []
    for name in rng.choices(("back", "forward", "times"), weights=(5, 2, 1), k=n_steps):
        if name == "times":
            operand = rng.choice(FACTORS)
        elif name == "back" and rng.random() < RISKY_SHARE:
            operand = rng.randrange(RISKY, HOURS)
        else:
            operand = rng.randrange(1, RISKY if name == "back" else HOURS)
        steps.append((name, operand))
    return ClockProblem(rng.randint(1, HOURS), tuple(steps))


def write_trace(problem: ClockProblem, rng: random.Random, habits: Habits) -> list[str]:
    """A chain of thought as the model is to learn it: with slips, checks, corrections and fillers; its sentences."""
    sentences = [rng.choice(PLANS), f"The clock shows {problem.start} at first."]
    value, n_steps = problem.start, len(problem.steps)
    for number, (name, operand) in enumerate(problem.steps, start=1):
        if number == n_steps:
            sentences.append(rng.choice(LAST_STEP))
        risky = is_risky(name, operand)
        slips = risky and rng.random() < habits.slip
        done = "forward" if slips else name
        sentences.append(f"{number}) {name} {operand}: {_sum(done, value, operand)}")
        if risky and rng.random() < (habits.check_after_slip if slips else habits.check_after_risk):
            notices = slips and rng.random() < habits.notice
            done = name if notices else done
            sentences += [CHECK, f"{'No' if notices else 'Yes'}, {_sum(done, value, operand)}"]
        value = apply(done, value, operand)
        if number == n_steps // 2:
            sentences.append(rng.choice(HALFWAY))
    return [*sentences, rng.choice(DONE), f"So the answer is {value}."]


def _sum(name: str, value: int, operand: int) -> str:
    return f"{value} {SYMBOLS[name]} {operand} = {apply(name, value, operand)}."


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
    """Every word, number, step number (``2)``) and sign of the language, each once, sorted."""
    problem = ClockProblem(1, (("forward", 1),))
    fixed = " ".join((*PLANS, *HALFWAY, *LAST_STEP, *DONE, CHECK, *SYMBOLS, *SYMBOLS.values(), problem.prompt))
    texts = f"{fixed} Yes, No, The clock shows 1 at first. 1) forward 1: = So the answer is 1."
    words = set(re.findall(r"[A-Za-z]+|[^A-Za-z0-9\s)]", texts))
    numbers = range(1, HOURS + 1)
    return sorted(words | {str(number) for number in numbers} | {f"{number})" for number in numbers})
