"""Seeds are a function of key and number, and never the same twice."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.campaign.records import Sampling, key_of
from ta_assets.core.campaign.seeds import BASE_TRIES, BITS, seed_of

KEY = hashlib.sha256(b"key").hexdigest()


@given(st.binary(max_size=8), st.sets(st.integers(0, 2**31 - 1), min_size=2, max_size=50))
def test_numbers_of_one_key_have_seeds_of_their_own(content: bytes, numbers: set[int]) -> None:
    key = hashlib.sha256(content).hexdigest()
    seeds = {seed_of(key, one) for one in numbers}
    assert len(seeds) == len(numbers)
    assert all(0 <= one < 1 << BITS for one in seeds)


def test_seeds_stay_as_they_are() -> None:
    assert [seed_of(KEY, one) for one in (0, 1, BASE_TRIES)] == [seed_of(KEY, one) for one in (0, 1, BASE_TRIES)]
    assert seed_of(KEY, 0) == int(KEY[:16], 16) % 2**31


def test_seeds_of_a_key_look_like_no_sequence() -> None:
    seeds = [seed_of(KEY, one) for one in range(1000)]
    assert abs(sum(seeds) / len(seeds) / 2**31 - 0.5) < 0.05


def test_a_number_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a number"):
        seed_of(KEY, 2**31)


@pytest.mark.parametrize(
    "other",
    [
        ({"model": "b"}, [1, 2], Sampling()),
        ({"model": "a"}, [1, 2, 3], Sampling()),
        ({"model": "a"}, [1, 2], Sampling(temperature=0.7)),
        ({"model": "a"}, [1, 2], Sampling(max_total_tokens=100)),
    ],
)
def test_whatever_decides_the_distribution_decides_the_key(other) -> None:
    key = key_of({"model": "a"}, [1, 2], Sampling())
    assert key == key_of({"model": "a"}, (1, 2), Sampling())
    assert key != key_of(*other)
