"""Outcomes add up, and the bounds hold whatever the unfinished would have said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.records import ANSWERED, UNFINISHED, Outcome

OUTCOMES = st.lists(st.sampled_from(list(Outcome)), max_size=30)


@given(OUTCOMES)
def test_every_outcome_is_counted_once(outcomes: list[Outcome]) -> None:
    tally = Tally.of(outcomes)
    assert tally.total == len(outcomes)
    assert {one: getattr(tally, one) for one in Outcome} == {one: outcomes.count(one) for one in Outcome}


@given(OUTCOMES, OUTCOMES)
def test_tallies_add_up(first: list[Outcome], second: list[Outcome]) -> None:
    assert Tally.of(first) + Tally.of(second) == Tally.of([*first, *second])


@given(OUTCOMES, st.randoms(use_true_random=False))
def test_the_accuracy_of_finished_rollouts_lies_within_the_bounds(outcomes: list[Outcome], rng) -> None:
    finished = [
        rng.choice([Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER]) if one in UNFINISHED else one for one in outcomes
    ]
    low, high = Tally.of(outcomes).bounds
    accuracy = Tally.of(finished).accuracy
    assert accuracy is None or low <= accuracy <= high


def test_without_unfinished_rollouts_the_bounds_are_the_accuracy() -> None:
    tally = Tally.of([*ANSWERED, Outcome.RIGHT, Outcome.NO_ANSWER])
    assert tally.bounds == (tally.accuracy, tally.accuracy) == (2 / 3, 2 / 3)
    assert Tally.of([Outcome.RIGHT, Outcome.TRUNCATED]).bounds == (0.5, 1)
