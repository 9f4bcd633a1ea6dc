"""The rules on how fits went: each fires on fits that stopped short or left no record, and is quiet on the others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from ta_assets.core.crossfit import logistic
from ta_assets.core.crossfit.fit import UNTRAINED, cross_fit
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.out_of_fold import Sentences
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData, fit_scores
from ta_checks.rules.cells.fits_converged import fits_converged
from ta_checks.rules.claims.fits_at_optimum import MAXIMUM_RELATIVE_GRADIENT, fits_at_optimum
from ta_checks.verdict import Verdict
from tests.core.made_traces import made_rows, made_vectors

N_PROBLEMS = 6
Choices = dict[str, list[dict[str, Any]]]


def crossed(blocks: tuple[int, ...] = (3,)) -> Choices:
    """What the real fits record."""
    rows = made_rows(N_PROBLEMS)
    sentences = Sentences(rows, {block: made_vectors(rows, 1.0, seed=block) for block in blocks})
    found = cross_fit(sentences, evaluation_folds(sentences.problems.tolist()))
    assert set(found.scores) - set(found.choices) <= set(UNTRAINED)
    return found.choices


@pytest.fixture(scope="module")
def choices() -> Choices:
    return crossed()


def judged(choices: Choices, n_folds: int = N_PROBLEMS) -> Verdict:
    return fits_at_optimum(choices, list(choices), n_folds)


def test_certificates_of_real_fits_are_far_below_the_bound(choices: Choices) -> None:
    verdict = judged(choices)
    assert verdict.passed, verdict.offenders
    assert verdict.n == N_PROBLEMS * len(choices)
    assert isinstance(verdict.observed, float)
    assert verdict.observed < MAXIMUM_RELATIVE_GRADIENT / 10


def test_a_choice_among_blocks_needs_no_certificate_of_its_own() -> None:
    found = crossed(blocks=(3, 5))
    assert "ridge@best" in found
    assert judged(found).passed


def test_a_solver_that_stops_after_three_iterations_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "MAX_ITERATIONS", 3)
    verdict = judged(crossed())
    assert verdict.status == "failed"
    assert len(verdict.offenders) == 1
    assert verdict.offenders[0].startswith("logistic: ")


@pytest.mark.parametrize("value", [None, float("nan"), "0.0", -1.0])
def test_a_certificate_that_is_none_is_not_passed(choices: Choices, value: Any) -> None:
    without = deepcopy(choices)
    without["ridge"][2]["relative_gradient"] = value
    verdict = judged(without)
    assert (verdict.status, verdict.observed) == ("failed", None)
    assert verdict.offenders == ("ridge: 5 certificates in 6 folds",)


def test_scores_and_folds_without_certificates_are_found(choices: Choices) -> None:
    assert fits_at_optimum(choices, [*choices, "lda@7"], N_PROBLEMS).offenders == ("lda@7: 0 certificates in 6 folds",)
    assert judged(choices, n_folds=12).status == "failed"
    assert fits_at_optimum({}, [], N_PROBLEMS).status == "failed"


def cell_fits(options: ProbeOptions) -> dict[str, Any]:
    """How the models of a small cell were fitted."""
    rows = made_rows(N_PROBLEMS)
    rows = rows.assign(split=np.where(rows["problem_id"] < N_PROBLEMS, "train", "test"))
    data = ProbeData.of(rows, made_vectors(rows, 1.0).astype(np.float32))
    return {model: fit_scores(model, data, options).facts() for model in ("position_baseline", "mlp_probe")}


def test_fits_that_ended_by_themselves_are_fine_and_an_impatient_network_is_found() -> None:
    assert fits_converged(cell_fits(ProbeOptions())).passed
    verdict = fits_converged(cell_fits(ProbeOptions(mlp_max_iter=3)))
    assert verdict.status == "failed"
    assert verdict.offenders == ("mlp_probe: stopped after 3 iterations",)


def test_fits_without_a_record_are_not_passed() -> None:
    fine = {"converged": True, "n_iter": 12, "warnings": []}
    assert fits_converged({"linear_probe": fine}).passed
    assert fits_converged({"linear_probe": fine, "mlp_probe": None}).offenders == ("mlp_probe: no record of its fit",)
    assert fits_converged({}).status == "failed"
