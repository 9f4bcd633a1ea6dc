"""Average precision by column, chance and ties against scikit-learn and enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ta_assets.core.statistics.ranking import (
    average_precision_by_problem,
    expected_top_k_recall,
    mixed_problems,
    problem_average_precision,
    random_average_precision,
    random_orders,
)


@given(st.integers(0, 10_000), st.integers(2, 30))
@settings(max_examples=60, deadline=None)
def test_every_column_is_scikit_learns_average_precision(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros(n, dtype=int)
    labels[rng.choice(n, rng.integers(1, n), replace=False)] = 1
    scores = rng.normal(size=(5, n))
    ours = problem_average_precision(labels, scores)
    np.testing.assert_allclose(ours, [average_precision_score(labels, one) for one in scores], atol=1e-12)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=5), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_tied_scores_get_the_mean_over_all_ways_to_break_ties(values: list[int], k: int, seed: int) -> None:
    scores = np.array(values, dtype=float)
    labels = np.random.default_rng(seed).permutation(np.arange(len(values)) < min(k, len(values) - 1)).astype(int)
    broken = [
        average_precision_score(labels, scores + 1e-3 * np.array(order)) for order in permutations(range(len(values)))
    ]
    other = np.arange(len(values), dtype=float)
    both = problem_average_precision(labels, np.stack([scores, other]))
    assert both[0] == pytest.approx(np.mean(broken), abs=1e-12)
    assert both[1] == pytest.approx(average_precision_score(labels, other), abs=1e-12)


@given(st.integers(2, 60), st.integers(1, 60))
def test_a_constant_scorer_gets_what_a_random_order_gets(n: int, k: int) -> None:
    labels = (np.arange(n) < min(k, n - 1)).astype(int)
    found = problem_average_precision(labels, np.zeros((2, n)))
    np.testing.assert_allclose(found, random_average_precision(labels), rtol=1e-12)


def test_columns_may_have_labels_of_their_own() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(problem_average_precision(labels, np.array([[3.0, 2, 1], [3.0, 2, 1]])), [1, 1 / 3])


def test_problems_of_one_class_are_left_out() -> None:
    labels = np.array([1, 0, 0, 0, 1, 1])
    problems = np.array([5, 5, 3, 3, 9, 9])
    assert list(mixed_problems(labels, problems)) == [5]
    assert average_precision_by_problem(labels, np.ones((6, 2)), problems).shape == (1, 2)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (4, 1), (5, 2), (6, 3)])
def test_chance_is_the_mean_over_all_orders(n: int, k: int) -> None:
    labels = np.array([1] * k + [0] * (n - k))
    every = [average_precision_score(labels, order) for order in permutations(range(n))]
    assert random_average_precision(labels) == pytest.approx(np.mean(every), abs=1e-12)


def test_random_orders_have_the_mean_of_chance_and_leave_out_problems_of_one_class() -> None:
    labels, problems = np.array([1, 0, 0, 0, 1, 0, 1, 1]), np.array([5, 5, 5, 5, 7, 7, 9, 9])
    found = random_orders(labels, problems, 4000, seed=0)
    expected = [random_average_precision(labels[problems == one]) for one in (5, 7)]
    assert found.shape == (4000,)
    assert found.mean() == pytest.approx(np.mean(expected), abs=4 * found.std() / np.sqrt(4000))
    assert not random_orders(labels, np.arange(8), 3, seed=0).any()


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_top_k_recall_is_the_mean_over_all_ways_to_break_ties(values: list[int], k: int, seed: int) -> None:
    scores = np.array(values, dtype=float)
    importance = np.random.default_rng(seed).permutation(len(values)).astype(float)
    wanted = set(np.argsort(-importance)[: min(k, len(values))].tolist())
    recalls = []
    for order in permutations(range(len(values))):
        ranked = sorted(range(len(values)), key=lambda one: (-scores[one], order[one]))
        recalls.append(len(wanted & set(ranked[: len(wanted)])) / len(wanted))
    assert expected_top_k_recall(scores, importance, k) == pytest.approx(np.mean(recalls), abs=1e-12)
