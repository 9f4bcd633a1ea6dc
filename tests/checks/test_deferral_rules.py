"""The rules on deferral plans: red on planted faults, quiet on plans that hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ta_assets.core.results.deferral import Objective, Rows, apply, choose
from ta_checks.rules.claims.deferral_objective_met import deferral_objective_met
from ta_checks.rules.claims.deferral_recomputes import PlannedRows, deferral_recomputes


@pytest.fixture
def planned() -> PlannedRows:
    rng = np.random.default_rng(0)
    scores, anchors = rng.random(30).astype(np.float32), rng.integers(0, 2, 30)
    plan = choose(Rows(scores, anchors), Objective("budget", 0.4), 11)
    claimed = apply(Rows(scores, anchors), plan.thresholds).to_json()
    both = plan.thresholds.negative, plan.thresholds.positive
    return PlannedRows("seed 0", both, claimed, scores.astype(np.float64), anchors, np.repeat(np.arange(6), 5))


def test_a_plan_that_recounts_passes(planned: PlannedRows) -> None:
    verdict = deferral_recomputes([planned, planned])
    assert (verdict.status, verdict.n) == ("passed", 2)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda one: replace(one, thresholds=one.thresholds[::-1]), "is above the positive"),
        (lambda one: replace(one, thresholds=(float("nan"), 1.0)), "is above the positive"),
        (lambda one: replace(one, anchors=1 - one.anchors), "n_errors"),
        (lambda one: replace(one, scores=one.scores[:-1], anchors=one.anchors[:-1]), "n is 30, recounted 29"),
        (lambda one: replace(one, claimed={**one.claimed, "n_deferred": 0}), "n_deferred is 0"),
        (lambda one: replace(one, claimed={}), "n is None"),
    ],
)
def test_a_plan_of_something_else_fails(planned: PlannedRows, plant: Callable[[Any], Any], said: str) -> None:
    verdict = deferral_recomputes([plant(planned)])
    assert verdict.status == "failed"
    assert said in " ".join(verdict.offenders)


def test_no_plans_are_not_a_pass() -> None:
    assert deferral_recomputes([]).status == "failed"


def on_test(deferred: list[int], wrong: list[int]) -> list[PlannedRows]:
    """Problems of ten sentences without anchors, of which so many are deferred, and so many decided as anchors."""
    scores = np.concatenate(
        [[0.5] * d + [0.9] * w + [0.1] * (10 - d - w) for d, w in zip(deferred, wrong, strict=True)]
    )
    problems = np.repeat(np.arange(len(deferred)), 10)
    return [PlannedRows("seed 0", (0.2, 0.8), {}, scores, np.zeros(len(scores), dtype=int), problems)]


def test_a_plan_within_its_limit_passes_and_so_does_one_that_chance_may_explain() -> None:
    assert deferral_objective_met("budget", 0.2, on_test([1, 2, 1], [0, 0, 0]), [], 5).passed
    assert deferral_objective_met("budget", 0.3, on_test([3, 3, 3], [0, 0, 0]), [], 5).passed, "rounding is no excess"
    assert deferral_objective_met("budget", 0.2, on_test([1, 2, 5], [0, 0, 0]), [], 5).passed
    assert deferral_objective_met("error", 0.1, on_test([2, 2, 2], [0, 1, 3]), [], 5).passed


@pytest.mark.parametrize(
    ("objective", "test", "said"),
    [
        ("budget", on_test([4, 4, 5], [0, 0, 0]), "0.433 over 3 test problems"),
        ("error", on_test([0, 0, 0], [4, 5, 4]), "0.433 over 3 test problems"),
    ],
)
def test_a_limit_that_every_test_problem_breaks_fails(objective: str, test: list[PlannedRows], said: str) -> None:
    verdict = deferral_objective_met(objective, 0.2, test, [], 5)
    assert verdict.status == "failed"
    assert said in verdict.message


def test_plans_that_keep_nothing_on_val_fail_and_of_nothing_decided_nothing_is_said() -> None:
    verdict = deferral_objective_met("error", 0.2, on_test([1, 1, 1], [0, 0, 0]), ["seed 3, all"], 5)
    assert verdict.status == "failed"
    assert "1 of 5 plans" in verdict.message
    assert deferral_objective_met("error", 0.2, on_test([10, 10, 10], [0, 0, 0]), [], 5).status == "skipped"


def test_a_single_test_problem_is_judged_by_its_sentences() -> None:
    assert deferral_objective_met("budget", 0.2, on_test([4], [0]), [], 5).passed
    assert deferral_objective_met("budget", 0.2, on_test([10], [0]), [], 5).status == "failed"
    assert deferral_objective_met("error", 0.1, on_test([0], [0]), [], 5).passed


@pytest.mark.parametrize("n_problems", [3, 6, 15])
@pytest.mark.parametrize(("kind", "limit"), [("budget", 0.2), ("error", 0.1)])
def test_honest_plans_are_rarely_red(n_problems: int, kind: str, limit: float) -> None:
    rng, sets, red = np.random.default_rng(n_problems), 40, 0

    def problems() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        anchors = np.tile([1, 1, *[0] * 10], n_problems)
        ids = np.repeat(np.arange(n_problems), 12)
        return rng.normal(size=len(ids)) + 1.5 * anchors + 0.5 * rng.normal(size=n_problems)[ids], anchors, ids

    for _ in range(sets):
        plan = choose(Rows(*problems()), Objective(kind, limit), 41)
        scores, anchors, ids = problems()
        both = plan.thresholds.negative, plan.thresholds.positive
        rows = PlannedRows("", both, {}, scores, anchors, ids)
        red += deferral_objective_met(kind, limit, [rows], [], 1).status == "failed"
    assert red / sets <= 0.2  # P(more | 10 %) < 3 %
