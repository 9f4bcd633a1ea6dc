"""The rules on a comparison: each fires on its planted fault and stays quiet on healthy data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.statistics import jackknife
from ta_assets.core.statistics.ranking import average_precision_by_problem, mixed_problems, random_average_precision
from ta_checks.rules.claims.beats_order_baseline import beats_order_baseline
from ta_checks.rules.claims.claims_survive_correction import claims_survive_correction
from ta_checks.rules.claims.enough_problems import enough_problems
from ta_checks.rules.claims.interval_not_degenerate import interval_not_degenerate
from ta_checks.rules.claims.precisions import precision_of
from ta_checks.rules.data.label_support import label_support
from ta_checks.rules.inference import shared_fits_factor


def row(**fields: Any) -> dict[str, Any]:
    healthy = {
        "name": "ridge",
        "kind": "probe",
        "verdict": "better",
        "average_precision": 0.5,
        "ap_low": 0.4,
        "ap_high": 0.6,
        "difference": 0.1,
        "low": 0.05,
        "high": 0.15,
        "deviation": 0.1,
        "p": 0.001,
        "chance_p": 0.001,
        "increment_p": 0.001,
        "stratified_p": None,
        "strata_p": None,
        "supported_p": None,
    }
    return {**healthy, **fields}


def leads(mean: float, n: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, n) + mean


def factors(factor: float) -> dict[str, float]:
    return dict.fromkeys(("ridge", "lda"), factor)


@pytest.mark.parametrize("claim", ["better", "worse"])
def test_a_claim_on_five_problems_is_refused(claim: str) -> None:
    verdict = enough_problems([row(verdict=claim), row(verdict="no difference")], 5, 0.04)
    assert verdict.status == "failed"
    assert verdict.offenders == (f"ridge: {claim}",)


def test_claims_on_six_problems_and_silence_on_fewer_are_fine() -> None:
    assert enough_problems([row()], 6, 0.04).passed
    assert enough_problems([row()], 6, 0.02).status == "failed"
    assert enough_problems([row(verdict="inconclusive, needs at least 6 problems")], 3, 0.04).passed
    assert enough_problems([row()], 50, 0.0).status == "failed"


@pytest.mark.parametrize(
    ("fields", "n"),
    [
        ({"low": 0.1, "high": 0.1}, 20),
        ({"low": 0.2, "high": 0.05}, 20),
        ({"low": float("nan")}, 20),
        ({"high": None}, 20),
        ({"low": 0.12}, 20),
        ({"ap_low": 0.55}, 20),
        ({"low": None, "high": None}, 20),
        ({}, 3),
    ],
)
def test_a_degenerate_interval_is_found(fields: dict[str, Any], n: int) -> None:
    verdict = interval_not_degenerate([row(), row(**fields, name="lda")], n)
    assert verdict.status == "failed"
    assert any("lda" in one for one in verdict.offenders)


def test_sound_intervals_and_equal_scores_without_one_are_fine() -> None:
    same = row(name="copy", low=None, high=None, difference=0.0, deviation=0.0)
    assert interval_not_degenerate([row(), same], 20).passed
    none = row(low=None, high=None, ap_low=None, ap_high=None)
    assert interval_not_degenerate([none], 3).passed


def test_anchors_on_a_handful_of_rollouts_are_found() -> None:
    anchors, problems = np.tile([1, 0], 10), np.repeat([4, 7], 10)
    few = np.where(anchors == 1, 2.0, 50.0)
    verdict = label_support(few, anchors, problems)
    assert verdict.status == "failed"
    assert verdict.observed == 1.0
    assert verdict.offenders[0] == "problem 4: 5 anchors"


def test_well_supported_anchors_are_fine_and_silent_data_is_skipped() -> None:
    anchors, problems = np.tile([1, 0], 10), np.repeat([4, 7], 10)
    assert label_support(np.full(20, 40.0), anchors, problems).passed
    assert label_support(np.full(20, np.nan), anchors, problems).status == "skipped"


def test_probes_no_better_than_the_order_are_found() -> None:
    verdict = beats_order_baseline({"ridge": leads(0.0), "lda": leads(-0.2)}, factors(1.0))
    assert verdict.status == "failed"
    assert len(verdict.offenders) == 2


def test_one_probe_better_than_the_order_is_enough_and_few_problems_are_skipped() -> None:
    assert beats_order_baseline({"ridge": leads(0.2), "lda": leads(-0.2)}, factors(1.0)).passed
    assert beats_order_baseline({"ridge": leads(0.2, 4)}, factors(1.0)).status == "skipped"
    assert beats_order_baseline({}, factors(1.0)).status == "skipped"
    assert beats_order_baseline({"ridge": leads(0.07)}, factors(1.0)).passed
    assert beats_order_baseline({"ridge": leads(0.07)}, factors(3.0)).status == "failed"


def test_a_lead_that_only_a_single_test_finds_is_found() -> None:
    verdict = claims_survive_correction([row(verdict="inconclusive", p=0.2)], {"ridge": leads(0.07)}, factors(1.0))
    assert verdict.status == "failed"
    assert "corrected" in verdict.offenders[0]


def test_a_single_test_of_drawn_folds_carries_their_factor() -> None:
    undecided = [row(verdict="inconclusive", p=0.2)]
    assert claims_survive_correction(undecided, {"ridge": leads(0.07)}, factors(3.0)).passed


@pytest.mark.parametrize("test", ["p", "chance_p", "increment_p", "stratified_p"])
def test_better_with_a_corrected_p_above_the_level_is_found(test: str) -> None:
    assert claims_survive_correction([row(**{test: 0.4})], {"ridge": leads(0.0)}, factors(1.0)).status == "failed"


def test_surviving_claims_and_no_claims_are_fine() -> None:
    baseline = row(name="order", kind="baseline", p=0.9)
    assert claims_survive_correction([row(), baseline], {"ridge": leads(0.2)}, factors(1.0)).passed
    assert claims_survive_correction([row(verdict="inconclusive", p=0.9)], {"ridge": leads(0.0)}, factors(1.0)).passed


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_precisions_by_plain_code_are_those_of_the_comparison(seed: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    problems = np.repeat([3, 5, 9], (8, 5, 4))
    labels = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    values = rng.integers(0, 3, (17, 2)).astype(float) if tied else rng.normal(size=(17, 2))
    scores = pd.DataFrame({"problem_id": problems, "anchor": labels, "ridge/0": values[:, 0], "ridge/1": values[:, 1]})
    expected = average_precision_by_problem(labels, values, problems).mean(axis=1)
    np.testing.assert_allclose(precision_of(scores, "ridge"), expected, atol=1e-12)
    chance = [random_average_precision(labels[rows]) for rows in mixed_problems(labels, problems).values()]
    np.testing.assert_allclose(precision_of(scores, "chance"), chance, atol=1e-12)


@pytest.mark.parametrize("n", [3, 6, 20, 60])
def test_the_checks_have_the_factor_of_shared_fits_by_code_of_their_own(n: int) -> None:
    rng = np.random.default_rng(n)
    lead, changed = rng.normal(size=n), 0.2 * rng.normal(size=(n, n))
    np.fill_diagonal(changed, 0.0)
    expected = jackknife.factor(lead, lead[:, None] - changed, 1.4)
    assert shared_fits_factor(lead, changed, 1.4) == pytest.approx(expected)
    assert shared_fits_factor(np.ones(n), changed, 1.4) == 1.4
