"""Shards: addressed by what they were made from, and believed only when whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.values import PooledProblem
from ta_resources.storage.folder import Folder
from ta_resources.storage.shards import Shard, ShardStore, StoredTokens, read_shard
from ta_resources.storage.vertical_scores import VerticalScoreStore


def pooled(vectors: np.ndarray) -> PooledProblem:
    spans = np.arange(2 * len(vectors), dtype=np.int64).reshape(-1, 2)
    return PooledProblem(7, 2, vectors, spans, n_tokens=12, text="a b")


@pytest.fixture
def shards(tmp_path: Path) -> ShardStore:
    return ShardStore(Folder(tmp_path), "f" * 64)


def test_vectors_come_back_bit_by_bit(shards: ShardStore) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float16)
    shard = shards.write(shards.name(7, "a b", ["a", "b"]), pooled(vectors))
    back = read_shard(shards.files, shard)
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
        ShardStore(shards.files, "e" * 64).name(7, "a b", ["a", "b"]),
    }
    assert len(names) == 5


def test_a_files_name_is_a_fixed_function_of_what_it_holds(shards: ShardStore) -> None:
    # what was stored yesterday is found by this name: another one would compute everything anew
    digest = hashlib.sha256(b'["a b", ["a", "b"]]').hexdigest()[:16]
    assert shards.name(7, "a b", ["a", "b"]) == f"shards/{'f' * 16}/problem_7-{digest}.safetensors"
    scores = VerticalScoreStore(shards.files, "e" * 64)
    assert scores.name(7, "a b", ("a", "b")) == f"vertical_scores/{'e' * 16}/problem_7-{digest}.json"


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
    path = Path(shards.files.place(name))
    path.write_bytes(path.read_bytes()[:keep])
    assert shards.find(name) is None


def test_a_flipped_byte_is_noticed(shards: ShardStore) -> None:
    name = shards.name(7, "a b", ["a", "b"])
    shard = shards.write(name, pooled(np.ones((2, 3), np.float32)))
    path = Path(shards.files.place(name))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    assert shards.find(name) is None
    with pytest.raises(InputError, match="materialize activations again"):
        read_shard(shards.files, shard)


def test_a_missing_shard_is_named(shards: ShardStore) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_shard(shards.files, Shard("nowhere.safetensors", "0"))


def ragged(problem_id: int, counts: list[int]) -> PooledProblem:
    """A problem whose tokens are all stored; its sentences follow a prompt of three tokens."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    vectors = np.random.default_rng(problem_id).normal(size=(offsets[-1], 3)).astype(np.float16)
    spans = np.stack([offsets[:-1], offsets[1:]], axis=1) + 3
    return PooledProblem(problem_id, 2, vectors, spans, int(offsets[-1]) + 3, "a b", offsets)


def test_tokens_come_back_bit_by_bit_with_their_offsets(shards: ShardStore) -> None:
    given = ragged(7, [2, 1, 4])
    back = read_shard(shards.files, shards.write("shards/tokens.safetensors", given))
    assert back.vectors.tobytes() == given.vectors.tobytes()
    assert back.offsets is not None
    assert back.offsets.tolist() == [0, 2, 3, 7]
    np.testing.assert_array_equal(back.of_sentence(2), given.vectors[3:])


def test_tokens_are_read_sentence_by_sentence_in_the_order_of_the_rows(shards: ShardStore) -> None:
    given = {7: ragged(7, [2, 1, 4]), 9: ragged(9, [5, 3])}
    stored = {one: shards.write(f"shards/{one}.safetensors", pooled) for one, pooled in given.items()}
    keys = [(9, 1), (7, 0), (7, 2)]
    tokens = StoredTokens(shards.files, stored, keys)
    assert tokens.lengths.tolist() == [3, 2, 4]
    for row, (problem_id, index) in enumerate(keys):
        np.testing.assert_array_equal(tokens.of_row(row), given[problem_id].of_sentence(index))
    assert StoredTokens(shards.files, stored, keys).sha256() == tokens.sha256()
    assert StoredTokens(shards.files, stored, keys[::-1]).sha256() != tokens.sha256()
    other = stored | {9: shards.write("shards/9.safetensors", ragged(9, [4, 4]))}
    assert StoredTokens(shards.files, other, keys).sha256() != tokens.sha256()
