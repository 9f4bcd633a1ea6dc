"""Scores without a training problem against refits without it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.fit import cross_fit
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.out_of_fold import EVERY, Sentences
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.crossfit.without import logistic_without, ridge_without
from ta_assets.core.statistics.ranking import problem_average_precision
from tests.core.made_traces import made_rows, made_vectors

N_PROBLEMS, PER_PROBLEM = 8, 15


def drawn(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prepared features [120, d], problems and anchors."""
    rng = np.random.default_rng(0)
    problems = np.repeat(np.arange(N_PROBLEMS), PER_PROBLEM)
    features = rng.normal(size=(len(problems), d)) / np.sqrt(np.arange(1, d + 1))
    return prepare(features, problems), problems, (rng.random(len(problems)) < 0.2).astype(int)


@pytest.mark.parametrize("d", [7, 200])
@pytest.mark.parametrize("penalty", [0.3, 30.0])
def test_ridge_scores_without_a_problem_are_those_of_refitting_without_it(d: int, penalty: float) -> None:
    features, problems, labels = drawn(d)
    target, train = within_problems(labels, problems), problems < N_PROBLEMS - 1
    spectrum = Spectrum.of(features[train])
    found = ridge_without(spectrum, spectrum.project(features[~train]), target[train], problems[train], penalty)
    for problem, ours in enumerate(found):
        kept = train & (problems != problem)
        plain = Ridge(alpha=penalty, fit_intercept=False).fit(features[kept], target[kept])
        np.testing.assert_allclose(ours, plain.predict(features[~train]), atol=1e-9)


def test_the_difference_of_means_without_a_problem_is_that_of_the_others() -> None:
    features, problems, labels = drawn(7)
    target, train = within_problems(labels, problems), problems < N_PROBLEMS - 1
    spectrum = Spectrum.of(features[train])
    found = ridge_without(spectrum, spectrum.project(features[~train]), target[train], problems[train], np.inf)
    for problem, ours in enumerate(found):
        kept = train & (problems != problem)
        np.testing.assert_allclose(ours, features[~train] @ (features[kept].T @ target[kept]), atol=1e-9)


@pytest.mark.parametrize("d", [7, 60])
def test_a_newton_step_comes_close_to_the_logistic_fit_without_a_problem(d: int) -> None:
    features, problems, labels = drawn(d)
    train = problems < N_PROBLEMS - 1
    spectrum = Spectrum.of(features[train])
    rows, new, penalty = spectrum.coordinates, spectrum.project(features[~train]), 20.0
    one = labels[train][:, None]
    weights = logistic.balanced_weights(one, one >= 0)
    fitted = logistic.fit(rows, one, weights, np.array([penalty]), tolerance=1e-9)
    found = logistic_without(rows, new, fitted, labels[train], weights[:, 0], problems[train], penalty)
    full = fitted.scores(new)[:, 0]
    for problem, ours in enumerate(found):
        kept = problems[train] != problem
        plain = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=2000)
        plain.fit(rows[kept], labels[train][kept], sample_weight=weights[kept, 0])
        exact = plain.decision_function(new)
        assert np.abs(ours - exact).max() < 0.1 * np.abs(full - exact).max()


def test_left_out_residuals_of_no_penalty_at_all_are_those_of_nothing() -> None:
    features, problems, labels = drawn(7)
    target = within_problems(labels, problems)
    found = ridge.left_out_residuals(Spectrum.of(features), target[:, None], problems, np.inf)
    np.testing.assert_allclose(found[:, 0], target)


def test_precisions_without_a_problem_are_those_of_refitting_a_setting_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = made_rows(6)
    one = Sentences(rows, {4: made_vectors(rows, 1.0)})
    # deleting a problem must change neither the scale of features nor the penalty, which the downdate holds fixed
    monkeypatch.setattr(ridge, "PENALTY_GRID", (1.0,))
    found = cross_fit(one, evaluation_folds(one.problems.tolist())).influence_table()
    features = prepare(one.blocks[4], one.problems)
    target = within_problems(one.anchors, one.problems)
    own = found[found["grading"] == EVERY].set_index(["problem_id", "absent"])["ridge"]
    for held_out, absent in ((1, 2), (5, 3), (4, 4)):
        train, test = ~np.isin(one.problems, (held_out, absent)), one.problems == held_out
        size = np.square(features[one.problems != held_out]).sum() / (one.problems != held_out).sum()
        plain = Ridge(alpha=size, fit_intercept=False).fit(features[train], target[train])
        expected = problem_average_precision(one.anchors[test], plain.predict(features[test])[None])[0]
        assert own[held_out, absent] == pytest.approx(expected)
