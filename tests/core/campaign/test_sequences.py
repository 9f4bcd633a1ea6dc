"""Intervals of shares and differences: against scipy, against a grid, and valid at every look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, binomtest

from ta_assets.core.campaign.sequences import (
    difference_interval,
    difference_sequence,
    log_wealth,
    share_sequence,
)

GROUP = st.integers(0, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def test_wealth_is_the_ratio_of_a_beta_binomial_to_a_binomial() -> None:
    for total, right, p in [(10, 3, 0.5), (50, 50, 0.9), (7, 0, 0.2)]:
        expected = betabinom.logpmf(right, total, 0.5, 0.5) - binom.logpmf(right, total, p)
        assert log_wealth(np.array(right), np.array(total), np.array(p)) == pytest.approx(expected, abs=1e-9)


def test_wealth_is_one_on_the_mean_so_that_no_bettor_gains_against_the_truth() -> None:
    right = np.arange(31)
    wealth = np.exp(log_wealth(right, np.full(31, 30), np.full(31, 0.37)))
    assert wealth @ binom.pmf(right, 30, 0.37) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("right", "total"), [(0, 12), (12, 12), (30, 100), (1, 1)])
def test_a_share_ends_where_the_wealth_reaches_the_level(right: int, total: int) -> None:
    (low,), (high,) = share_sequence(np.array([right]), np.array([total]), 0.05)
    grid = np.linspace(0, 1, 100_001)[1:-1]
    inside = grid[log_wealth(np.full_like(grid, right), np.full_like(grid, total), grid) <= np.log(20)]
    assert low == pytest.approx(0 if right == 0 else inside[0], abs=2e-5)
    assert high == pytest.approx(1 if right == total else inside[-1], abs=2e-5)


@pytest.mark.parametrize("counts", [(20, 5, 90, 60), (3, 0, 100, 50), (0, 0, 40, 10), (50, 50, 0, 0), (60, 60, 60, 0)])
def test_a_difference_ends_where_the_best_pair_of_shares_does(counts: tuple[int, ...]) -> None:
    first, right, second, other = counts
    grid = np.linspace(0.0005, 0.9995, 1000)
    p, q = np.meshgrid(grid, grid)
    wealth = log_wealth(np.array(right), np.array(first), p) + log_wealth(np.array(other), np.array(second), q)
    inside = (p - q)[wealth <= np.log(20)]
    (low,), (high,) = difference_sequence(np.array([counts]), 0.05)
    assert low == pytest.approx(inside.min(), abs=4e-3)
    assert high == pytest.approx(inside.max(), abs=4e-3)


def test_nothing_drawn_says_nothing() -> None:
    for interval in (difference_sequence, difference_interval):
        (low,), (high,) = interval(np.zeros((1, 4)), 0.05)
        assert (low, high) == (-1, 1)


@pytest.mark.parametrize(("right", "total"), [(0, 10), (10, 10), (4, 25), (77, 100)])
def test_the_interval_is_newcombes_of_the_score_intervals_of_scipy(right: int, total: int) -> None:
    other, second = 33, 60
    one = binomtest(right, total).proportion_ci(method="wilson")
    two = binomtest(other, second).proportion_ci(method="wilson")
    p, q = right / total, other / second
    (low,), (high,) = difference_interval(np.array([[total, right, second, other]]), 0.05)
    assert low == pytest.approx(p - q - np.hypot(p - one.low, two.high - q))
    assert high == pytest.approx(p - q + np.hypot(one.high - p, q - two.low))


@settings(max_examples=60, deadline=None)
@given(GROUP, GROUP, st.sampled_from([0.01, 0.05, 0.2]))
def test_an_interval_holds_the_estimate_and_a_smaller_level_widens_it(first, second, alpha: float) -> None:
    counts = np.array([[*first, *second]])
    for interval in (difference_sequence, difference_interval):
        (low,), (high,) = interval(counts, alpha)
        (wide_low,), (wide_high,) = interval(counts, alpha / 2)
        assert -1 <= wide_low <= low <= high <= wide_high <= 1
        if first[0] and second[0]:
            estimate = first[1] / first[0] - second[1] / second[0]
            assert low - 1e-9 <= estimate <= high + 1e-9


@settings(max_examples=40, deadline=None)
@given(GROUP, GROUP)
def test_a_difference_turned_round_has_its_ends_turned_round(first, second) -> None:
    for interval in (difference_sequence, difference_interval):
        (low,), (high,) = interval(np.array([[*first, *second]]), 0.05)
        (back_low,), (back_high,) = interval(np.array([[*second, *first]]), 0.05)
        assert (low, high) == (pytest.approx(-back_high, abs=1e-6), pytest.approx(-back_low, abs=1e-6))


def test_a_null_difference_is_seldom_left_out_at_any_look_and_often_by_the_naive_interval() -> None:
    rng, n, looks = np.random.default_rng(3), 400, 20
    counts, ever, naive = np.zeros((n, 4), dtype=np.int64), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for _ in range(looks):
        counts += np.stack([np.full(n, 5), rng.binomial(5, 0.5, n), np.full(n, 20), rng.binomial(20, 0.5, n)], axis=1)
        for interval, called in ((difference_sequence, ever), (difference_interval, naive)):
            low, high = interval(counts, 0.05)
            called |= (low > 0) | (high < 0)
    # 400 sentences: 0.05 + three Monte-Carlo errors of 0.011
    assert ever.mean() <= 0.083
    assert naive.mean() >= 0.15
