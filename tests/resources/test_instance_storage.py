"""Dagster's databases: created as a whole by one process, runs with an owner, clear words about the disk."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from ta_assets.core.errors import InputError
from ta_resources.existing_instance import existing_instance
from ta_resources.instance_storage import EventLogStorage, RunStorage, clear_errors, created_whole
from ta_resources.processes import own_process
from ta_resources.run_owners import PROCESS_TAG

ROOT = Path(__file__).resolve().parents[2]
CREATE = (
    "import sys; from ta_resources.instance_storage import *; {0}.from_config_value(None, {{'base_dir': sys.argv[1]}})"
)


@pytest.mark.parametrize("storage", [RunStorage.__name__, EventLogStorage.__name__])
def test_processes_that_start_at_once_create_one_database(tmp_path: Path, storage: str) -> None:
    command = [sys.executable, "-c", CREATE.format(storage), str(tmp_path / "storage")]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(3)))
    assert [one.returncode for one in done] == [0, 0, 0], done[0].stderr
    assert not list(tmp_path.glob("*.unfinished-*"))


def test_what_a_killed_process_left_half_made_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "events.unfinished-"
    half.mkdir()
    (half / "event_log.db").write_bytes(b"")
    storage = EventLogStorage.from_config_value(None, {"base_dir": str(tmp_path / "events")})
    assert storage.supports_global_concurrency_limits
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["events"]


def test_a_database_that_is_deleted_and_made_again_by_one_process_is_a_new_one(tmp_path: Path) -> None:
    config = {"base_dir": str(tmp_path / "runs")}
    for _ in range(2):
        storage = RunStorage.from_config_value(None, config)
        assert storage.get_runs() == []
        storage.add_run(dg.DagsterRun(job_name="release"))
        shutil.rmtree(tmp_path / "runs")
    storage = RunStorage.from_config_value(None, config)
    storage.add_run(dg.DagsterRun(job_name="release"))
    with contextlib.closing(sqlite3.connect(tmp_path / "runs/runs.db")) as read_by_others:
        assert read_by_others.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_a_run_is_owned_by_the_process_that_creates_it_from_its_first_row(tmp_path: Path) -> None:
    storage = RunStorage.from_config_value(None, {"base_dir": str(tmp_path / "runs")})
    storage.add_run(dg.DagsterRun(job_name="release"))
    (run,) = storage.get_runs()
    assert run.tags[PROCESS_TAG] == own_process()


def test_an_instance_is_opened_where_it_is_and_created_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"dagster\.yaml"):
        existing_instance(tmp_path)
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with pytest.raises(InputError, match="run_storage"):
        existing_instance(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        run = made.create_run_for_job(dg.Definitions(jobs=[nothing]).resolve_job_def("nothing"))
    with existing_instance(tmp_path) as found:
        assert found.get_run_by_id(run.run_id) is not None
    shutil.rmtree(tmp_path / ".dagster/events")
    with pytest.raises(InputError, match="event_storage"):
        existing_instance(tmp_path)


@dg.job
def nothing() -> None:
    pass


def test_only_the_disks_own_errors_are_the_disks() -> None:
    with (
        pytest.raises(InputError, match=r"/x/runs.db: write: found 'database or disk is full'"),
        clear_errors("sqlite:////x/runs.db"),
    ):
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))
    with pytest.raises(OperationalError, match="no such table"), clear_errors("sqlite:////x/runs.db"):
        raise OperationalError("SELECT", {}, Exception("no such table: runs"))


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with pytest.raises(InputError, match="/proc/storage"):
        created_whole({"base_dir": "/proc/storage/runs"}, lambda _: pytest.fail("nothing can be made there"))
