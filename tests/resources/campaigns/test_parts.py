"""Parts are whole or not there, never overlap, and say when somebody changed them."""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ta_assets.core.campaign.records import Completion, Drawn, FinishReason
from ta_assets.core.campaign.seeds import seed_of
from ta_assets.core.errors import InputError
from ta_resources.campaigns.parts import Parts

KEY, OTHER = (hashlib.sha256(one).hexdigest() for one in (b"one", b"other"))


def rollouts(first: int, end: int, key: str = KEY, text: str = "é\n") -> list[Drawn]:
    whole = Completion((1, 2, 3), text, FinishReason.STOP, 5, 4)
    return [Drawn(one, seed_of(key, one), whole) for one in range(first, end)]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "rollouts")


def test_what_was_written_is_read(parts: Parts) -> None:
    failed = Drawn(3, seed_of(KEY, 3), Completion.failed("no answer in time", 5))
    written = [*rollouts(0, 3), failed]
    assert parts.write(KEY, written) == 4
    assert parts.read(KEY, 0, 4) == written
    assert parts.read(KEY, 2, 4) == written[2:]
    assert parts.read(OTHER, 0, 4) == []


def test_what_is_missing_is_known_from_names(parts: Parts) -> None:
    assert parts.missing(KEY, 0, 10) == [(0, 10)]
    parts.write(KEY, rollouts(2, 4))
    parts.write(KEY, rollouts(6, 8))
    assert parts.missing(KEY, 0, 10) == [(0, 2), (4, 6), (8, 10)]
    assert parts.missing(KEY, 3, 7) == [(4, 6)]
    assert parts.missing(KEY, 6, 8) == []


def test_a_rollout_is_stored_once_whoever_comes_second(parts: Parts) -> None:
    parts.write(KEY, rollouts(2, 4, text="first"))
    assert parts.write(KEY, rollouts(0, 6, text="second")) == 4
    assert [one.completion.text for one in parts.read(KEY, 0, 6)] == ["second"] * 2 + ["first"] * 2 + ["second"] * 2
    assert parts.write(KEY, rollouts(0, 6, text="third")) == 0


def test_files_are_named_with_their_hash_and_stay_the_same(parts: Parts) -> None:
    parts.write(KEY, rollouts(0, 2))
    before = parts.files()
    parts.write(OTHER, rollouts(0, 2, OTHER))
    after = parts.files()
    assert set(before) < set(after)
    assert before == [(f"{KEY[:2]}/{KEY}/0000000000-0000000002.parquet", before[0][1])]
    assert hashlib.sha256((parts.root / before[0][0]).read_bytes()).hexdigest() == before[0][1]


def test_what_a_dead_writer_left_is_no_part(parts: Parts) -> None:
    parts.write(KEY, rollouts(0, 2))
    left = parts.root / KEY[:2] / KEY / f"0000000002-0000000004.parquet.unfinished-{'0' * 32}@1_1@elsewhere"
    left.write_bytes(b"PAR1")
    assert parts.missing(KEY, 0, 4) == [(2, 4)]
    assert len(parts.files()) == 1


def _first(parts: Parts) -> Path:
    return parts.root / parts.files()[0][0]


def _changed(path: Path, column: str, value: object) -> None:
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    values = pa.array([value, *table.column(column).to_pylist()[1:]], table.schema.field(column).type)
    pq.write_table(table.set_column(place, table.schema.field(column), values), path)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "whole part"),
        (lambda path: _changed(path, "seed", 7), "seed"),
        (lambda path: _changed(path, "index", 5), "as its name says"),
        (lambda path: path.rename(path.with_name("0000000001-0000000003.parquet")), "as its name says"),
        (lambda path: path.rename(path.with_name("notes.parquet")), "FIRST-END"),
        (lambda path: pq.write_table(pq.read_table(path).drop_columns(["error"]), path), "schema"),
    ],
)
def test_a_changed_part_is_an_input_fault(parts: Parts, fault, named: str) -> None:
    parts.write(KEY, rollouts(0, 2))
    fault(_first(parts))
    with pytest.raises(InputError, match=named):
        parts.read(KEY, 0, 4)


def test_a_part_of_another_key_is_an_input_fault(parts: Parts) -> None:
    parts.write(KEY, rollouts(0, 2))
    content = _first(parts).read_bytes()
    parts.write(OTHER, rollouts(0, 2, OTHER))
    (parts.root / OTHER[:2] / OTHER / "0000000000-0000000002.parquet").write_bytes(content)
    with pytest.raises(InputError, match="key"):
        parts.read(OTHER, 0, 2)


def _hold(root: Path, held, done) -> None:
    with Parts(root).claimed(KEY, 0, wait=True):
        held.set()
        done.wait(30)


def test_what_another_process_makes_is_left_to_it_and_a_dead_ones_claim_ends(parts: Parts) -> None:
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(parts.root, held, done))
    process.start()
    assert held.wait(30)
    with parts.claimed(KEY, 0, wait=False) as ours:
        assert not ours
    with parts.claimed(KEY, 20, wait=False) as ours:
        assert ours
    process.kill()
    process.join()
    with parts.claimed(KEY, 0, wait=True) as ours:
        assert ours


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=6), st.integers(0, 20), st.integers(1, 10))
def test_whatever_was_written_every_number_is_stored_once_or_missing(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[int, int]], first: int, count: int
) -> None:
    parts, stored = Parts(tmp_path_factory.mktemp("parts")), set()
    for start, length in written:
        numbers = set(range(start, start + length))
        assert parts.write(KEY, rollouts(start, start + length)) == len(numbers - stored)
        stored |= numbers
    wanted = set(range(first, first + count))
    missing = {one for low, high in parts.missing(KEY, first, first + count) for one in range(low, high)}
    assert missing == wanted - stored
    assert [one.index for one in parts.read(KEY, first, first + count)] == sorted(wanted & stored)
