"""Shards: addressed by what they were made from, and believed only when whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.values import PooledProblem
from ta_resources.shards import Shard, ShardStore, read_shard


def pooled(vectors: np.ndarray) -> PooledProblem:
    spans = np.arange(2 * len(vectors), dtype=np.int64).reshape(-1, 2)
    return PooledProblem(7, 2, vectors, spans, n_tokens=12, text="a b")


@pytest.fixture
def shards(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path, "f" * 64)


def test_vectors_come_back_bit_by_bit(shards: ShardStore) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float16)
    shard = shards.write(shards.name(7, "a b", ["a", "b"]), pooled(vectors))
    back = read_shard(shards.base, shard)
    np.testing.assert_array_equal(back.vectors, vectors)
    assert back.vectors.dtype == np.float16
    assert (back.problem_id, back.block, back.n_tokens, back.text) == (7, 2, 12, "a b")


def test_equal_vectors_are_equal_bytes(shards: ShardStore) -> None:
    vectors = np.ones((2, 3), np.float32)
    name = shards.name(7, "a b", ["a", "b"])
    assert shards.write(name, pooled(vectors)) == shards.write(name, pooled(vectors))


def test_another_text_cut_or_extraction_is_another_file(shards: ShardStore) -> None:
    names = {
        shards.name(7, "a b", ["a", "b"]),
        shards.name(7, "a c", ["a", "b"]),
        shards.name(7, "a b", ["a b"]),
        shards.name(8, "a b", ["a", "b"]),
        ShardStore(shards.base, "e" * 64).name(7, "a b", ["a", "b"]),
    }
    assert len(names) == 5


def test_a_stored_problem_is_found_again(shards: ShardStore) -> None:
    name = shards.name(7, "a b", ["a", "b"])
    assert shards.find(name) is None
    written = shards.write(name, pooled(np.ones((2, 3), np.float32)))
    found = shards.find(name)
    assert found is not None
    assert found[0] == written


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_computed_again(shards: ShardStore, keep: int) -> None:
    name = shards.name(7, "a b", ["a", "b"])
    shards.write(name, pooled(np.ones((2, 3), np.float32)))
    path = shards.base / name
    path.write_bytes(path.read_bytes()[:keep])
    assert shards.find(name) is None


def test_a_flipped_byte_is_noticed(shards: ShardStore) -> None:
    name = shards.name(7, "a b", ["a", "b"])
    shard = shards.write(name, pooled(np.ones((2, 3), np.float32)))
    path = shards.base / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    assert shards.find(name) is None
    with pytest.raises(InputError, match="materialize activations again"):
        read_shard(shards.base, shard)


def test_a_missing_shard_is_named(shards: ShardStore) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_shard(shards.base, Shard("nowhere.safetensors", "0"))
