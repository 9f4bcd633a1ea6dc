"""Which prefixes get the next batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ta_assets.core.campaign.stopping import StoppingRule, is_clear, next_rollouts

RULE = StoppingRule(kind="threshold", rollouts=200, first=40, batch=20)
PLACES = np.array([[0, 1], [1, 2]])


def test_uniform_asks_until_every_prefix_has_its_rollouts() -> None:
    rule = StoppingRule(rollouts=50, batch=20)
    assert next_rollouts(np.zeros((2, 4)), PLACES, np.array([0, 40, 50]), rule).tolist() == [20, 10, 0]


def test_every_prefix_gets_its_first_rollouts_before_anything_is_looked_at() -> None:
    assert next_rollouts(np.zeros((2, 4)), PLACES, np.array([0, 20, 40]), RULE).tolist() == [20, 20, 0]


def test_a_clear_sentence_asks_for_nothing_and_an_unclear_one_for_the_prefix_that_says_more() -> None:
    drawn = np.array([40, 40, 40])
    clear = [30, 3, 40, 36]  # .1 against .9
    few_different = [4, 1, 40, 20]
    few_next = [39, 20, 4, 2]
    assert next_rollouts(np.array([clear, clear]), PLACES, drawn, RULE).tolist() == [0, 0, 0]
    assert next_rollouts(np.array([few_different, clear]), PLACES, drawn, RULE).tolist() == [20, 0, 0]
    assert next_rollouts(np.array([clear, few_next]), PLACES, drawn, RULE).tolist() == [0, 0, 20]


def test_no_prefix_gets_more_than_the_most() -> None:
    unclear = [[4, 1, 40, 20]] * 2
    assert next_rollouts(np.array(unclear), PLACES, np.array([200, 190, 200]), RULE).tolist() == [0, 10, 0]
    assert next_rollouts(np.array(unclear), PLACES, np.array([200, 200, 200]), RULE).tolist() == [0, 0, 0]


def test_the_threshold_itself_is_never_clear() -> None:
    assert not is_clear(np.array([[1000, 700, 1000, 500]]), RULE)[0]
    assert is_clear(np.array([[1000, 500, 1000, 500]]), RULE)[0]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_campaign_ends_within_the_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates, drawn = rng.random((2, 2)), np.zeros(3, dtype=np.int64)
    counts = np.zeros((2, 4), dtype=np.int64)
    for _ in range(100):
        asked = next_rollouts(counts, PLACES, drawn, RULE)
        assert (asked >= 0).all()
        assert (drawn + asked <= RULE.rollouts).all()
        if not asked.any():
            break
        drawn += asked
        totals = np.stack([drawn[:2] // 3, drawn[1:]], axis=1)
        counts = np.stack(
            [
                totals[:, 0],
                rng.binomial(totals[:, 0], rates[:, 0]),
                totals[:, 1],
                rng.binomial(totals[:, 1], rates[:, 1]),
            ],
            axis=1,
        )
    else:
        pytest.fail("a campaign without an end")
    assert (drawn >= RULE.first).all()


def test_a_rule_that_begins_beyond_its_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="first must be at most rollouts"):
        StoppingRule(kind="threshold", rollouts=20, first=40)
