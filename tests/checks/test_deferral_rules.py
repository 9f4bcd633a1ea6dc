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
    return PlannedRows("seed 0", both, claimed, scores.astype(np.float64), anchors)


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


@pytest.mark.parametrize("objective", ["budget", "error"])
def test_a_plan_within_its_limit_passes(objective: str) -> None:
    assert deferral_objective_met(objective, 0.2, 0.15, [], 5).passed
    assert deferral_objective_met(objective, 0.3, 0.1 + 0.2, [], 5).passed, "rounding is no violation"


@pytest.mark.parametrize(
    ("test_rate", "infeasible", "said"),
    [(0.25, [], "0.250 on test rows"), (None, [], "nothing was decided"), (0.1, ["seed 3, all"], "1 of 5 plans")],
)
def test_a_plan_that_does_not_keep_its_limit_fails(test_rate: float | None, infeasible: list[str], said: str) -> None:
    verdict = deferral_objective_met("error", 0.2, test_rate, infeasible, 5)
    assert verdict.status == "failed"
    assert said in verdict.message
