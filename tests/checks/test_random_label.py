"""``random_label`` fires on every planted fault of the harness and stays quiet on healthy settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ta_checks.rules.shuffles import random_label as module
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.random_label import SPREADS, random_label
from ta_checks.rules.shuffles.shuffled_labels import permute_within_problems, ridge_fit_and_score

Draw = Callable[..., LabelledVectors]
HEALTHY_SEEDS, SEEDS_OF_OTHER_KINDS = 200, 60
FAULTY_SEEDS, FAULTY_PERMUTATIONS = 2, 40
"""A planted fault is far beyond any bound, so little is enough to see it; being quiet takes many seeds."""


@pytest.fixture
def without_the_predecessor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rule costs six times as much as ours and is tested on its own."""
    monkeypatch.setattr(module, "_predecessor_rule", lambda *_: {})


@pytest.mark.usefixtures("without_the_predecessor")
def test_it_stays_quiet_on_200_healthy_seeds(labelled: Draw, recipe, is_realistic: bool) -> None:
    seeds = HEALTHY_SEEDS if is_realistic else SEEDS_OF_OTHER_KINDS
    verdicts = [random_label(labelled(seed, recipe), seed=seed) for seed in range(seeds)]
    assert [verdict.message for verdict in verdicts if not verdict.passed] == []
    strain = [float(verdict.observed) / float(verdict.threshold) for verdict in verdicts]  # type: ignore[arg-type]
    # The bound is 5 standard errors: of 200 healthy seeds the worst should lie near 3, and the typical one near 0.7.
    assert max(strain) < 0.9
    assert 0.05 < np.median(strain) < 0.25


