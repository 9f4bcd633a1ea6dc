"""Out-of-fold scores: nothing of a held-out problem's labels may reach its scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.crossfit.fit import (
    FAMILIES,
    ON_POSTERIOR,
    TRAINED_BASELINES,
    TRAINED_SUPPORT,
    WITH_ACTIVATIONS,
    cross_fit,
)
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.nulls import permutation_max_t, permuted_labels, refit_null
from ta_assets.core.crossfit.out_of_fold import Sentences, folds_of
from ta_assets.core.crossfit.spectrum import prepare, within_problems
from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics.ranking import average_precision_by_problem
from tests.core.made_traces import made_rows, made_vectors

OPTIONS = InferenceOptions.model_construct(permutations=50)


def sentences(signal: float = 1.0, n_problems: int = 6, seed: int = 0) -> Sentences:
    rows = made_rows(n_problems, seed=seed)
    return Sentences(rows, {4: made_vectors(rows, signal, seed=seed)})


def test_up_to_forty_problems_are_left_out_one_by_one_and_more_in_repeated_folds() -> None:
    assert evaluation_folds([3, 1, 2]).repeats == (((1,), (2,), (3,)),)
    many = evaluation_folds(range(45))
    assert many.scheme == "repeated_group_k_fold"
    for repeat in many.repeats:
        assert sorted(one for fold in repeat for one in fold) == list(range(45))
    assert len(set(many.repeats)) == len(many.repeats)
    assert many.fewest_train == 40
    with pytest.raises(ValueError, match="at least 3 problems"):
        evaluation_folds([1, 1, 2])


def test_a_held_out_problems_labels_change_none_of_its_scores() -> None:
    one = sentences()
    folds = evaluation_folds(one.problems.tolist())
    before = cross_fit(one, folds)
    held_out = one.problems == 2
    flipped = one.rows.assign(anchor=np.where(held_out, 1 - one.anchors, one.anchors))
    after = cross_fit(Sentences(flipped, one.blocks), folds)
    for name, scores in before.scores.items():
        np.testing.assert_array_equal(scores[0, held_out], after.scores[name][0, held_out], err_msg=name)
    trained = ("ridge", "logistic", "lda", "difference_of_means", "banded_ridge", "position_spline")
    assert all(not np.array_equal(before.scores[name], after.scores[name]) for name in trained)


def test_every_score_is_made_and_carries_what_was_chosen_in_its_fold() -> None:
    one = sentences()
    found = cross_fit(one, evaluation_folds(one.problems.tolist()))
    assert set(found.scores) == {
        "order",
        "label_support",
        TRAINED_SUPPORT,
        WITH_ACTIVATIONS,
        *TRAINED_BASELINES,
        *FAMILIES,
        *ON_POSTERIOR,
    }
    assert all(np.isfinite(scores).all() for scores in found.scores.values())
    for name in (*TRAINED_BASELINES, *FAMILIES, *ON_POSTERIOR):
        assert len(found.choices[name]) == 6
        assert max(fold["relative_gradient"] for fold in found.choices[name]) < 1e-3


def test_probes_of_the_posterior_read_no_held_out_label_and_need_the_rollouts_of_every_sentence() -> None:
    one = sentences()
    folds = evaluation_folds(one.problems.tolist())
    first = int(one.problems[0])
    own = one.problems == first
    other = one.rows.assign(k_different=one.rows["k_different"].where(~own, 0.0))
    before, after = (cross_fit(Sentences(rows, one.blocks), folds) for rows in (one.rows, other))
    for name in ON_POSTERIOR:
        assert np.array_equal(before.scores[name][:, own], after.scores[name][:, own])
        assert not np.array_equal(before.scores[name], after.scores[name])
    unknown = one.rows.assign(n_different=one.rows["n_different"].mask(one.rows.index == 0))
    assert not set(ON_POSTERIOR) & set(cross_fit(Sentences(unknown, one.blocks), folds).scores)


def test_ridge_scores_are_those_of_a_plain_fit_with_the_chosen_penalty() -> None:
    one = sentences()
    folds = evaluation_folds(one.problems.tolist())
    found = cross_fit(one, folds)
    features = prepare(one.blocks[4], one.problems)
    target = within_problems(one.anchors, one.problems)
    for fold, choice in zip(folds_of(folds, one.problems), found.choices["ridge"], strict=True):
        plain = Ridge(alpha=choice["penalty"], fit_intercept=False).fit(features[fold.train], target[fold.train])
        np.testing.assert_allclose(found.scores["ridge"][0, fold.test], plain.predict(features[fold.test]), atol=1e-8)


def test_probes_find_a_planted_direction_and_the_best_block_is_chosen_in_the_folds() -> None:
    one = sentences(signal=2.0)
    noise = np.random.default_rng(9).normal(size=(len(one.rows), 24))
    found = cross_fit(Sentences(one.rows, {1: noise, 4: one.blocks[4]}), evaluation_folds(one.problems.tolist()))
    names = ["ridge@4", "logistic@4", "lda@4", "difference_of_means@4", "banded_ridge@4", "ridge@best", "ridge@1"]
    scores = np.stack([found.scores[name][0] for name in names], axis=1)
    *planted, best, blind = average_precision_by_problem(one.anchors, scores, one.problems).mean(axis=0)
    assert min(planted) > 0.8
    assert best > 0.8 > blind
    assert {fold["block"] for fold in found.choices["ridge@best"]} == {4}


@pytest.mark.parametrize("scheme", ["shifted", "stratified"])
def test_permutations_keep_every_problems_count_and_strata_their_windows(scheme: str) -> None:
    one = sentences()
    labels = permuted_labels(one, 30, scheme=scheme, seed=0)
    assert np.array_equal(labels[:, 0], one.anchors)
    assert not (labels[:, 1:] == labels[:, :1]).all()
    width = 20 if scheme == "shifted" else 3
    for problem in range(1, 7):
        inside = labels[one.problems == problem]
        for start in range(0, 20, width):
            assert len(np.unique(inside[start : start + width].sum(axis=0))) == 1


def test_the_first_row_of_a_null_is_what_refitting_to_the_true_labels_scores() -> None:
    one = sentences()
    folds = evaluation_folds(one.problems.tolist())
    null = refit_null(one, folds, permuted_labels(one, 5, scheme="shifted", seed=0))
    found = cross_fit(one, folds)
    scores = np.stack([found.scores[name][0] for name in ("difference_of_means", "lda")], axis=1)
    plain = average_precision_by_problem(one.anchors, scores, one.problems).mean(axis=0)
    columns = [null.hypotheses.index(name) for name in ("difference_of_means", "lda")]
    np.testing.assert_allclose(null.scores[0, columns], plain, atol=1e-3)


def test_permutation_max_t_counts_the_largest_of_all_and_never_gives_zero() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(200, 40))
    scores[0] = 0
    scores[0, 7] = 50
    adjusted = permutation_max_t(scores)
    assert adjusted[7] == 1 / 200
    single = (1 + (scores[1:, 3] >= 0).sum()) / 200
    assert adjusted[3] >= single


def test_noise_is_rarely_called_significant_by_refitting() -> None:
    found = []
    for seed in range(40):
        one = sentences(signal=0.0, seed=seed)
        blind = Sentences(one.rows, {0: np.random.default_rng(seed).normal(size=(len(one.rows), 10))})
        labels = permuted_labels(blind, 60, scheme="shifted", seed=seed)
        null = refit_null(blind, evaluation_folds(one.problems.tolist()), labels)
        found.append(permutation_max_t(null.scores).min() <= 0.05)
    assert sum(found) <= 6  # P(more | 5 %) < 1 %


def test_equal_inputs_in_any_order_and_with_any_threads_give_equal_bits() -> None:
    rows = made_rows(5)
    vectors = made_vectors(rows, 1.0)
    with threadpool_limits(1):
        one = cross_fitted(rows, {4: vectors}, OPTIONS)
    shuffled = np.random.default_rng(1).permutation(len(rows))
    with threadpool_limits(2):
        other = cross_fitted(rows.take(shuffled).reset_index(drop=True), {4: vectors[shuffled]}, OPTIONS)
    assert one.scores.equals(other.scores)
    assert one.nulls.equals(other.nulls)
    assert one.record == other.record
