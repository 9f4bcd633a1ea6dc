"""The rules on probes where the target is a continuous importance: quiet when healthy, red on planted faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ta_checks.rules.shuffles.beats_shuffled_labels import ScoredVectors, beats_shuffled_labels
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.overfit_memorization import overfit_memorization
from ta_checks.rules.shuffles.random_label import random_label
from ta_checks.rules.shuffles.shuffled_labels import agreement_by_problem, agreement_z, permute_within_problems

KINDS = {"signed": lambda values: values, "absolute": np.abs, "many zeros": lambda values: np.maximum(values - 0.3, 0)}


def importance(data: LabelledVectors, kind: str, signal: float, seed: int) -> LabelledVectors:
    """Replace the target by an importance that depends on vectors and position."""
    rng = np.random.default_rng(seed)
    told = data.vectors @ rng.normal(size=data.vectors.shape[1])
    values = signal * told / told.std() + rng.normal(size=len(told))
    return replace(data, importance=KINDS[kind](values))


@pytest.mark.parametrize("kind", list(KINDS))
def test_shuffled_importances_know_nothing(labelled: Callable[..., LabelledVectors], kind: str) -> None:
    for seed in range(2):
        verdict = random_label(importance(labelled(seed), kind, 3.0 * seed, seed), seed=seed)
        assert verdict.passed, verdict.message
        assert verdict.unit == "(1 + Spearman) / 2 from 0.5"
        assert "predecessor_rule" not in verdict.details


def test_importances_that_were_not_shuffled_are_found(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    verdict = random_label(
        data, seed=0, permute=lambda given, _, count: np.repeat(given.target[:, None], count, axis=1)
    )
    assert verdict.status == "failed"


def test_a_test_problem_that_was_trained_on_is_found(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    verdict = random_label(replace(data, train=data.train | data.test), seed=0)
    assert verdict.status == "failed"
    assert "leak" in verdict.message


def test_a_probe_that_sees_the_true_importance_of_test_rows_is_found(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    assert data.importance is not None
    leaked = data.importance[data.test]
    verdict = random_label(data, seed=0, fit_and_score=lambda _x, y, x: np.repeat(leaked[:, None], y.shape[1], axis=1))
    assert verdict.status == "failed"


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_good_score_beats_shuffled_importances_and_noise_does_not(
    labelled: Callable[..., LabelledVectors], kind: str
) -> None:
    data = importance(labelled(1), kind, 3.0, 1)
    assert data.importance is not None
    noise = np.random.default_rng(0).normal(size=len(data.importance))
    good = beats_shuffled_labels(
        [ScoredVectors(data, {"linear_probe": data.importance, "position_baseline": noise})], seed=0
    )
    assert good.passed, good.message
    assert not beats_shuffled_labels([ScoredVectors(data, {"linear_probe": noise})], seed=0).passed
    assert not beats_shuffled_labels([ScoredVectors(data, {"linear_probe": -data.importance})], seed=0).passed


def test_equal_vectors_of_different_importance_cannot_be_memorized(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    assert overfit_memorization(data).passed
    rows = np.flatnonzero(data.train & (data.anchors == 0))[:2]
    assert data.problems[rows[0]] == data.problems[rows[1]]
    vectors = data.vectors.copy()
    vectors[rows[1]] = vectors[rows[0]]
    doubled = replace(data, vectors=vectors)
    assert overfit_memorization(doubled).status == "failed"
    assert overfit_memorization(replace(doubled, importance=None)).passed, "as anchors they do not conflict"


def test_constant_vectors_cannot_be_memorized(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    assert overfit_memorization(replace(data, vectors=np.ones_like(data.vectors))).status == "failed"


def test_equal_importances_leave_nothing_to_judge(labelled: Callable[..., LabelledVectors]) -> None:
    data = labelled(0)
    flat = replace(data, importance=np.zeros(len(data.anchors)))
    assert random_label(flat, seed=0).status == "skipped"
    assert (
        "different importance"
        in beats_shuffled_labels([ScoredVectors(flat, {"linear_probe": flat.target})], seed=0).message
    )


def test_a_constant_score_orders_nothing(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "signed", 0.0, 0)
    found = agreement_by_problem(data, data.target[data.test], np.zeros(int(data.test.sum())))
    np.testing.assert_array_equal(found, 0.5)


def test_agreement_of_shuffles_is_standard_normal(labelled: Callable[..., LabelledVectors]) -> None:
    data = importance(labelled(0), "absolute", 0.0, 0)
    found = [agreement_z(data, permute_within_problems(data, np.random.default_rng(seed), 50)) for seed in range(40)]
    assert abs(np.mean(found)) < 0.5
    assert 0.7 < np.std(found) < 1.3


@pytest.mark.parametrize(
    ("bad", "said"), [(np.zeros(3), "importance has shape"), (np.full(240, np.nan), "importance holds NaN")]
)
def test_an_importance_that_does_not_fit_is_refused(
    labelled: Callable[..., LabelledVectors], bad: np.ndarray, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        replace(labelled(0), importance=bad)