def identity(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    return np.repeat(data.anchors[:, None], permutations, axis=1)


def mostly_identity(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    labels = permute_within_problems(data, rng, permutations)
    labels[:, permutations // 10 :] = data.anchors[:, None]
    return labels


def half_of_the_problems(data: LabelledVectors, rng: np.random.Generator, permutations: int) -> np.ndarray:
    labels = permute_within_problems(data, rng, permutations)
    later = data.problems > np.median(data.problems[data.train])
    labels[later] = data.anchors[later, None]
    return labels


@pytest.mark.parametrize("signal", [0.0, 3.0])
@pytest.mark.parametrize("permute", [identity, mostly_identity, half_of_the_problems])
def test_labels_that_were_not_really_shuffled_fail(labelled: Draw, permute, signal: float) -> None:
    for seed in range(FAULTY_SEEDS):
        verdict = random_label(
            labelled(seed, signal=signal), seed=seed, permute=permute, permutations=FAULTY_PERMUTATIONS
        )
        assert verdict.status == "failed"
        assert abs(verdict.details["agreement_with_true_labels_z"]) > 5


@pytest.mark.parametrize("fields", [{}, {"sentences": 40}, {"d_model": 576}, {"correlated": False}])
def test_test_rows_graded_by_the_labels_they_were_fitted_on_fail(labelled: Draw, fields: dict) -> None:
    for seed in range(FAULTY_SEEDS):
        healthy = labelled(seed, **fields)
        verdict = random_label(
            replace(healthy, train=healthy.train | healthy.test), seed=seed, permutations=FAULTY_PERMUTATIONS
        )
        assert verdict.status == "failed"
        assert verdict.unit == "AUROC from 0.5"
        assert float(verdict.observed) > 0.2  # type: ignore[arg-type]


def test_fitting_on_the_test_rows_with_their_true_labels_fails(labelled: Draw) -> None:
    for seed in range(FAULTY_SEEDS):
        data = labelled(seed)
        truth = data.anchors[data.test].astype(float) - 0.1

        def leaky(x_train, y_train, x_test, truth=truth):
            also = np.repeat(truth[:, None], y_train.shape[1], axis=1)
            return ridge_fit_and_score(np.vstack([x_train, x_test]), np.vstack([y_train, also]), x_test)

        verdict = random_label(data, seed=seed, fit_and_score=leaky, permutations=FAULTY_PERMUTATIONS)
        assert (verdict.status, verdict.unit) == ("failed", "AUROC from 0.5")


@pytest.mark.parametrize("weight", [0.5, -0.5, 3.0, 1e6])
def test_scores_that_see_the_label_fail(labelled: Draw, weight: float) -> None:
    for seed in range(FAULTY_SEEDS):
        data = labelled(seed)

        def seeing(x_train, y_train, x_test, data=data):
            scores = ridge_fit_and_score(x_train, y_train, x_test)
            return scores + weight * scores.std() * data.anchors[data.test][:, None]

        verdict = random_label(data, seed=seed, fit_and_score=seeing, permutations=FAULTY_PERMUTATIONS)
        assert (verdict.status, verdict.unit) == ("failed", "AUROC from 0.5")


def test_a_leak_in_every_fifth_shuffle_fails(labelled: Draw) -> None:
    data = labelled(0)

    def sometimes(x_train, y_train, x_test):
        scores = ridge_fit_and_score(x_train, y_train, x_test)
        scores[:, ::5] = data.anchors[data.test][:, None]
        return scores

    assert random_label(data, seed=0, fit_and_score=sometimes).status == "failed"


def test_a_problem_cut_between_train_and_test_fails(labelled: Draw) -> None:
    data = labelled(0)
    cut = data.problems == data.problems[data.test][0]
    first_half = cut & (np.arange(len(cut)) % 2 == 0)
    mixed = replace(data, train=data.train | first_half, test=data.test & ~first_half)
    verdict = random_label(mixed, seed=0)
    assert verdict.status == "failed"
    assert verdict.offenders == (f"problem {data.problems[data.test][0]}",)


def test_the_bound_is_its_own_null_spread_and_every_figure_is_reported(labelled: Draw) -> None:
    verdict = random_label(labelled(3), seed=3)
    assert verdict.n == 200
    assert verdict.threshold == pytest.approx(max(SPREADS, 5 / np.sqrt(200)) * verdict.details["spread_of_one_shuffle"])
    assert verdict.details["test_problems"] == 3
    assert set(verdict.details["predecessor_rule"]) == {"pr_auc", "limit", "would_pass"}


def test_the_predecessors_rule_would_pass_what_ours_finds(labelled: Draw) -> None:
    data = labelled(0)
    leak = 0.5 * data.anchors[data.test][:, None]
    verdict = random_label(
        data, seed=0, fit_and_score=lambda *given: (made := ridge_fit_and_score(*given)) + leak * made.std()
    )
    assert verdict.status == "failed"
    assert verdict.details["predecessor_rule"]["would_pass"] is True


def test_equal_seeds_give_equal_verdicts(labelled: Draw) -> None:
    data = labelled(1)
    assert random_label(data, seed=4) == random_label(data, seed=4)
    assert random_label(data, seed=4) != random_label(data, seed=5)


def test_constant_vectors_test_nothing_and_do_not_pass(labelled: Draw) -> None:
    data = labelled(0)
    verdict = random_label(replace(data, vectors=np.ones_like(data.vectors)), seed=0)
    assert verdict.status == "skipped"


@pytest.mark.parametrize("part", ["train", "test"])
def test_without_both_classes_it_is_skipped_with_the_reason(labelled: Draw, part: str) -> None:
    data = labelled(0)
    verdict = random_label(replace(data, anchors=np.where(getattr(data, part), 0, data.anchors)), seed=0)
    assert verdict.status == "skipped"
    assert part in verdict.message


def test_a_vector_that_is_not_finite_is_an_error(labelled: Draw) -> None:
    data = labelled(0)
    with pytest.raises(ValueError, match="1 of 240 vectors"):
        random_label(replace(data, vectors=np.where(np.arange(240)[:, None] == 3, np.nan, data.vectors)), seed=0)
