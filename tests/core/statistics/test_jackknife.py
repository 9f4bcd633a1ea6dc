"""The jackknife of cross-validated means against its definition and against means of which the variance is known."""

from __future__ import annotations

import numpy as np
import pytest

from ta_assets.core.statistics import jackknife


def test_pseudo_values_are_tukeys() -> None:
    rng = np.random.default_rng(0)
    values, without = rng.normal(size=6), rng.normal(size=(6, 6))
    found = jackknife.pseudo_values(values, without)
    for j in range(6):
        others = np.delete(np.arange(6), j)
        assert found[j] == pytest.approx(6 * values.mean() - 5 * without[others, j].mean())


def test_values_that_no_training_moves_have_the_plain_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=12)
    without = np.tile(values[:, None], (1, 12))
    assert jackknife.variance(values, without) == pytest.approx(values.var(ddof=1) / 12)
    assert jackknife.variance(values, np.full((12, 12), np.nan)) == pytest.approx(values.var(ddof=1) / 12)


def test_the_factor_is_between_the_expected_one_and_the_jackknifes_and_nearer_to_it_with_more_problems() -> None:
    rng, expected, factors = np.random.default_rng(4), 1.4, []
    for n in (6, 12, 60):
        values = rng.normal(size=n)
        found = jackknife.factor(values, np.full((n, n), np.nan), expected)
        factors.append(found)
        assert jackknife.MARGIN <= found <= expected
    assert factors[0] == pytest.approx(expected)
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 1.13


def test_a_wild_jackknife_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=20)
    assert jackknife.factor(values, values + 30 * rng.normal(size=(20, 1)), 1.4) == pytest.approx(1.4 * jackknife.MOST)


def test_the_variance_of_a_mean_of_products_with_what_was_learned_is_found() -> None:
    rng = np.random.default_rng(2)
    n, means, stated, naive = 20, [], [], []
    for _ in range(1500):
        drawn = rng.normal(size=(n, 4))
        products = drawn @ drawn.T
        np.fill_diagonal(products, 0.0)
        values = products.sum(axis=1) / (n - 1)
        # without j the learned mean is of n - 2 others, and here kept on the scale of n - 1
        without = values[:, None] - products / (n - 1)
        means.append(values.mean())
        stated.append(jackknife.variance(values, without))
        naive.append(values.var(ddof=1) / n)
    assert np.mean(naive) < 0.6 * np.var(means)
    assert np.mean(stated) == pytest.approx(np.var(means), rel=0.15)


def test_equal_or_few_values_have_the_expected_factor() -> None:
    assert jackknife.factor(np.ones(8), np.zeros((8, 8)), 1.4) == 1.4
    assert jackknife.factor(np.arange(3.0), np.zeros((3, 3)), 1.4) == 1.4
