"""Whose runs are closed. Releases that are killed, and two at once, are in ``tests/proof/test_kills.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ta_assets.core.errors import InputError
from ta_assets.jobs import runs
from ta_resources.instance_storage import HOST_TAG, PROCESS_TAG, owner_tags


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.job
def nothing() -> None:
    """A job without ops."""


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_the_run_of_a_dead_process_is_closed(instance) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run_id = started(instance, {**owner_tags(), PROCESS_TAG: f"{dead.pid}:1"})
    messages: list[str] = []
    runs.close_dead(instance, messages.append)
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert run_id in messages[0]


def test_a_run_whose_process_died_before_it_started_is_closed_too(instance) -> None:
    tags = {**owner_tags(), PROCESS_TAG: f"{os.getpid()}:1"}
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
    runs.close_dead(instance, lambda _: None)
    assert status(instance, run.run_id) == dg.DagsterRunStatus.FAILURE


def test_a_reused_process_id_is_not_taken_for_the_owner(instance) -> None:
    run_id = started(instance, {**owner_tags(), PROCESS_TAG: f"{os.getpid()}:1"})
    runs.close_dead(instance, lambda _: None)
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_living_foreign_and_unowned_runs_are_left_alone(instance) -> None:
    living = started(instance, owner_tags())
    foreign = started(instance, {**owner_tags(), HOST_TAG: "elsewhere"})
    unowned = started(instance, {})
    runs.close_dead(instance, lambda _: None)
    for run_id in (living, foreign, unowned):
        assert status(instance, run_id) == dg.DagsterRunStatus.STARTED


HOLD = (
    "import sys, pathlib; from ta_assets.jobs import runs; runs.wait_for_turn(pathlib.Path(sys.argv[1]), print);"
    "print('held', flush=True); sys.stdin.read()"
)


def test_a_second_release_says_for_what_it_waits_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout
            said = f"another release holds {tmp_path / runs.LOCK}: waiting for it to end\n"
            assert second.stdout.readline() == said
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.communicate("")


def test_a_folder_in_which_no_lock_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="artifacts"):
        runs.wait_for_turn(tmp_path / "artifacts", lambda _: None)
