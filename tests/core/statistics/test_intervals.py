"""Intervals, corrections and power against scipy, enumeration and simulation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ta_assets.core.statistics import intervals, power


def values(n: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.2, n)


def test_the_interval_is_students() -> None:
    ours = intervals.t_interval(values())
    low, high = stats.t.interval(0.95, 11, loc=values().mean(), scale=stats.sem(values()))
    assert ours is not None
    assert (ours.low, ours.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("refused", [values(4), np.full(9, 0.3)])
def test_too_few_or_equal_values_get_no_interval(refused: np.ndarray) -> None:
    assert intervals.t_interval(refused) is None
    assert intervals.bootstrap_t(refused) is None
    assert intervals.interval(refused) is None


def test_one_sided_p_is_scipys_and_of_equal_values_the_sign_tests() -> None:
    assert intervals.one_sided_p(values(4)) == 1.0
    assert intervals.one_sided_p(np.full(9, 0.3)) == 2**-9
    assert intervals.one_sided_p(np.zeros(9)) == 1.0
    plain: Any = stats.ttest_1samp(values(), 0, alternative="greater")
    assert intervals.one_sided_p(values()) == pytest.approx(plain.pvalue)


def test_the_studentized_bootstrap_covers_skewed_values_from_the_right_side() -> None:
    skewed = np.random.default_rng(1).exponential(1.0, 20)
    ours = intervals.bootstrap_t(skewed)
    plain = intervals.t_interval(skewed)
    assert ours is not None
    assert plain is not None
    assert ours.high - ours.estimate > ours.estimate - ours.low
    assert ours.high > plain.high
    both = intervals.interval(skewed)
    assert both is not None
    assert (both.low, both.high) == (min(ours.low, plain.low), ours.high)


def test_the_correction_for_overlapping_training_sets_is_nadeau_and_bengios() -> None:
    assert intervals.nadeau_bengio(10, 9) == pytest.approx(np.sqrt((1 / 10 + 1 / 9) * 10))
    assert intervals.nadeau_bengio(20, 19) == pytest.approx(np.sqrt(2), rel=0.02)
    assert intervals.nadeau_bengio(100, 90) == pytest.approx(np.sqrt(2), rel=0.03), "ten folds are no other case"


def test_holm_is_the_textbooks() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005, 0.5])
    np.testing.assert_allclose(intervals.holm(p_values), [0.04, 0.09, 0.09, 0.025, 0.5])


def test_sign_flips_of_few_problems_are_enumerated() -> None:
    differences = np.abs(values(6))[:, None]
    flips = intervals.sign_flip_max_t(differences, flips=10_000, seed=0)
    assert flips.adjusted[0] == pytest.approx(2 / 2**6)


def test_one_hypothesis_has_the_p_value_of_scipys_permutation_test() -> None:
    sample = values(10, seed=3)

    def statistic(one: np.ndarray) -> float:
        return float(abs(np.mean(one)) / np.std(one, ddof=1))

    plain = stats.permutation_test((sample,), statistic, permutation_type="samples", alternative="greater")
    ours = intervals.sign_flip_max_t(sample[:, None], flips=10_000, seed=0)
    assert ours.adjusted[0] == pytest.approx(plain.pvalue, abs=1e-9)


def test_more_hypotheses_raise_every_p_value_and_copies_do_not() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0.1, 0.2, (20, 1))
    alone = intervals.sign_flip_max_t(one, flips=2000, seed=0).adjusted[0]
    copied = intervals.sign_flip_max_t(np.tile(one, 50), flips=2000, seed=0).adjusted[0]
    among = intervals.sign_flip_max_t(np.hstack([one, rng.normal(size=(20, 50))]), flips=2000, seed=0).adjusted[0]
    assert copied == alone < among


def ragged(seed: int, n: int, n_hypotheses: int, mean: float = 0.4) -> np.ndarray:
    """[n, n_hypotheses] of which some are NaN; each column keeps two problems."""
    rng = np.random.default_rng(seed)
    differences = rng.normal(mean, 1, (n, n_hypotheses))
    differences[2:][rng.random((n - 2, n_hypotheses)) < 0.3] = np.nan
    return differences


@pytest.mark.parametrize("two_sided", [True, False])
def test_sign_flips_are_those_of_a_loop_over_all_patterns_with_scipys_t(two_sided: bool) -> None:
    differences = ragged(1, 7, 4)
    patterns = [np.array(signs)[:, None] for signs in itertools.product([1.0, -1.0], repeat=7)]
    every = np.array([stats.ttest_1samp(signs * differences, 0, nan_policy="omit")[0] for signs in patterns])
    every = np.abs(every) if two_sided else every
    found = intervals.sign_flip_max_t(differences, flips=128, seed=0, two_sided=two_sided)
    np.testing.assert_allclose(found.statistics, every[0])
    np.testing.assert_allclose(found.alone, (every >= every[0] - 1e-9).mean(axis=0))
    np.testing.assert_allclose(found.adjusted, (every.max(axis=1)[:, None] >= every[0] - 1e-9).mean(axis=0))
    assert found.critical == pytest.approx(np.quantile(every.max(axis=1), 0.95))


def test_random_flips_are_near_all_of_them_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = ragged(2, 12, 9)
    every = intervals.sign_flip_max_t(differences, flips=2**12, seed=0, two_sided=False)
    drawn = intervals.sign_flip_max_t(differences, flips=2**12 - 1, seed=0, two_sided=False)
    np.testing.assert_allclose(drawn.alone, every.alone, atol=0.03)
    np.testing.assert_allclose(drawn.adjusted, every.adjusted, atol=0.03)
    monkeypatch.setattr(intervals, "FLIPPED_AT_ONCE", 9 * 100)
    blocks = intervals.sign_flip_max_t(differences, flips=2**12, seed=0, two_sided=False)
    np.testing.assert_allclose(blocks.statistics, every.statistics)
    assert np.array_equal(blocks.alone, every.alone)
    assert np.array_equal(blocks.adjusted, every.adjusted)


def test_one_sided_flips_find_what_leads_and_not_what_trails() -> None:
    differences = np.random.default_rng(4).normal(size=(15, 40))
    differences[:, 7] += 3
    differences[:, 8] -= 3
    found = intervals.sign_flip_max_t(differences, flips=999, seed=0, two_sided=False)
    assert found.adjusted[7] == 1 / 1000, "the data as they are count as a pattern, so never zero"
    assert found.alone[8] > 0.9
    assert (np.delete(found.adjusted, 7) > 0.05).sum() >= 38
    assert (intervals.sign_flip_max_t(differences, flips=999, seed=0).adjusted[[7, 8]] == 1 / 1000).all()


def test_hypotheses_without_a_statistic_are_never_significant() -> None:
    differences = np.full((5, 4), np.nan)
    differences[:, 0] = 1.0
    differences[0, 1] = 5.0
    differences[:, 3] = 0.0
    found = intervals.sign_flip_max_t(differences, flips=99, seed=0, two_sided=False)
    assert found.alone.tolist() == [1 / 32, 1, 1, 1]
    assert (found.adjusted[1:] == 1).all()
    assert np.isnan(found.statistics).tolist() == [False, True, True, False]
    nothing = intervals.sign_flip_max_t(differences[:, 1:3], flips=99, seed=0)
    assert (nothing.adjusted.tolist(), nothing.critical) == ([1, 1], np.inf)


def test_the_best_of_many_noise_hypotheses_is_rarely_called_significant() -> None:
    rng = np.random.default_rng(3)
    naive = corrected = 0
    for seed in range(150):
        found = intervals.sign_flip_max_t(rng.normal(size=(12, 40)), flips=199, seed=seed, two_sided=False)
        naive += found.alone.min() <= 0.05
        corrected += found.adjusted.min() <= 0.05
    assert naive > 120, "without correction the best of forty looks significant nearly always"
    assert corrected <= 16, "5 % of 150 is 7.5; 16 is three standard deviations more"


def test_predicted_power_is_realised() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.1, 0.2, (4000, 30))
    tested: Any = stats.ttest_1samp(draws, 0, axis=1, alternative="greater")
    found = np.mean(tested.pvalue < 0.025)
    assert power.power(0.1, 0.2, 30) == pytest.approx(found, abs=0.03)


def test_the_needed_number_is_the_first_with_enough_power() -> None:
    needed = power.problems_needed(0.05, 0.12)
    assert needed is not None
    assert power.power(0.05, 0.12, needed) >= 0.8 > power.power(0.05, 0.12, needed - 1)
    assert power.problems_needed(-0.05, 0.12) == needed
    assert power.problems_needed(0.0, 0.12) is None
    assert power.problems_needed(1e-7, 1.0) is None
    larger = power.problems_needed(0.05, 0.12, inflation=1.4)
    assert larger is not None
    assert larger > needed


def test_the_level_of_a_threshold_is_students() -> None:
    assert power.level_of(float(stats.t.isf(0.025, 19)), 20) == pytest.approx(0.05)
