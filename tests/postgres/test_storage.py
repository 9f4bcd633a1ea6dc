"""An instance in Postgres: owners of runs, slots, the lock, a database that is not there or is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ta_assets.core.errors import InputError
from ta_resources.existing_instance import existing_instance
from ta_resources.processes import host, own_process
from ta_resources.run_owners import HOST_TAG, PROCESS_TAG, SlotWatch, close_dead
from tests.postgres.conftest import Server

OURS = {"custom": {"module": "ta_resources.postgres_storage", "class": "Storage"}}
DEAD = {HOST_TAG: host(), PROCESS_TAG: "1:1"}
POOLS = {"pools": {"default_limit": 1, "granularity": "op"}}


def home(folder: Path, url: str, *, plain: bool = False) -> Path:
    """A folder whose ``dagster.yaml`` names a database, with Dagster's own storage or with ours."""
    config = {"postgres_url": url.replace("postgresql:", "postgresql+psycopg2:") if plain else url}
    storage = {"postgres": config} if plain else {"custom": {**OURS["custom"], "config": config}}
    content = {"storage": storage, "concurrency": POOLS, "telemetry": {"enabled": False}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@dg.job
def nothing() -> None:
    """A job without ops."""


@pytest.mark.parametrize("plain", [False, True])
def test_a_killed_run_is_closed_and_who_waits_for_its_slot_gets_it(tmp_path: Path, database: str, plain: bool) -> None:
    with dg.DagsterInstance.from_config(str(home(tmp_path, database, plain=plain))) as instance:
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("gpu")
        dead, waiting = (instance.create_run_for_job(nothing).run_id for _ in range(2))
        instance.add_run_tags(dead, DEAD)
        assert storage.claim_concurrency_slot("gpu", dead, "step").is_claimed
        assert not storage.claim_concurrency_slot("gpu", waiting, "step").is_claimed
        told: list[str] = []
        SlotWatch(instance, waiting, told.append).look()
        assert dead in told[0]
        assert storage.claim_concurrency_slot("gpu", waiting, "step").is_claimed
        run = instance.get_run_by_id(dead)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_says_from_its_first_row_who_drives_it(tmp_path: Path, database: str) -> None:
    with dg.DagsterInstance.from_config(str(home(tmp_path, database))) as instance:
        run = instance.get_run_by_id(instance.create_run_for_job(nothing).run_id)
        assert run is not None
        assert run.tags[PROCESS_TAG] == own_process()
        close_dead(instance, lambda message: pytest.fail(message))


@pytest.mark.parametrize("plain", [False, True])
def test_an_empty_database_is_no_instance_and_stays_empty(
    tmp_path: Path, server: Server, database: str, plain: bool
) -> None:
    with pytest.raises(InputError, match="the instance of a release: run it first") as raised:
        existing_instance(home(tmp_path, database, plain=plain))
    assert "secret" not in str(raised.value)
    name = database.rpartition("/")[2]
    tables = server.run("psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "ta", "-c", r"\dt", name)
    assert "runs" not in tables.stdout + tables.stderr
    assert "instance_info" not in tables.stdout
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        run_id = made.create_run_for_job(nothing).run_id
    with existing_instance(tmp_path) as found:
        assert found.get_run_by_id(run_id) is not None


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("postgresql://ta:secret@127.0.0.1:1/none", "connect"),
        ("postgresql://ta:secret@127.0.0.1:{port}/none", "connect"),
        ("mysql://ta:secret@127.0.0.1:1/none", "postgres_url"),
        ("no address", "postgres_url"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_clear_line(
    tmp_path: Path, server: Server, url: str, field: str
) -> None:
    folder = home(tmp_path, url.format(port=server.port))
    with pytest.raises(InputError) as raised:
        existing_instance(folder)
    assert raised.value.field == field
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_command_says_that_line_and_nothing_of_dagsters_stack(tmp_path: Path) -> None:
    folder = home(tmp_path, "postgresql://ta:secret@127.0.0.1:1/none")
    opens = f"import dagster as dg; dg.DagsterInstance.from_config({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", opens], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "InputError: postgresql+psycopg2://ta:***@127.0.0.1:1/none: connect:"
    )


def test_a_lost_database_is_named_and_goes_on_once_it_is_back(tmp_path: Path, server: Server, database: str) -> None:
    with dg.DagsterInstance.from_config(str(home(tmp_path, database))) as instance:
        before = instance.create_run_for_job(nothing).run_id
        server.stop()
        try:
            with pytest.raises(InputError, match="what is stored already is kept"):
                instance.create_run_for_job(nothing)
        finally:
            server.start()
        assert [run.run_id for run in instance.get_runs()] == [before]
        instance.create_run_for_job(nothing)


HOLD = (
    "import sys, pathlib, dagster as dg; from ta_resources import turns;"
    "instance = dg.DagsterInstance.from_config(sys.argv[1]);"
    "turns.wait_for_turn(instance, pathlib.Path(sys.argv[2]), sys.argv[3], print);"
    "print('held', flush=True); sys.stdin.read()"
)


def test_the_lock_of_a_study_spans_folders_and_a_killed_release_blocks_nobody(tmp_path: Path, database: str) -> None:
    folder = home(tmp_path, database)
    with dg.DagsterInstance.from_config(str(folder)):
        pass  # two that create the schema at once are not what is tested

    def holds(name: str, study: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", HOLD, str(folder), str(tmp_path / name), study]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with holds("a", "tiny") as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with holds("b", "tiny") as second, holds("c", "another") as other:
            assert other.stdout
            assert other.stdout.readline() == "held\n"
            assert second.stdout
            said = f"another release of host {host()}, process {first.pid} holds the lock of study tiny in the database"
            assert second.stdout.readline() == f"{said}: waiting for it to end\n"
            first.kill()
            assert second.stdout.readline() == "held\n"
            for one in (second, other):
                one.communicate("")
    assert not (tmp_path / "a").exists()
