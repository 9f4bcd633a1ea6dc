"""The posterior of true importances: what it says of planted effects, and chances to be an anchor by counting draws."""

from __future__ import annotations

import numpy as np
import pytest

from ta_assets.core.statistics.true_importance import GRID, Posterior, anchor_chances, expected_precisions
from tests.core.made_traces import campaign


def test_the_posterior_mean_is_nearer_to_the_truth_than_what_was_measured() -> None:
    rows, true = campaign(0, 0.5, 0.2)
    found = Posterior.of(rows).mean_size()
    measured = np.abs(rows["counterfactual_raw"].to_numpy())
    assert np.square(found - np.abs(true)).mean() < 0.7 * np.square(measured - np.abs(true)).mean()


def test_strata_have_mixtures_of_their_own() -> None:
    rows, _ = campaign(1, 0.0, 0.3)
    many = rows["n_different"] > 20
    same = (rows["n_different"] * rows["k_next"] / rows["n_next"]).round()
    posterior = Posterior.of(rows.assign(k_different=rows["k_different"].where(many, same)))
    assert posterior.weights[0, 0] > 0.5 > posterior.weights[2, 0]


def test_that_of_some_problems_knows_nothing_of_the_others() -> None:
    rows, _ = campaign(2, 0.5, 0.2)
    inside = np.flatnonzero(rows["problem_id"] < 20)
    other = rows.assign(k_different=rows["k_different"].where(rows["problem_id"] < 20, 0.0))
    first, second = (Posterior.of(one).among(inside) for one in (rows, other))
    assert np.array_equal(first.table, second.table)
    alone = Posterior.of(rows.take(inside))
    assert first.table @ GRID == pytest.approx(alone.table @ GRID, abs=5e-3)
    assert np.array_equal(first.groups, alone.groups)


def test_sentences_with_an_empty_group_have_no_importance() -> None:
    rows, _ = campaign(3, 0.0, 0.3)
    rows = rows.assign(n_different=rows["n_different"].mask(rows.index % 5 == 0, 0.0))
    posterior = Posterior.of(rows)
    true, _ = posterior.draws(np.random.default_rng(0), 10)
    assert not true[:, ::5].any()
    assert not posterior.mean_size()[::5].any()
    assert true.shape == (10, len(rows))


def test_chances_are_shares_of_draws_and_ties_share() -> None:
    true = np.array([[0.5, -0.9, 0.1, 0.0], [0.5, 0.2, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = anchor_chances(true, np.array([1, 0, 0, 0]), np.zeros(4))
    assert found == pytest.approx([(0 + 0.5 + 0.25) / 3, (1 + 0.25) / 3, (0.5 + 0.25) / 3, 0.25 / 3])
    assert anchor_chances(true, np.zeros(4), np.zeros(4)).tolist() == [0] * 4


def test_the_true_order_expects_the_most() -> None:
    rows, true = campaign(4, 0.5, 0.3)
    labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
    draws, _ = Posterior.of(rows).draws(np.random.default_rng(1), 40)
    scores = {"true": np.abs(true), "constant": np.zeros(len(rows)), "opposite": -np.abs(true)}
    found = expected_precisions(scores, labels, problems, draws)
    assert found["true"] > 0.5 > 0.2 > found["constant"] > found["opposite"]
    assert found["constant"] == pytest.approx(labels.mean(), abs=1e-9)
