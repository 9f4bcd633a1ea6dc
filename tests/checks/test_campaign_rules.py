"""Checks of rollouts that are made here: quiet on healthy campaigns, red on each planted fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ta_checks.rules.campaigns.campaign_complete import Asked, campaign_complete
from ta_checks.rules.campaigns.graders_agree import Judged, graders_agree
from ta_checks.rules.campaigns.labels_reliable import labels_reliable
from ta_checks.rules.campaigns.own_draws import OwnDraw, OwnTrace, own_draws
from ta_checks.rules.campaigns.own_rollouts import Stored, Task, own_answer
from ta_checks.rules.campaigns.prefixes_exact import Trace, prefixes_exact
from ta_checks.rules.campaigns.rollouts_accounted import Prefix, rollouts_accounted

TASK = Task(r"answer is (\d+)", thinking=False)


def tokens(text: str) -> tuple[int, ...]:
    """A token is a character."""
    return tuple(map(ord, text))


def decoded(ids: Any) -> str:
    return "".join(map(chr, ids))


def rollout(index: int, text: str, ended: str = "stop") -> Stored:
    return Stored(index, 100 + index, tokens(text), text, ended, len(text) + 1)


HEALTHY = Prefix(
    "problem 1, sentence 0",
    [
        rollout(0, "The answer is 4."),
        rollout(1, "The answer is 5."),
        rollout(2, "I do not know."),
        rollout(3, "And so on and so", "length"),
        Stored(4, 104, (), "", "error", 0),
    ],
    {"drawn": 5, "right": 1, "wrong": 1, "no_answer": 1, "truncated": 1, "engine_error": 1},
)


def said(**changed: int) -> Prefix:
    return replace(HEALTHY, said={**HEALTHY.said, **changed})


def drawn(change: Callable[[list[Stored]], list[Stored]]) -> Prefix:
    return replace(HEALTHY, rollouts=change(list(HEALTHY.rollouts)))


def test_a_campaign_whose_counts_are_those_of_its_rollouts_passes() -> None:
    assert rollouts_accounted([HEALTHY], TASK).passed
    unjudged = said(right=0, no_answer=2)
    assert rollouts_accounted([unjudged], TASK).passed, "what no grader can judge counts as no answer"


@pytest.mark.parametrize(
    "planted",
    [
        drawn(lambda of: of[:-1]),
        drawn(lambda of: [*of, of[-1]]),
        drawn(lambda of: [replace(of[0], index=7), *of[1:]]),
        drawn(lambda of: [replace(of[0], seed=101), *of[1:]]),
        drawn(lambda of: [replace(of[0], ended="timeout"), *of[1:]]),
        drawn(lambda of: [replace(of[0], generated=3), *of[1:]]),
        said(truncated=0, no_answer=2),
        said(engine_error=0, truncated=2),
        said(wrong=0),
        said(right=2, no_answer=0),
        said(drawn=6),
    ],
    ids=[
        "one is missing", "one twice", "a number is left out", "a seed twice", "an end of no kind", "a server lies",
        "truncated ones have no answer", "errors are truncated", "wrong ones are dropped", "no answer is right",
        "more are said",
    ],
)  # fmt: skip
def test_a_rollout_that_is_lost_or_counted_otherwise_is_found(planted: Prefix) -> None:
    verdict = rollouts_accounted([HEALTHY, planted], TASK)
    assert verdict.status == "failed"
    assert verdict.offenders


PROMPT, TEXT = "Ask: x\n", "First we add two numbers.\n\nThen we add two numbers. So it is 4."
STARTS = [TEXT.index(one) for one in ("First", "Then", "So it is")]


def a_trace() -> Trace:
    bounds = [len(PROMPT) + start - (place > 0) * (2 if place == 1 else 1) for place, start in enumerate(STARTS)]
    return Trace(
        name="problem 1",
        asked=PROMPT,
        text=PROMPT + TEXT,
        tokens=tokens(PROMPT + TEXT),
        prompt_tokens=len(PROMPT),
        boundaries=bounds,
        sentences=["First we add two numbers.", "Then we add two numbers.", "So it is 4."],
        inside=[False] * 3,
        drawn=tokens(TEXT),
        keys=dict.fromkeys(range(3), ("k", "k")),
    )


def test_prefixes_that_are_slices_of_the_trace_pass() -> None:
    assert prefixes_exact([a_trace()], decoded).passed
    assert prefixes_exact([a_trace()], decoded).n == 3


def joined_by_spaces(trace: Trace) -> Trace:
    text = trace.text.replace("\n\n", " ")
    return replace(trace, tokens=tokens(text))


@pytest.mark.parametrize(
    "plant",
    [
        joined_by_spaces,
        lambda one: replace(one, text=one.text.replace("Then we add two numbers. ", "")),
        lambda one: replace(one, boundaries=[one.boundaries[0], one.boundaries[1] + 4, one.boundaries[2]]),
        lambda one: replace(one, boundaries=[one.boundaries[0], one.boundaries[1] - 4, one.boundaries[2]]),
        lambda one: replace(one, boundaries=[0, *one.boundaries[1:]]),
        lambda one: replace(one, asked="Ask: y\n"),
        lambda one: replace(one, drawn=one.drawn[:-1]),
        lambda one: replace(one, sentences=one.sentences[:2], boundaries=one.boundaries[:2], inside=[False] * 2),
        lambda one: replace(one, keys={**one.keys, 1: ("other", "k")}),
    ],
    ids=[
        "newlines became spaces", "an earlier sentence was deleted", "a word late", "a word early",
        "without the prompt", "another prompt", "another draw", "the last sentence is lost", "drawn from elsewhere",
    ],
)  # fmt: skip
def test_a_prefix_that_is_no_slice_of_the_trace_is_found(plant: Callable[[Trace], Trace]) -> None:
    assert prefixes_exact([plant(a_trace())], decoded).status == "failed"


COMPLETE: dict[str, Any] = {
    "questions": [1, 2],
    "left_out": {2: "right in 30 of 30 draws, above 0.9"},
    "sentences": {1: 2},
    "drawn": {(1, 0): 10, (1, 1): 10},
    "failed": {(1, 0): 0, (1, 1): 1},
    "unclear": set(),
    "asked": Asked("uniform", 10, 5),
}


def test_a_campaign_that_has_what_was_asked_for_passes() -> None:
    assert campaign_complete(**COMPLETE).passed
    clear_early = {**COMPLETE, "asked": Asked("threshold", 20, 10)}
    assert campaign_complete(**clear_early).passed, "a sentence that is clear needs no more"


@pytest.mark.parametrize(
    "planted",
    [
        {"left_out": {}},
        {"left_out": {1: "x", 2: "y"}},
        {"sentences": {1: 2, 3: 1}, "drawn": {**COMPLETE["drawn"], (3, 0): 10}},
        {"drawn": {(1, 0): 10, (1, 1): 9}},
        {"drawn": {(1, 0): 10}},
        {"drawn": {**COMPLETE["drawn"], (1, 2): 10}},
        {"asked": Asked("threshold", 20, 15)},
        {"asked": Asked("threshold", 20, 10), "unclear": {(1, 1)}},
        {"failed": {(1, 0): 0, (1, 1): 2}},
    ],
    ids=[
        "a question without a reason", "a trace and a reason", "a trace of no question", "one rollout too few",
        "a sentence without rollouts", "rollouts of no sentence", "fewer than the first look", "the budget ran out",
        "the engine failed at more than a tenth",
    ],
)  # fmt: skip
def test_what_a_campaign_lacks_is_found(planted: dict[str, Any]) -> None:
    assert campaign_complete(**{**COMPLETE, **planted}).status == "failed"


def judged(answer: str, gold: str, verdict: bool | None, second: bool | None = None, times: int = 100) -> Judged:
    return Judged("problem 1", answer, gold, times, verdict, verdict, second)


SOUND = [
    judged("4", "4", True, True),
    judged("5", "4", False, False),
    judged("0.5", "1/2", True, True),
    judged("\\sqrt{2}", "\\sqrt{2}", True, True),
    judged("no number", "4", None, None),
]


def test_graders_that_agree_pass_and_a_rare_disagreement_is_borne() -> None:
    assert graders_agree(SOUND).passed
    assert graders_agree([*SOUND, judged("\\frac12", "1/2", True, False, times=2)]).passed
    assert graders_agree([*SOUND, judged("\\frac12", "1/2", True, None, times=200)]).passed, (
        "a second one need not read"
    )


@pytest.mark.parametrize(
    "planted",
    [
        judged("1/12", "11/2", True, True),
        judged("0.5", "1/2", False, False),
        judged("4", "4", False, False),
        judged("4", "4", None, None),
        judged("x+1", "1+x", True, False, times=20),
    ],
    ids=["digits run together", "a half is no half", "the same text", "the same text is not judged", "two per cent"],
)
def test_a_verdict_that_is_plainly_wrong_or_not_shared_is_found(planted: Judged) -> None:
    assert graders_agree([*SOUND, planted]).status == "failed"


def campaign(signal: float, rollouts: int = 200) -> OwnTrace:
    """A trace of 30 sentences; another sentence in the place of every third one changes the answer by ``signal``."""
    rng = np.random.default_rng(3)
    draws: dict[int, list[OwnDraw]] = {}
    for place in range(30):
        low = 0.5 - signal * (place % 3 == 0)
        other = rng.random(rollouts) < 0.5
        right = rng.random(rollouts) < np.where(other, low, 0.5)
        draws[place] = [
            OwnDraw(i, place, "another one" if a else f"sentence {place}", bool(b))
            for i, (a, b) in enumerate(zip(other, right, strict=True))
        ]
    return OwnTrace(1, [f"sentence {place}" for place in range(30)], draws)


def test_a_campaign_of_signal_is_reliable_and_one_of_noise_is_not() -> None:
    strong, noise = labels_reliable([campaign(0.45)]), labels_reliable([campaign(0.0)])
    assert strong.passed
    assert isinstance(strong.observed, float)
    assert strong.observed > 0.9
    assert noise.status == "failed", "WARN makes it a warning"
    assert labels_reliable([OwnTrace(1, ["a"], {})]).status == "skipped"


def test_a_rollout_that_repeats_a_sentence_is_a_draw_of_the_next_one_too() -> None:
    pieces = [tokens("We add them."), tokens(" It is four."), tokens(" The answer is 4")]
    stored = {0: [rollout(0, "We add them. It is four. The answer is 4"), rollout(1, "We add none. The answer is 5")]}
    draws = own_draws(stored, pieces, {"4": True, "5": False}, TASK, decoded, reuse=True)
    assert {place: [one.sentence for one in of] for place, of in draws.items()} == {
        0: ["We add them.", "We add none."],
        1: ["It is four."],
        2: ["The answer is 4"],
    }
    assert list(own_draws(stored, pieces, {"4": True, "5": False}, TASK, decoded, reuse=False)) == [0]


@pytest.mark.parametrize(
    ("text", "task", "answer"),
    [
        ("so \\boxed{1} and \\boxed{\\frac{1}{2}}.", Task(None, thinking=False), "\\frac{1}{2}"),
        ("\\boxed{7} it was </think> \\boxed{8}", Task(None, thinking=True), "8"),
        ("\\boxed{7} and never out of it", Task(None, thinking=True), ""),
        ("\\boxed{\\{1, 2\\}}", Task(None, thinking=False), "\\{1, 2\\}"),
        ("\\boxed{1", Task(None, thinking=False), ""),
        ("nothing", Task(None, thinking=False), ""),
        ("the answer is 3, no, the answer is 12", TASK, "12"),
    ],
)
def test_the_answer_is_the_last_one_behind_the_thought(text: str, task: Task, answer: str) -> None:
    assert own_answer(text, task) == answer
