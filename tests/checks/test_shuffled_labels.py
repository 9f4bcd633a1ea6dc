"""Shuffling within problems and the ridge probes of all shuffles at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from ta_checks.rules.shuffles.beats_shuffled_labels import ScoredVectors, beats_shuffled_labels
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.shuffled_labels import (
    PENALTY,
    agreement_z,
    permute_within_problems,
    ridge_fit_and_score,
    shift_within_problems,
)

Draw = Callable[..., LabelledVectors]


def test_a_shuffle_keeps_each_problems_anchors_and_touches_train_only(labelled: Draw) -> None:
    data = labelled(0, signal=3.0, uneven=True)
    labels = permute_within_problems(data, np.random.default_rng(0), 50)
    for problem in np.unique(data.problems):
        rows = data.problems == problem
        assert (labels[rows].sum(axis=0) == data.anchors[rows].sum()).all()
    assert (labels[~data.train] == data.anchors[~data.train, None]).all()
    assert len(np.unique(labels.T, axis=0)) == 50


@pytest.mark.parametrize(("n", "d"), [(60, 20), (60, 200), (60, 60)])
def test_ridge_agrees_with_scikit_learn(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x, y, x_test = rng.normal(2, 3, (n, d)), rng.integers(0, 2, (n, 7)), rng.normal(2, 3, (25, d))
    x[:, 0] = 5.0
    scaler = StandardScaler().fit(x)
    size = np.square(scaler.transform(x)).sum() / n
    expected = Ridge(alpha=PENALTY * size).fit(scaler.transform(x), y).predict(scaler.transform(x_test)) - y.mean(0)
    np.testing.assert_allclose(ridge_fit_and_score(x, y, x_test), expected, atol=1e-9)


def test_agreement_is_in_standard_errors_of_the_hypergeometric(labelled: Draw) -> None:
    data = labelled(0, signal=3.0, uneven=True)
    z = [agreement_z(data, permute_within_problems(data, np.random.default_rng(s), 200)) for s in range(200)]
    assert np.mean(z) == pytest.approx(0, abs=0.25)
    assert np.std(z) == pytest.approx(1, abs=0.2)
    n_and_k = [(int(rows.sum()), int(data.anchors[rows].sum())) for rows in mixed_rows(data)]
    kept = sum(k - hypergeom(n, k, k).mean() for n, k in n_and_k)
    variance = sum(hypergeom(n, k, k).var() for n, k in n_and_k)
    assert agreement_z(data, data.anchors[:, None]) == pytest.approx(kept / np.sqrt(variance))


def mixed_rows(data: LabelledVectors) -> list[np.ndarray]:
    """Row masks of the training problems that have both classes."""
    masks = [data.train & (data.problems == problem) for problem in np.unique(data.problems[data.train])]
    return [rows for rows in masks if 0 < data.anchors[rows].sum() < rows.sum()]


def test_a_probe_that_knows_beats_shuffled_labels(labelled: Draw) -> None:
    data = labelled(0, sentences=40)
    rng = np.random.default_rng(0)
    knowing = np.where(data.test, data.anchors + rng.normal(0, 0.3, len(data.anchors)), np.nan)
    verdict = beats_shuffled_labels(
        [ScoredVectors(data, {"linear_probe": knowing, "mlp_probe": rng.normal(size=800)})], seed=0
    )
    assert (verdict.status, verdict.observed) == ("passed", pytest.approx(2 / 201))
    assert [one.split(":")[0] for one in verdict.offenders] == ["mlp_probe"]


def test_activations_beside_the_position_cannot_pass_for_activations(labelled: Draw) -> None:
    data = labelled(0, sentences=40)
    knowing = data.anchors + np.random.default_rng(0).normal(0, 0.3, len(data.anchors))
    names = ("activations_plus_position", "position_baseline")
    verdict = beats_shuffled_labels([ScoredVectors(data, dict.fromkeys(names, knowing))], seed=0)
    assert verdict.status == "skipped"
    noise = np.random.default_rng(1).normal(size=len(data.anchors))
    beside = {"linear_probe": noise, "activations_plus_position": knowing}
    assert beats_shuffled_labels([ScoredVectors(data, beside)], seed=0).status == "failed"


def test_shifted_labels_keep_their_runs_and_leave_the_test_alone(labelled: Draw) -> None:
    data = labelled(0, sentences=12)
    found = shift_within_problems(data, np.random.default_rng(0), 30)
    assert np.array_equal(found[data.test], np.repeat(data.target[data.test, None], 30, axis=1))
    one = data.train & (data.problems == data.problems[data.train][0])
    turns = {tuple(np.roll(data.target[one], step)) for step in range(12)}
    assert {tuple(column) for column in found[one].T} <= turns
    assert len({tuple(column) for column in found[one].T}) > 1


def test_noise_beats_shuffled_labels_as_often_as_the_level_says(labelled: Draw) -> None:
    data = labelled(0, sentences=20)
    rng = np.random.default_rng(0)
    noise = [{"linear_probe": rng.normal(size=400), "mlp_probe": rng.normal(size=400)} for _ in range(100)]
    passed = sum(
        beats_shuffled_labels([ScoredVectors(data, scores)], seed=seed).passed for seed, scores in enumerate(noise)
    )
    assert passed <= 12


def test_a_baseline_cannot_pass_for_the_probes(labelled: Draw) -> None:
    data = labelled(0, sentences=40)
    noise = np.random.default_rng(0).normal(size=800)
    scores = {"position_baseline": data.anchors.astype(float), "linear_probe": noise}
    verdict = beats_shuffled_labels([ScoredVectors(data, scores)], seed=0)
    assert verdict.status == "failed"
    assert verdict.details["auroc"]["position_baseline"] == 1.0


def test_scores_that_are_not_finite_beat_nothing(labelled: Draw) -> None:
    data = labelled(0)
    verdict = beats_shuffled_labels([ScoredVectors(data, {"linear_probe": np.where(data.test, np.nan, 1.0)})], seed=0)
    assert (verdict.status, verdict.observed) == ("failed", 1.0)


def test_it_is_skipped_without_probes_or_without_a_mixed_test_problem(labelled: Draw) -> None:
    data = labelled(0)
    assert (
        beats_shuffled_labels([ScoredVectors(data, {"text_only_baseline": data.anchors * 1.0})], seed=0).status
        == "skipped"
    )
    flat = LabelledVectors(data.vectors, np.where(data.test, 0, data.anchors), data.problems, data.train, data.test)
    assert (
        beats_shuffled_labels([ScoredVectors(flat, {"linear_probe": data.anchors * 1.0})], seed=0).status == "skipped"
    )


def test_scores_of_another_length_are_an_error(labelled: Draw) -> None:
    with pytest.raises(ValueError, match="linear_probe"):
        beats_shuffled_labels([ScoredVectors(labelled(0), {"linear_probe": np.zeros(3)})], seed=0)


def test_all_faults_of_labelled_vectors_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"anchors has shape .*train is int64, expected bool; anchors hold values"):
        LabelledVectors(np.zeros((3, 2)), np.array([0, 2]), np.zeros(3), np.zeros(3, int), np.zeros(3, bool))
