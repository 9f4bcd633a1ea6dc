"""Graders in a process of their own: the planted table, hostile answers, a grader that hangs or dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ta_assets.core.campaign.grading import AnswerRule
from ta_assets.core.errors import InputError
from ta_resources.campaigns.grading_process import PATIENCE, START_SECONDS, Graders, GradingProcess
from tests.resources.campaigns.pairs import PAIRS

HOSTILE = ["9^{9^{9^{9}}}", "x" * 20_000, "1,\n2"]


def never(answer: str, gold: str) -> bool:
    """A grader that does not return where it is told to."""
    if answer == "hang":
        time.sleep(60)
    while answer == "loop":
        pass
    if answer == "die":
        os._exit(1)
    if answer == "print":
        print("true")
    if answer == "raise":
        raise RuntimeError("cannot")
    return answer == gold


@pytest.fixture(scope="module")
def math_verify():
    with GradingProcess("math_verify", 5.0) as process:
        yield process


def test_the_planted_table_has_a_hundred_pairs_of_each_kind() -> None:
    assert [sum(same is kind for *_, same in PAIRS) for kind in (True, False)] == [100, 100]
    assert len({pair[:2] for pair in PAIRS}) == 200


def test_no_pair_is_falsely_equal_and_one_in_a_hundred_falsely_unequal(math_verify: GradingProcess) -> None:
    verdicts = [(answer, gold, same, math_verify.verdict(answer, gold)) for answer, gold, same in PAIRS]
    assert [one for one in verdicts if one[3] and not one[2]] == []
    assert len([one for one in verdicts if one[2] and not one[3]]) <= 1


def test_the_second_grader_is_never_falsely_equal() -> None:
    graders = Graders(AnswerRule(grader="normal_form", second=None))
    assert [one for one in PAIRS if graders.both(*one[:2])[0] and not one[2]] == []


def test_hostile_answers_are_not_waited_for() -> None:
    with GradingProcess("math_verify", 1.0) as process:
        process.verdict("1", "1")  # the start is not counted
        for answer in HOSTILE:
            begun = time.monotonic()
            assert process.verdict(answer, "4") is not True
            assert time.monotonic() - begun < START_SECONDS + PATIENCE + 5
        assert process.verdict("4.0", "4") is True


def test_a_grader_that_hangs_dies_prints_or_raises_has_no_verdict_and_goes_on() -> None:
    with GradingProcess(f"{__name__}.never", 0.2) as process:
        assert process.verdict("4", "4") is True
        for answer in ("hang", "loop", "die", "raise"):
            assert process.verdict(answer, "4") is None
            assert process.verdict("5", "4") is False
        assert process.verdict("print", "4") is False
        assert process.verdict("4", "4") is True


def once(answer: str, gold: str) -> bool:
    """Dies the first time that it is asked about a file, as one that the system ends for want of memory."""
    marker = Path(answer)
    if answer != "1" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def test_a_verdict_does_not_depend_on_a_process_that_was_killed_once(tmp_path: Path) -> None:
    with GradingProcess(f"{__name__}.once", 5.0) as process:
        assert process.verdict(str(tmp_path / "asked"), "4") is True


def test_what_the_first_grader_cannot_judge_the_second_does() -> None:
    rule = AnswerRule(grader=f"{__name__}.never", second="exact", seconds=0.2)
    with Graders(rule) as graders:
        assert graders.both("raise", "raise") == (None, True)
        assert graders.verdicts(["raise", "4", "", "4"], "4") == {"raise": False, "4": True}
    with Graders(rule.model_copy(update={"second": None})) as graders:
        assert graders.verdicts(["raise"], "4") == {"raise": None}


def test_a_gold_answer_that_cannot_be_read_is_refused() -> None:
    with Graders(AnswerRule(grader="multiple_choice", second=None)) as graders:
        graders.require("(B)", "problem 1")
        for gold in ("", "  ", "none of them"):
            with pytest.raises(InputError, match="problem 1: answer"):
                graders.require(gold, "problem 1")


def test_a_grader_that_cannot_be_started_is_an_input_fault() -> None:
    rule = AnswerRule(grader="no_such_module.function", second=None)
    with Graders(rule) as graders, pytest.raises(InputError, match="can be started"):
        graders.both("4", "4")


def lacking(answer: str, gold: str) -> bool:
    raise ImportError("planted: a library that is not installed")


def test_a_grader_without_its_library_is_refused_and_calls_no_answer_unreadable() -> None:
    with GradingProcess(f"{__name__}.lacking", 5.0) as process, pytest.raises(InputError, match="can be started"):
        process.verdict("4", "4")


def particular(answer: str, gold: str) -> bool:
    if answer == "1":
        raise ValueError("planted: knows no 1")
    return True


def test_a_grader_that_does_not_know_every_answer_can_be_started() -> None:
    with GradingProcess(f"{__name__}.particular", 5.0) as process:
        assert (process.verdict("4", "4"), process.verdict("1", "4")) == (True, None)
