"""Spectrum, ridge and logistic solvers against scikit-learn and plain refits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems

N_PROBLEMS, PER_PROBLEM = 8, 15


def drawn(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prepared features [120, d] with a falling spectrum, problems and anchors."""
    rng = np.random.default_rng(seed)
    problems = np.repeat(np.arange(N_PROBLEMS), PER_PROBLEM)
    features = rng.normal(size=(len(problems), d)) / np.arange(1, d + 1) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    labels = (rng.random(len(problems)) < 0.2).astype(int)
    return prepare(features, problems), problems, labels


@pytest.mark.parametrize("d", [7, 200])
def test_a_spectrum_rebuilds_its_features(d: int) -> None:
    features, _, _ = drawn(d)
    spectrum = Spectrum.of(features)
    np.testing.assert_allclose(spectrum.coordinates @ spectrum.right.T, features, atol=1e-9)
    np.testing.assert_allclose(spectrum.project(features), spectrum.coordinates, atol=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_prepared_features_have_mean_zero_in_each_problem_and_unit_or_no_spread(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    problems = np.sort(rng.integers(0, 4, 30))
    features = rng.normal(size=(30, d)) * 10.0 ** rng.integers(-3, 4, d) + 5
    features[:, 0] = 3.0
    ready = prepare(features, problems)
    for problem in np.unique(problems):
        np.testing.assert_allclose(ready[problems == problem].mean(axis=0), 0, atol=1e-9)
    assert np.all(ready[:, 0] == 0)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(ready[:, 1:]), axis=0)), 1, atol=1e-9)


def test_features_that_are_not_finite_are_refused() -> None:
    features = np.ones((4, 2))
    features[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 4 rows"):
        prepare(features, np.zeros(4))


@pytest.mark.parametrize("d", [7, 200])
def test_ridge_scores_are_those_of_scikit_learn(d: int) -> None:
    features, problems, labels = drawn(d)
    train, test = problems < 6, problems >= 6
    target = within_problems(labels, problems)[train]
    spectrum = Spectrum.of(features[train])
    at = ridge.penalties(spectrum)
    scores = ridge.scores(spectrum, spectrum.project(features[test]), target[:, None], at)
    for penalty, ours in zip(at, scores, strict=True):
        plain = Ridge(alpha=penalty, fit_intercept=False).fit(features[train], target)
        np.testing.assert_allclose(ours[:, 0], plain.predict(features[test]), atol=1e-8)


@pytest.mark.parametrize("d", [7, 200])
def test_left_out_residuals_are_those_of_refitting_without_each_problem(d: int) -> None:
    features, problems, labels = drawn(d)
    target = within_problems(labels, problems)
    penalty = 3.0
    ours = ridge.left_out_residuals(Spectrum.of(features), target[:, None], problems, penalty)[:, 0]
    for problem in range(N_PROBLEMS):
        inside = problems == problem
        plain = Ridge(alpha=penalty, fit_intercept=False).fit(features[~inside], target[~inside])
        np.testing.assert_allclose(ours[inside], target[inside] - plain.predict(features[inside]), atol=1e-8)


def test_the_best_penalty_minimizes_the_left_out_error_and_equals_go_to_the_larger() -> None:
    features, problems, labels = drawn(30)
    spectrum = Spectrum.of(features)
    target = within_problems(labels, problems)
    penalty, error = ridge.best_penalty(spectrum, target, problems)
    errors = ridge.left_out_errors(spectrum, target, problems, ridge.penalties(spectrum))
    assert error == errors.min()
    assert penalty == ridge.penalties(spectrum)[errors.argmin()]
    assert ridge.best_penalty(spectrum, np.zeros(len(target)), problems)[0] == ridge.penalties(spectrum)[-1]


def test_an_infinite_penalty_is_the_difference_of_class_means() -> None:
    features, problems, labels = drawn(12)
    spectrum = Spectrum.of(features)
    target = within_problems(labels, problems)
    scores = ridge.scores(spectrum, spectrum.project(features), target[:, None], np.array([np.inf]))[0, :, 0]
    np.testing.assert_allclose(scores, features @ (features.T @ target), atol=1e-8)


@pytest.mark.parametrize("d", [7, 200])
def test_the_shrinkage_is_that_of_ledoit_and_wolf(d: int) -> None:
    features, _, _ = drawn(d)
    plain = LedoitWolf(assume_centered=True).fit(features)
    assert ridge.ledoit_wolf(Spectrum.of(features)).share == pytest.approx(plain.shrinkage_, rel=1e-6)


def test_lda_has_the_direction_of_scikit_learns_with_the_same_covariance() -> None:
    features, _, labels = drawn(7)
    spectrum = Spectrum.of(features)
    shrunk = ridge.ledoit_wolf(spectrum)
    centred = features - features.mean(axis=0)
    target = labels - labels.mean()
    ours = Ridge(alpha=shrunk.penalty, fit_intercept=False).fit(centred, target).coef_
    within = sum(centred[labels == c].shape[0] * np.cov(centred[labels == c].T, bias=True) for c in (0, 1))
    difference = centred[labels == 1].mean(axis=0) - centred[labels == 0].mean(axis=0)
    plain = np.linalg.solve(within + shrunk.penalty * np.eye(7), difference)
    assert np.corrcoef(ours, plain)[0, 1] == pytest.approx(1, abs=1e-9)
    unshrunk = LinearDiscriminantAnalysis(solver="lsqr").fit(centred, labels).coef_[0]
    assert np.corrcoef(np.linalg.solve(within, difference), unshrunk)[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("d", [7, 200])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_logistic_scores_are_those_of_scikit_learn(d: int, penalty: float) -> None:
    features, _, labels = drawn(d)
    spectrum = Spectrum.of(features)
    weights = logistic.balanced_weights(labels[:, None], np.ones((len(labels), 1), dtype=bool))
    ours = logistic.fit(spectrum.coordinates, labels[:, None], weights, np.array([penalty]))
    plain = LogisticRegression(C=1 / penalty, class_weight="balanced", tol=1e-10, max_iter=100_000)
    np.testing.assert_allclose(
        ours.scores(spectrum.coordinates)[:, 0], plain.fit(features, labels).decision_function(features), atol=2e-3
    )
    assert ours.gradient.max() < 1e-4


def test_columns_with_left_out_rows_are_fits_to_the_other_rows() -> None:
    features, problems, labels = drawn(20)
    spectrum = Spectrum.of(features)
    used = np.stack([problems != 1, problems != 2], axis=1)
    both = np.repeat(labels[:, None], 2, axis=1)
    ours = logistic.fit(spectrum.coordinates, both, logistic.balanced_weights(both, used), np.array([1.0, 5.0]))
    for column, penalty in enumerate((1.0, 5.0)):
        rows = used[:, column]
        plain = LogisticRegression(C=1 / penalty, class_weight="balanced", tol=1e-10, max_iter=100_000)
        plain.fit(features[rows], labels[rows])
        np.testing.assert_allclose(
            ours.scores(spectrum.project(features[~rows]))[:, column],
            plain.decision_function(features[~rows]),
            atol=2e-3,
        )


def test_a_certificate_tells_a_fit_that_did_not_converge(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _, labels = drawn(200)
    rows, weights = Spectrum.of(features).coordinates, np.ones((len(labels), 1))
    done = logistic.fit(rows, labels[:, None], weights, np.array([0.01]))
    monkeypatch.setattr(logistic, "MAX_ITERATIONS", 2)
    stopped = logistic.fit(rows, labels[:, None], weights, np.array([0.01]))
    assert done.gradient[0] < 1e-4 < stopped.gradient[0]
