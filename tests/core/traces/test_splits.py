"""Which problems are used and in which part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.options import SplitRule
from ta_assets.core.traces.splits import sample_problem_ids, shared_problem_ids, single_split

SPLITS = {"pilot": "pilot", "full": "full", "scaling_shared": "scaling_shared"}


@pytest.mark.parametrize("name", SPLITS)
def test_the_published_splits_come_back(shared_folder: Path, name: str) -> None:
    ids = json.loads((shared_folder / f"reference/splits/problem_ids_{name}.json").read_text())
    published = json.loads((shared_folder / f"reference/splits/splits_{name}.json").read_text())
    split = single_split(reversed(ids), SplitRule())
    assert {part: list(getattr(split, part)) for part in published} == published


def test_the_published_pilot_sample_comes_back(shared_folder: Path) -> None:
    folder = shared_folder / "reference/splits"
    every = json.loads((folder / "problem_ids_full.json").read_text())
    assert sample_problem_ids(every, 5, seed=0) == json.loads((folder / "problem_ids_pilot.json").read_text())


@given(st.sets(st.integers(0, 10_000), min_size=1), st.integers(1, 40), st.integers(0, 5))
def test_a_sample_is_sorted_and_drawn_from_the_ids(ids: set[int], n: int, seed: int) -> None:
    sample = sample_problem_ids(ids, n, seed)
    assert sample == sorted(set(sample))
    assert set(sample) <= ids
    assert len(sample) == min(n, len(ids))
    assert sample_problem_ids(sorted(ids, reverse=True), n, seed) == sample


def test_no_number_takes_all_problems() -> None:
    assert sample_problem_ids([5, 3, 9, 3], None) == [3, 5, 9]


def test_a_sample_of_no_problems_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        sample_problem_ids([1, 2], 0)


@given(
    st.sets(st.integers(0, 10_000), min_size=3, max_size=60),
    st.integers(0, 5),
    st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100),
)
def test_every_problem_is_in_exactly_one_part(ids: set[int], seed: int, percents: tuple[int, int]) -> None:
    train, val = percents
    split = single_split(ids, SplitRule(train=train / 100, val=val / 100, test=(100 - train - val) / 100, seed=seed))
    parts = [split.train, split.val, split.test]
    assert sorted(one for part in parts for one in part) == sorted(ids)
    assert all(part and list(part) == sorted(part) for part in parts)
    assert len(split.train) <= max(1, int(len(ids) * train / 100))


def test_another_seed_gives_another_split() -> None:
    assert single_split(range(20), SplitRule(seed=0)) != single_split(range(20), SplitRule(seed=1))


def test_train_gives_up_a_problem_before_val_when_nothing_is_left_for_test() -> None:
    split = single_split(range(4), SplitRule(train=0.5, val=0.499999, test=0.000001))
    assert (len(split.train), len(split.val), len(split.test)) == (2, 1, 1)
    split = single_split(range(4), SplitRule(train=0.5, val=0.5 - 1e-17, test=1e-17))
    assert (len(split.train), len(split.val), len(split.test)) == (1, 2, 1)


def test_too_few_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 2 problems, expected at least 3"):
        single_split([1, 2, 2], SplitRule())
    assert single_split([1, 2, 3], SplitRule())


@pytest.mark.parametrize(
    ("fractions", "fault"),
    [
        ({"train": 1.2}, "less than 1"),
        ({"train": 0.0, "val": 0.85}, "greater than 0"),
        ({"val": float("nan")}, "finite"),
        ({"train": 0.9}, "sum to 1, not 1.2"),
    ],
)
def test_fractions_that_are_none_or_do_not_sum_to_one_are_refused(fractions: dict[str, float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        SplitRule.model_validate(fractions)


def test_shared_problems_are_those_that_every_setting_has() -> None:
    assert shared_problem_ids([[3, 1, 2], [2, 3, 9], {3, 2}]) == [2, 3]


@pytest.mark.parametrize("sets", [[], [[1, 2], [3]]])
def test_settings_without_a_common_problem_are_refused(sets: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"no problem in common|no settings"):
        shared_problem_ids(sets)
