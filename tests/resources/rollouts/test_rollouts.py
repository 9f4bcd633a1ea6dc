"""The resource over local folders, and reading ahead."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource, Problem
from ta_resources.rollouts.problem_files import FILE_NAMES, RawProblem, UnusableProblem
from ta_resources.rollouts.resource import RolloutsResource


@pytest.fixture
def corpus(dataset_folder: Path, prefix: str) -> CorpusSource:
    return CorpusSource(prefix=prefix, folder=str(dataset_folder))


def test_a_folder_gives_sorted_ids_and_validated_problems(corpus: CorpusSource) -> None:
    rollouts = RolloutsResource()
    assert rollouts.list_problem_ids(corpus) == [2, 10, 33]
    problem = rollouts.load_problem(corpus, 10)
    assert problem.problem_id == 10
    assert problem.sentences[0] == "Sentence 0 of problem 10."
    assert problem.source.endswith("problem_10")


def test_problems_come_in_the_order_that_was_asked_for(corpus: CorpusSource) -> None:
    ids = [33, 2, 10, 2, 33]
    assert [problem.problem_id for problem in RolloutsResource(workers=2).load_problems(corpus, ids)] == ids


def test_an_absent_folder_problem_or_file_is_named(corpus: CorpusSource, dataset_folder: Path, prefix: str) -> None:
    rollouts = RolloutsResource()
    with pytest.raises(InputError, match=r"dataset\.folder"):
        rollouts.list_problem_ids(CorpusSource(prefix="no/such/prefix", folder=str(dataset_folder)))
    with pytest.raises(InputError, match=r"problem_4.problem\.json: file: found 'absent'"):
        rollouts.load_problem(corpus, 4)
    whole = rollouts.identity(corpus)
    (dataset_folder / prefix / "problem_2" / "base_solution.json").unlink()
    with pytest.raises(UnusableProblem, match=r"problem_2.base_solution\.json"):
        rollouts.load_problem(corpus, 2)
    assert rollouts.identity(corpus) != whole, "with and without a file it is other data"


def test_what_is_wrong_with_one_problem_costs_that_problem(
    corpus: CorpusSource, dataset_folder: Path, prefix: str
) -> None:
    (dataset_folder / prefix / "problem_2" / "chunks_labeled.json").unlink()
    found = dict(RolloutsResource().read_problems(corpus, [2, 10]))
    assert isinstance(found[2], UnusableProblem)
    assert "chunks_labeled.json: file: found 'absent'" in str(found[2])
    assert isinstance(found[10], Problem)


def snapshot(root: Path, dataset_folder: Path, blobs: Path) -> Path:
    """The dataset as a snapshot of a Hub cache at ``root``, whose files are links to ``blobs``."""
    folder = root / "datasets--someone--rollouts/snapshots/0123abcd"
    blobs.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(one for one in dataset_folder.rglob("*") if one.is_file())):
        link = folder / path.relative_to(dataset_folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, blobs / f"{number:040x}")
        link.symlink_to(blobs / f"{number:040x}")
    return folder


def test_a_snapshot_of_a_hub_cache_is_read_and_is_the_data_that_a_folder_is(
    corpus: CorpusSource, dataset_folder: Path, tmp_path: Path, prefix: str
) -> None:
    folder = snapshot(tmp_path, dataset_folder, tmp_path / "datasets--someone--rollouts/blobs")
    cached = CorpusSource(prefix, folder=str(folder))
    assert (
        RolloutsResource().load_problem(cached, 10).sentences == RolloutsResource().load_problem(corpus, 10).sentences
    )
    assert RolloutsResource().identity(cached) == RolloutsResource().identity(corpus)


@pytest.mark.parametrize("blobs", ["datasets--another--rollouts/blobs", "datasets--someone--rollouts/refs"])
def test_a_snapshots_link_out_of_its_own_blobs_is_not_followed(
    dataset_folder: Path, tmp_path: Path, prefix: str, blobs: str
) -> None:
    folder = snapshot(tmp_path, dataset_folder, tmp_path / blobs)
    with pytest.raises(UnusableProblem, match="inside the dataset's folder"):
        RolloutsResource().load_problem(CorpusSource(prefix, folder=str(folder)), 10)


def test_a_folder_without_problems_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a" / "notes").mkdir(parents=True)
    with pytest.raises(InputError, match="at least one problem_N folder"):
        RolloutsResource().list_problem_ids(CorpusSource(prefix="a", folder=str(tmp_path)))


def test_the_identity_of_a_folder_is_its_content_and_not_its_place(
    corpus: CorpusSource, dataset_folder: Path, tmp_path: Path, prefix: str
) -> None:
    rollouts = RolloutsResource()
    identity = rollouts.identity(corpus)
    assert set(identity) == {"prefix", "sha256"}
    assert re.fullmatch("[0-9a-f]{64}", identity["sha256"])
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(dataset_folder, elsewhere)
    (elsewhere / prefix / "problem_2" / "unread.json").write_text("{}")
    copied = CorpusSource(prefix=prefix, folder=str(elsewhere))
    assert rollouts.identity(copied) == identity
    path = elsewhere / prefix / "problem_2" / "chunks_labeled.json"
    path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3"))
    assert rollouts.identity(copied) != identity


def test_a_source_is_a_folder_or_a_dataset_and_never_both_or_none(prefix: str) -> None:
    for source in (CorpusSource(prefix=prefix), CorpusSource(prefix=prefix, repo_id="a/b", folder="/c")):
        with pytest.raises(InputError, match="exactly one of the two"):
            RolloutsResource().list_problem_ids(source)


class _SlowReader:
    """Counts how far reading is ahead of the caller; problem 5 is broken."""

    def __init__(self) -> None:
        self.read_ids: list[int] = []
        self.lock = threading.Lock()

    def list_problem_ids(self, *, refresh: bool = False) -> list[int]:
        return list(range(100))

    def identity(self) -> dict[str, str]:
        return {}

    def is_kept(self, problem_id: int, name: str) -> bool:
        return True

    def read(self, problem_id: int, names: Sequence[str] = FILE_NAMES) -> RawProblem:
        with self.lock:
            self.read_ids.append(problem_id)
        chunks = b"[]" if problem_id == 5 else b'[{"chunk": "x"}]'
        files = {"problem.json": b"{}", "base_solution.json": b"{}", "chunks_labeled.json": chunks}
        return RawProblem(problem_id, f"x/{problem_id}", files)


def test_reading_ahead_is_bounded_and_ends_with_the_caller(prefix: str) -> None:
    source, reader = CorpusSource(prefix=prefix, folder="/x"), _SlowReader()
    rollouts = RolloutsResource(workers=2)
    rollouts._readers[source] = reader
    problems = rollouts.load_problems(source, range(100))
    assert next(problems).problem_id == 0
    time.sleep(0.1)
    assert len(reader.read_ids) <= 1 + 2 * 2
    problems.close()  # type: ignore[attr-defined]
    assert len(reader.read_ids) <= 1 + 2 * 2


def test_a_broken_problem_raises_at_its_turn_and_the_rest_is_not_read(prefix: str) -> None:
    source, reader = CorpusSource(prefix=prefix, folder="/x"), _SlowReader()
    rollouts = RolloutsResource(workers=2)
    rollouts._readers[source] = reader
    seen = []
    with pytest.raises(InputError, match=r"x/5/chunks_labeled\.json"):
        seen.extend(problem.problem_id for problem in rollouts.load_problems(source, range(100)))
    assert seen == [0, 1, 2, 3, 4]
    assert max(reader.read_ids) <= 5 + 2 * 2


def test_the_resource_works_inside_a_dagster_run(corpus: CorpusSource) -> None:
    @dg.asset
    def ids(rollouts: RolloutsResource) -> list[int]:
        list(rollouts.load_problems(corpus, [2, 10]))
        return rollouts.list_problem_ids(corpus)

    result = dg.materialize([ids], resources={"rollouts": RolloutsResource()})
    assert result.output_for_node("ids") == [2, 10, 33]


@pytest.mark.parametrize("model", ["deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-14b"])
@pytest.mark.parametrize("solutions", ["correct_base_solution", "incorrect_base_solution"])
def test_the_real_problems_are_read(shared_folder: Path, model: str, solutions: str) -> None:
    prefix = f"{model}/temperature_0.6_top_p_0.95/{solutions}"
    source = CorpusSource(prefix=prefix, folder=str(shared_folder / "data" / "math-rollouts"))
    rollouts = RolloutsResource()
    ids = rollouts.list_problem_ids(source)
    assert ids == [330, 1591, 2189, 2236, 2238, 3448, 4164, 6596]
    problems = list(rollouts.load_problems(source, ids))
    assert [problem.problem_id for problem in problems] == ids
    assert all(problem.trace_text.startswith("Solve this math problem step by step.") for problem in problems)
    assert all(len(problem.sentences) > 10 for problem in problems)
