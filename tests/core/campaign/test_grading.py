"""Answers are found where they stand, and every rollout has exactly one outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ta_assets.core.campaign.grading import (
    AnswerRule,
    exact,
    grader,
    judged,
    last_boxed,
    multiple_choice,
    outcome_of,
    stated_answer,
)
from ta_assets.core.campaign.normal_form import normal_form, same_form
from ta_assets.core.campaign.records import Completion, Drawn, FinishReason, Outcome
from ta_assets.core.errors import InputError

BOXED = AnswerRule(grader="normal_form", second=None)


def completion(text: str, reason: FinishReason = FinishReason.STOP) -> Completion:
    return Completion((), text, reason, 3, len(text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{4}", "4"),
        ("\\boxed{1} or rather \\boxed{ 2 }.", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed{}", ""),
        ("\\boxed{never closed", ""),
        ("nothing", ""),
    ],
)
def test_the_last_box_counts(text: str, answer: str) -> None:
    assert last_boxed(text) == answer


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("\\boxed{1}</think> \\boxed{2}", True, "2"),
        ("\\boxed{1}</think> nothing", True, ""),
        ("\\boxed{1} still thinking", True, ""),
        ("\\boxed{1} without a thought", False, "1"),
        ("</think>\\boxed{1}</think> \\boxed{2}", True, "2"),
    ],
)
def test_only_what_follows_the_thought_is_an_answer(text: str, thinking: bool, answer: str) -> None:
    assert stated_answer(text, BOXED, thinking) == answer


def test_a_pattern_takes_its_last_match() -> None:
    rule = AnswerRule(grader="exact", pattern=r"So the answer is (\d+)\.")
    assert stated_answer("So the answer is 5. No. So the answer is 7.", rule, False) == "7"
    assert stated_answer("So the answer is unknown.", rule, False) == ""


@given(st.sampled_from(list(FinishReason)), st.sampled_from(["", "4"]), st.sampled_from([True, False, None]), st.text())
def test_every_completion_has_exactly_one_outcome(reason, answer, verdict, text) -> None:
    found = outcome_of(completion(text, reason), answer, verdict)
    expected = {
        reason == FinishReason.ERROR: Outcome.ENGINE_ERROR,
        reason != FinishReason.ERROR and bool(answer) and verdict is True: Outcome.RIGHT,
        reason != FinishReason.ERROR and bool(answer) and verdict is False: Outcome.WRONG,
        reason == FinishReason.LENGTH and not answer: Outcome.TRUNCATED,
    }
    assert found == expected.get(True, Outcome.NO_ANSWER)


def test_a_failed_rollout_has_no_answer_whatever_its_text() -> None:
    failed = Drawn(0, 1, Completion.failed("gone", 3))
    assert judged(failed, BOXED, False, {}).outcome == Outcome.ENGINE_ERROR
    stated = Drawn(0, 1, completion("\\boxed{4}"))
    assert judged(stated, BOXED, False, {"4": True}).outcome == Outcome.RIGHT


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("0.50", "1/2"),
        ("\\dfrac12", "1/2"),
        ("-1\\frac{1}{2}", "-3/2"),
        ("1,234", "1234"),
        ("(1, 0.5)", "(1,1/2)"),
        ("\\{3,1,2\\}", "⟨1,2,3⟩"),
        ("x = 5", "5"),
        ("\\text{ even }", "even"),
        ("1/0", "1/0"),
        ("", ""),
    ],
)
def test_one_spelling(answer: str, form: str) -> None:
    assert normal_form(answer) == form


@given(st.text(alphabet="0123456789.,/-+()[]{}\\fracsqrt xπ=%$ ", max_size=40))
def test_every_text_has_a_normal_form_that_is_its_own(text: str) -> None:
    assert same_form(text, text)
    assert normal_form(f" {text} ") == normal_form(text)


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [("B", "(b)", True), ("\\text{C}", "C", True), ("D. because", "D", True), ("A", "B", False)],
)
def test_a_choice_is_its_letter(answer: str, gold: str, same: bool) -> None:
    assert multiple_choice(answer, gold) is same


def test_a_choice_without_a_letter_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="letter"):
        multiple_choice("none of them", "B")


def test_exact_answers_differ_in_nothing_but_whitespace() -> None:
    assert exact(" four  cows", "four cows")
    assert not exact("Four cows", "four cows")


def test_a_function_is_found_by_its_path_and_nothing_else_is() -> None:
    assert grader("ta_assets.core.campaign.grading.exact") is exact
    with pytest.raises(InputError, match="dotted path"):
        grader("ta_assets.core.campaign.grading.no_such_thing")
    with pytest.raises(InputError, match="dotted path"):
        grader("no_such_module_anywhere.function")
    with pytest.raises(ValidationError, match="dotted path"):
        AnswerRule(grader="no dots at all")


def test_a_pattern_without_a_group_is_refused() -> None:
    with pytest.raises(ValidationError, match="group"):
        AnswerRule(pattern="answer")
    with pytest.raises(ValidationError, match="regular expression"):
        AnswerRule(pattern="(")
