"""The grouped bootstrap against the plain way and the published intervals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from ta_assets.core.statistics.intervals import MIN_PROBLEMS_FOR_INTERVAL
from ta_assets.core.statistics.ranks import rank_delta_interval
from ta_assets.core.statistics.resampling import delta_draws, grouped_delta_bootstrap

PUBLISHED = {
    "point_delta": "point_delta",
    "delta_mean": "delta_mean",
    "percentile_low": "ci_low",
    "percentile_high": "ci_high",
}
"""Our name -> the predecessor's."""


def plain_area(labels: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(auc(recall, precision))


def plain_draws(
    labels: np.ndarray, scores: tuple[np.ndarray, np.ndarray], groups: np.ndarray, iterations: int, seed: int
) -> np.ndarray:
    """The predecessor's way: one draw at a time, concatenated and sorted again."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    deltas = np.full(iterations, np.nan)
    for iteration in range(iterations):
        drawn = names[rng.integers(0, len(names), len(names))]
        at = np.concatenate([np.flatnonzero(groups == one) for one in drawn])
        if 0 < labels[at].sum() < len(at):
            deltas[iteration] = plain_area(labels[at], scores[0][at]) - plain_area(labels[at], scores[1][at])
    return deltas


@st.composite
def cases(draw: Any) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, n_groups = draw(st.integers(1, 60)), draw(st.integers(1, 9))
    labels = (rng.random(n) < draw(st.sampled_from([0.05, 0.3, 0.9]))).astype(int)
    levels = draw(st.sampled_from([1, 3, 10, 10**6]))
    score_a, score_b = ((rng.integers(0, levels, n) / levels).astype(np.float32) for _ in range(2))
    return labels, (score_a, score_b), 100 - rng.integers(0, n_groups, n)


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(0, 5))
def test_every_draw_equals_concatenating_and_sorting_again(
    case: tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray], seed: int
) -> None:
    labels, scores, groups = case
    ours = delta_draws(labels, scores, groups, iterations=30, seed=seed)
    np.testing.assert_allclose(ours, plain_draws(labels, scores, groups, 30, seed), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("n_groups", "iterations"), [(3, 60), (4, 100), (20, 100)])
def test_large_samples_agree_whether_draws_repeat_or_not(n_groups: int, iterations: int) -> None:
    rng = np.random.default_rng(n_groups)
    labels = (rng.random(900) < 0.1).astype(int)
    scores = (np.round(rng.random(900), 2), rng.random(900))
    groups = rng.integers(0, n_groups, 900)
    ours = delta_draws(labels, scores, groups, iterations=iterations, seed=4)
    np.testing.assert_allclose(ours, plain_draws(labels, scores, groups, iterations, 4), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["pilot", "full", "llama_correct", "qwen_correct"])
def test_the_published_intervals_come_back(shared_folder: Path, name: str) -> None:
    predictions = pd.read_parquet(shared_folder / f"reference/predictions/{name}.parquet")
    published = json.loads((shared_folder / f"reference/published/{name}.json").read_text())["seeds"]
    for seed, cell in published.items():
        rows = predictions.query(f"seed == {seed} and split == 'test'")
        for expected in cell["confidence_intervals"].values():
            interval = grouped_delta_bootstrap(
                rows["anchor"].to_numpy(),
                rows[expected["score_a"]].to_numpy(),
                rows[expected["score_b"]].to_numpy(),
                rows["problem_id"].to_numpy(),
                iterations=expected["n_bootstrap"],
                seed=int(seed),
            )
            assert (interval.n_bootstrap, interval.n_valid) == (expected["n_bootstrap"], expected["n_valid_bootstrap"])
            for ours, theirs in PUBLISHED.items():
                assert getattr(interval, ours) == pytest.approx(expected[theirs], abs=1e-12)
            few = rows["problem_id"].nunique() < MIN_PROBLEMS_FOR_INTERVAL
            assert (interval.n_problems, math.isnan(interval.t_low)) == (rows["problem_id"].nunique(), few)


def test_draws_of_one_class_are_left_out_and_counted() -> None:
    labels = np.array([0, 1, 0, 0, 0, 0])
    groups = np.array([1, 1, 2, 2, 3, 3])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    interval = grouped_delta_bootstrap(labels, scores, -scores, groups, iterations=500, seed=0)
    expected = plain_draws(labels, (scores, -scores), groups, 500, 0)
    assert 0 < interval.n_valid == np.count_nonzero(~np.isnan(expected)) < 500
    assert interval.delta_mean == pytest.approx(np.nanmean(expected))


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_an_interval_without_both_classes_is_undefined(labels: list[int]) -> None:
    scores = np.array([0.1, 0.2, 0.3])
    interval = grouped_delta_bootstrap(np.array(labels), scores, scores, np.array([1, 2, 3]), iterations=20, seed=0)
    assert interval.n_valid == 0
    assert all(math.isnan(getattr(interval, name)) for name in (*PUBLISHED, "macro_delta", "t_low", "t_high"))
    assert interval.n_problems == 0


def test_a_score_does_not_differ_from_itself() -> None:
    rng = np.random.default_rng(0)
    labels, scores, groups = rng.integers(0, 2, 50), rng.random(50), rng.integers(0, 5, 50)
    interval = grouped_delta_bootstrap(labels, scores, scores, groups, iterations=50, seed=0)
    assert [getattr(interval, name) for name in (*PUBLISHED, "macro_delta")] == [0] * 5
    assert math.isnan(interval.t_low), "without spread there is no interval"


def few_problems(n_problems: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, two scores and problems; a further problem has no anchors."""
    rng = np.random.default_rng(n_problems)
    groups = np.repeat(np.arange(n_problems + 1), 8)
    labels = np.where(groups == n_problems, 0, np.tile([1, 0, 1, 0, 0, 0, 0, 0], n_problems + 1))
    return labels, rng.random(len(labels)) + 0.3 * labels, rng.random(len(labels)), groups


def test_the_t_interval_is_scipys_of_average_precision_within_problems() -> None:
    labels, a, b, groups = few_problems(7)
    found = grouped_delta_bootstrap(labels, a, b, groups, iterations=50, seed=0)
    rows = [groups == group for group in range(7)]
    deltas = [average_precision_score(labels[at], a[at]) - average_precision_score(labels[at], b[at]) for at in rows]
    wanted = ttest_1samp(deltas, 0).confidence_interval(0.95)
    assert (found.n_problems, found.macro_delta) == (7, pytest.approx(np.mean(deltas)))
    assert (found.t_low, found.t_high) == pytest.approx((wanted.low, wanted.high))


def test_four_problems_have_a_percentile_interval_and_no_other() -> None:
    found = grouped_delta_bootstrap(*few_problems(4), iterations=50, seed=0)
    assert found.percentile_low < found.percentile_high
    assert (found.n_problems, math.isnan(found.t_low), math.isnan(found.t_high)) == (4, True, True)


def test_of_five_problems_the_t_interval_covers_what_the_percentile_interval_does_not() -> None:
    rng = np.random.default_rng(0)
    draws = 400
    covered = {"percentile": 0, "t": 0}
    for seed in range(draws):
        groups = np.repeat(np.arange(5), 20)
        target = rng.normal(size=100)
        a, b = (target + rng.normal(size=100) * np.exp(rng.normal(size=5))[groups] for _ in range(2))
        found = rank_delta_interval(target, (a, b), groups, iterations=200, seed=seed)
        for kind in covered:
            covered[kind] += getattr(found, f"{kind}_low") <= 0 <= getattr(found, f"{kind}_high")
    assert covered["t"] / draws >= 0.93
    assert covered["percentile"] / draws < 0.9


def test_bad_arguments_are_refused() -> None:
    labels, scores, groups = np.array([0, 1]), np.array([0.1, 0.2]), np.array([1, 2])
    with pytest.raises(ValueError, match="at least one draw"):
        grouped_delta_bootstrap(labels, scores, scores, groups, iterations=0, seed=0)
    with pytest.raises(ValueError, match="equal, nonzero length"):
        grouped_delta_bootstrap(labels, scores, scores[:1], groups, iterations=5, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        grouped_delta_bootstrap(labels, scores * np.nan, scores, groups, iterations=5, seed=0)
