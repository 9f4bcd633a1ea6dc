"""A killed release: its runs are closed, its pool slot is freed, and the next one goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from ta_assets import runs
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


def test_two_releases_at_once_make_every_cell_once(tiny_world) -> None:
    assert not (tiny_world.folder / ".dagster").exists(), "they create the instance, too"
    command = [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-j", "release"]
    environment = {**os.environ, **tiny_world.environment()}
    both = [
        subprocess.Popen(command, cwd=tiny_world.folder, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    logs = sorted((process.communicate(timeout=600)[1] for process in both), key=lambda log: "nothing changed" in log)
    assert [process.returncode for process in both] == [0, 0], logs
    assert "cells computed, 0 were up to date" in logs[0]
    assert "nothing changed" in logs[1]


def test_a_killed_release_goes_on_at_the_next_problem_and_ends_with_the_same_bytes(tiny_world) -> None:
    shards = tiny_world.folder / "artifacts/shards"
    environment = {**os.environ, **tiny_world.environment("slow")}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-j", "release"],
        cwd=tiny_world.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(shards.rglob("*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in shards.rglob("*.safetensors")}
    assert len(kept) >= 2
    assert not (tiny_world.folder / "artifacts/activations").exists()

    result = tiny_world.release()
    assert result.returncode == 0, result.stdout + result.stderr
    after = {path.name: path.stat().st_mtime_ns for path in shards.rglob("*.safetensors")}
    assert {name: after[name] for name in kept} == kept, "a stored problem is not computed again"
    assert "is closed: its process" in result.stderr
    first = tiny_world.artifact_hashes()

    for folder in ("artifacts", ".dagster"):
        subprocess.run(["rm", "-r", str(tiny_world.folder / folder)], check=True)
    undisturbed = tiny_world.release()
    assert undisturbed.returncode == 0
    assert tiny_world.artifact_hashes() == first
