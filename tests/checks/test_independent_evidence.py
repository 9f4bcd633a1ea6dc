"""The rules on what evidence rests on: twins are found, problems that only look alike are not; so are false counts."""

from __future__ import annotations

import numpy as np
import pytest

from ta_checks.rules.data.problems_are_distinct import problems_are_distinct
from ta_checks.rules.data.rollouts_counted import rollouts_counted
from tests.core.traces.test_campaign import traces

QUESTIONS = [f"A train leaves at {hour} and takes {hour + 2} hours. When does it arrive?" for hour in range(6)]
TRACES = [
    " ".join(f"First, {hour} plus {step} is {hour + step}, so step {step} of train {hour} holds." for step in range(9))
    for hour in range(6)
]
IDS = list(range(6))


def test_problems_that_differ_in_numbers_only_are_distinct() -> None:
    verdict = problems_are_distinct(IDS, QUESTIONS, TRACES)
    assert verdict.passed, verdict.offenders


def test_a_question_under_two_ids_is_found_whatever_its_case_and_spaces() -> None:
    again = [*QUESTIONS[:5], QUESTIONS[2].upper().replace(" ", "  ")]
    verdict = problems_are_distinct(IDS, again, TRACES)
    assert verdict.status == "failed"
    assert verdict.offenders == ("problems 2 and 5: the same question",)


@pytest.mark.parametrize("changed", [0, 1])
def test_a_trace_under_two_ids_is_found_though_a_word_differs(changed: int) -> None:
    twin = TRACES[1].replace("holds", "stands", changed)
    verdict = problems_are_distinct(IDS, ["" for _ in IDS], [*TRACES[:5], twin])
    assert verdict.status == "failed"
    assert verdict.offenders[0].startswith("problems 1 and 5: traces alike by")


def test_empty_traces_are_no_twins() -> None:
    assert problems_are_distinct([1, 2], ["", ""], ["", ""]).passed


@pytest.mark.parametrize("size", [20, 25, 30, 50, 60, 100])
def test_true_counts_pass_and_multiplied_ones_do_not(size: int) -> None:
    made = traces(size)
    assert rollouts_counted(made, np.full(30, float(size)), None).passed
    assert rollouts_counted(made, np.full(30, float(size)), size).passed
    multiplied = rollouts_counted(made, np.full(30, 2.0 * size), 2 * size)
    assert multiplied.status == "failed"
    assert len(multiplied.offenders) == 2
    assert rollouts_counted(made, np.full(30, np.nan), size // 2).status == "failed"


def test_fractions_that_tell_nothing_are_not_judged() -> None:
    plain = [{"accuracy": 1.0, "different_trajectories_fraction": 0.0}] * 30
    assert rollouts_counted([plain], np.full(30, 100.0), 100).status == "skipped"
