"""From the text of a rollout to its answer, and from the answer to what became of the rollout.

Belongs here: finding answers, cheap graders, the table of outcomes. Stays out: the process in which a slow grader runs
(``ta_resources.campaigns.grading_process``).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import Field, field_validator

from ta_assets.core.campaign.normal_form import same_form
from ta_assets.core.campaign.records import Completion, Drawn, FinishReason, Outcome, Rollout
from ta_assets.core.errors import InputError
from ta_assets.core.options import Options
from ta_assets.core.traces.splitter import CLOSE

Grader = Callable[[str, str], bool]
"""Answer and gold answer -> whether they are the same; may raise for an answer that it cannot read."""
MATH_VERIFY = "math_verify"
_CHOICE = re.compile(r"^\W*(?:text\W*)?([A-Za-z])(?:\W.*)?$", re.DOTALL)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class AnswerRule(Options):
    """Where an answer stands, and who says whether it is right."""

    grader: str = MATH_VERIFY
    """``math_verify``, ``normal_form``, ``exact``, ``multiple_choice``, or the dotted path of a function of answer and
    gold answer."""
    second: str | None = "normal_form"
    """Another grader, whose disagreement with the first is reported; it decides only what that cannot judge. None for
    none."""
    pattern: str | None = None
    """Regular expression whose first group is the answer, the last match counts; by default the last ``\\boxed``."""
    seconds: float = Field(default=5.0, gt=0, le=3600)
    """Of the processor, after which a grader that has a process of its own is stopped: it cannot judge that answer."""

    @field_validator("grader", "second")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in (MATH_VERIFY, *GRADERS) and not _DOTTED.fullmatch(name):
            raise ValueError(f"must be {MATH_VERIFY}, {', '.join(GRADERS)}, or the dotted path of a function")
        return name

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups < 1:
                raise ValueError("must have a group, which is the answer")
        except re.error as error:
            raise ValueError(f"must be a regular expression ({error})") from error
        return pattern


def stated_answer(text: str, rule: AnswerRule, thinking: bool) -> str:
    """The answer that a rollout states, without whitespace around it; empty for none.

    Args:
        text: what was generated.
        rule: where it stands.
        thinking: whether the rollout was begun inside a thought; only what follows the last ``</think>`` counts then.
    """
    before, closed, after = text.rpartition(CLOSE)
    if thinking and not closed:
        return ""
    said = after if closed else before + after
    if rule.pattern is None:
        return last_boxed(said)
    found = list(re.finditer(rule.pattern, said))
    return (found[-1].group(1) or "").strip() if found else ""


def last_boxed(text: str) -> str:
    """What stands in the last ``\\boxed`` of a text, without whitespace around it; empty where no brace closes it."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return ""
    depth, begin = 0, start + len("\\boxed{")
    for place in range(begin - 1, len(text)):
        if text[place - 1] == "\\" and text[place - 2 : place - 1] != "\\":
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place].strip()
    return ""


def outcome_of(completion: Completion, answer: str, verdict: bool | None) -> Outcome:
    """What became of a completion: an outcome for every one, and exactly one.

    Args:
        completion: what the engine gave.
        answer: as ``stated_answer`` found it.
        verdict: the grader's; None for an answer that it cannot judge.
    """
    if completion.finish_reason == FinishReason.ERROR:
        return Outcome.ENGINE_ERROR
    if answer and verdict is not None:
        return Outcome.RIGHT if verdict else Outcome.WRONG
    if not answer and completion.finish_reason == FinishReason.LENGTH:
        return Outcome.TRUNCATED
    return Outcome.NO_ANSWER


def judged(drawn: Drawn, rule: AnswerRule, thinking: bool, verdicts: Mapping[str, bool | None]) -> Rollout:
    """A stored completion with its answer and outcome.

    Args:
        drawn: the completion.
        rule: where answers stand.
        thinking: as ``stated_answer`` takes it.
        verdicts: answer -> the grader's verdict; every stated answer has one.
    """
    failed = drawn.completion.finish_reason == FinishReason.ERROR
    answer = "" if failed else stated_answer(drawn.completion.text, rule, thinking)
    outcome = outcome_of(drawn.completion, answer, verdicts[answer] if answer else None)
    return Rollout(drawn.index, drawn.seed, drawn.completion, answer, outcome)


def grader(name: str) -> Grader:
    """The grader of that name; ``math_verify`` is to run in a process of its own, because it may not return.

    Raises:
        InputError: a dotted path that leads to no function.
    """
    if name in GRADERS:
        return GRADERS[name]
    if name == MATH_VERIFY:
        return math_verify
    module, _, function = name.rpartition(".")
    try:
        found: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError("grader", "grader", name, f"the dotted path of a function ({error})") from error
    if not callable(found):
        raise InputError("grader", "grader", name, "the dotted path of a function")
    return cast(Grader, found)


def exact(answer: str, gold: str) -> bool:
    """Whether two answers are the same text, whatever their whitespace."""
    return answer.split() == gold.split()


def multiple_choice(answer: str, gold: str) -> bool:
    """Whether two answers name the same letter, with or without what stands beside it: ``(B)``, ``B. because``.

    Raises:
        ValueError: one of them names none.
    """
    letters = [_CHOICE.match(one.replace("\\text", "").replace("\\mathrm", "")) for one in (answer, gold)]
    if None in letters:
        raise ValueError("expected a letter")
    first, second = (match.group(1).upper() for match in letters if match)
    return first == second


def math_verify(answer: str, gold: str) -> bool:
    """Whether math-verify calls two answers the same, seen from either side.

    It is asked both ways, since it takes a part of a set of answers for the set when it is asked one way. A stop at the
    end is the sentence's and not the answer's; it does not read one.

    Raises:
        ValueError: it cannot read one of them.
    """
    from math_verify import parse, verify

    said = [one.strip().removesuffix(".") for one in (gold, answer)]
    # 0 is none: its own limit is a signal's, which the process of the grader has already
    read = [parse(f"\\boxed{{{one}}}", parsing_timeout=0, raise_on_error=False) for one in said]
    if not all(read):
        raise ValueError("math-verify reads no formula in it")
    kept, found = read
    return bool(verify(kept, found, timeout_seconds=None) and verify(found, kept, timeout_seconds=None))


GRADERS: Mapping[str, Grader] = {"normal_form": same_form, "exact": exact, "multiple_choice": multiple_choice}
"""Graders that always return at once."""
