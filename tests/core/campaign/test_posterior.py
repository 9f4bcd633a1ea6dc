"""Posterior labels: near the estimate with many rollouts, near zero with few, and nothing of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from ta_assets.core.campaign.posterior import posterior_labels


def counts(true: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    rng, size = np.random.default_rng(seed), len(true)
    many = np.full(size, n)
    return np.stack([many, rng.binomial(many, 0.5 + true), many, rng.binomial(many, 0.5, size)], axis=1)


def test_many_rollouts_leave_the_estimate_and_few_are_drawn_towards_zero() -> None:
    rng = np.random.default_rng(1)
    true = np.where(rng.random(400) < 0.9, 0.0, rng.choice([-0.4, 0.4], 400))
    problems = np.repeat(np.arange(10), 40)
    few, many = counts(true, 12), counts(true, 3000)
    estimate = few[:, 1] / few[:, 0] - few[:, 3] / few[:, 2]
    found = posterior_labels(few, problems, 0.2)
    assert np.mean((found.mean - true) ** 2) < 0.5 * np.mean((estimate - true) ** 2)
    sure = posterior_labels(many, problems, 0.2)
    assert np.abs(sure.mean - true).max() < 0.06
    assert ((sure.anchor_chance >= 0.5) == (np.abs(true) >= 0.2)).all()


def test_a_sentence_without_rollouts_is_no_anchor() -> None:
    rows = np.array([[0, 0, 40, 20], [40, 36, 40, 10], [0, 0, 0, 0]])
    found = posterior_labels(rows, np.array([1, 1, 1]), 0.2)
    assert found.anchor_chance[[0, 2]].tolist() == [0, 0]
    assert found.mean[[0, 2]].tolist() == [0, 0]
    assert posterior_labels(rows[[0]], np.array([1]), 0.2).mean.tolist() == [0]


def test_chances_are_chances() -> None:
    found = posterior_labels(counts(np.zeros(50), 30), np.repeat([1, 2], 25), 0.2)
    assert (found.anchor_chance >= 0).all()
    assert (found.anchor_chance <= 1).all()
    assert found.anchor_chance.mean() == pytest.approx(0, abs=0.05)
