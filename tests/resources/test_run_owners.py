"""Which process a run belongs to, however it was started, and what is said to one that waits for another's slot."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from ta_resources import run_owners
from ta_resources.instance_storage import EventLogStorage
from ta_resources.processes import host, own_process
from ta_resources.run_owners import (
    HOST_TAG,
    PROCESS_TAG,
    SILENT_HOURS,
    WITHIN_TAG,
    SlotWatch,
    close_dead,
    own,
    owner_tags,
    watched,
    why_waiting,
)

POOL, STEP = "gpu", "extract"
PROJECT = Path(__file__).parents[2] / "dagster.yaml"
WEB_SERVER = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository")
DEAD = f"{os.getpid()}:1"
DYING: list[bool] = []
"""Holds something in a process whose step is to die."""


@dg.op(pool=POOL)
def extract() -> None:
    """A step in a pool, as an extraction is, or a check that loads the language model."""
    if DYING:
        die()


def die() -> None:
    """What the kernel does to a process out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=dg.in_process_executor)
def extraction() -> None:
    """What a web server starts."""
    extract()


def opened(folder: Path) -> dg.DagsterInstance:
    """An instance as the project's own ``dagster.yaml`` describes it, in a folder."""
    content = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    for section in content.values():
        if isinstance(section, dict) and "base_dir" in section.get("config", {}):
            section["config"]["base_dir"] = str(folder / section["config"]["base_dir"])
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return dg.DagsterInstance.from_config(str(folder))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with opened(tmp_path) as made:
        yield made


def created_by_a_web_server(instance: dg.DagsterInstance) -> str:
    run = instance.create_run_for_job(extraction, remote_job_origin=WEB_SERVER.get_job_origin(extraction.name))
    assert PROCESS_TAG not in run_of(instance, run.run_id).tags
    return run.run_id


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def execute(instance: dg.DagsterInstance, run_id: str) -> None:
    """As the process does that is started for a run."""
    for _ in execute_run_iterator(InMemoryJob(extraction), run_of(instance, run_id), instance):
        pass


def executed_and_killed(folder: Path, run_id: str, between_claim_and_body: bool) -> int:
    """In a process of its own; its id."""

    def child() -> None:
        claim = EventLogStorage.claim_concurrency_slot

        def claimed(*given: Any) -> Any:
            claim(*given)
            die()

        if between_claim_and_body:
            mock.patch.object(EventLogStorage, "claim_concurrency_slot", claimed).start()
        else:
            DYING.append(True)
        with opened(folder) as own:
            execute(own, run_id)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert process.pid is not None
    return process.pid


def holders(instance: dg.DagsterInstance) -> list[str]:
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info(POOL).claimed_slots]


def test_a_run_of_a_web_server_belongs_to_the_process_that_executes_it(instance: dg.DagsterInstance) -> None:
    run_id = created_by_a_web_server(instance)
    execute(instance, run_id)
    run = run_of(instance, run_id)
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert (run.tags[HOST_TAG], run.tags[PROCESS_TAG]) == (host(), own_process())
    assert holders(instance) == []


def test_events_that_others_report_do_not_take_a_run_over(instance: dg.DagsterInstance) -> None:
    run_id = created_by_a_web_server(instance)
    instance.report_run_canceling(run_of(instance, run_id))
    instance.report_run_failed(run_of(instance, run_id))
    assert PROCESS_TAG not in run_of(instance, run_id).tags


@pytest.mark.parametrize("between_claim_and_body", [False, True])
def test_a_run_of_a_web_server_that_was_killed_is_closed_and_gives_its_slot_back(
    instance: dg.DagsterInstance, tmp_path: Path, between_claim_and_body: bool
) -> None:
    run_id = created_by_a_web_server(instance)
    pid = executed_and_killed(tmp_path, run_id, between_claim_and_body)
    assert holders(instance) == [run_id]
    assert run_of(instance, run_id).status == dg.DagsterRunStatus.STARTED
    assert run_of(instance, run_id).tags[PROCESS_TAG].startswith(f"{pid}:")
    messages: list[str] = []
    close_dead(instance, messages.append)
    assert run_id in messages[0]
    assert run_of(instance, run_id).status == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == []
    following = created_by_a_web_server(instance)
    execute(instance, following)
    assert run_of(instance, following).status == dg.DagsterRunStatus.SUCCESS


def held_by(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """A run that has started and holds the pool's one slot."""
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    run_id = created_by_a_web_server(instance)
    instance.add_run_tags(run_id, tags)
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run_id, STEP).is_claimed
    return run_id


def waits(instance: dg.DagsterInstance) -> tuple[SlotWatch, list[str]]:
    """A run whose step waits for the slot, and what it is told."""
    waiting, told = created_by_a_web_server(instance), []
    assert not instance.event_log_storage.claim_concurrency_slot(POOL, waiting, STEP).is_claimed
    return SlotWatch(instance, waiting, told.append), told


def test_a_step_that_waits_for_a_run_of_another_host_is_told_once_which_and_what_helps(
    instance: dg.DagsterInstance,
) -> None:
    holder = held_by(instance, {HOST_TAG: "elsewhere", PROCESS_TAG: "12:34"})
    watch, told = waits(instance)
    for _ in range(3):
        watch.look()
    (message,) = told
    for said in (
        holder,
        "host elsewhere",
        "process 12:34",
        f"pool {POOL}",
        f"`DAGSTER_HOME=$PWD dagster run delete {holder}`",
    ):
        assert said in message
    instance.delete_run(holder)  # the remedy
    assert instance.event_log_storage.claim_concurrency_slot(POOL, watch.run_id, STEP).is_claimed


def test_nobody_is_told_anything_who_need_not_wait(instance: dg.DagsterInstance) -> None:
    held_by(instance, owner_tags())
    told: list[str] = []
    SlotWatch(instance, created_by_a_web_server(instance), told.append).look()
    assert told == []


@pytest.mark.parametrize(
    ("tags", "status", "is_freed"),
    [
        ({HOST_TAG: host(), PROCESS_TAG: DEAD}, dg.DagsterRunStatus.FAILURE, True),
        ({HOST_TAG: "elsewhere", PROCESS_TAG: DEAD}, dg.DagsterRunStatus.NOT_STARTED, False),
        (owner_tags(), dg.DagsterRunStatus.NOT_STARTED, False),
    ],
)
def test_a_step_waits_for_no_dead_process(
    instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus, is_freed: bool
) -> None:
    holder = held_by(instance, tags)
    watch, told = waits(instance)
    watch.look()
    assert run_of(instance, holder).status == status
    assert instance.event_log_storage.claim_concurrency_slot(POOL, watch.run_id, STEP).is_claimed == is_freed
    assert len(told) == 1


def test_a_step_waits_for_no_run_that_has_ended_with_a_slot(instance: dg.DagsterInstance) -> None:
    holder = held_by(instance, {HOST_TAG: "elsewhere", PROCESS_TAG: "1:2"})
    instance.report_run_failed(run_of(instance, holder))
    watch, _ = waits(instance)
    watch.look()
    assert instance.event_log_storage.claim_concurrency_slot(POOL, watch.run_id, STEP).is_claimed


@pytest.mark.parametrize(("hours", "is_lost"), [(SILENT_HOURS - 1, False), (SILENT_HOURS + 1, True)])
def test_a_run_of_another_host_that_has_long_said_nothing_is_lost(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, hours: int, is_lost: bool
) -> None:
    holder = held_by(instance, {HOST_TAG: "elsewhere", PROCESS_TAG: "1:2"})
    instance.report_engine_event("at work", run_of(instance, holder))
    watch, _ = waits(instance)
    now = time.time()
    monkeypatch.setattr(run_owners.time, "time", lambda: now + 3600 * hours)
    watch.look()
    assert run_of(instance, holder).is_finished == is_lost


@pytest.mark.parametrize(("host_of_both", "is_closed"), [("elsewhere", True), (host(), False)])
def test_a_run_inside_a_run_that_has_ended_is_closed_where_its_process_cannot_be_seen(
    instance: dg.DagsterInstance, host_of_both: str, is_closed: bool
) -> None:
    tags = {HOST_TAG: host_of_both, PROCESS_TAG: own_process()}
    around, inside = created_by_a_web_server(instance), created_by_a_web_server(instance)
    instance.add_run_tags(around, tags)
    instance.add_run_tags(inside, {**tags, WITHIN_TAG: around})
    close_dead(instance, lambda _: None)
    assert not run_of(instance, inside).is_finished
    instance.report_run_failed(run_of(instance, around), message="its worker is gone")
    close_dead(instance, lambda _: None)
    assert run_of(instance, inside).is_finished == is_closed


def test_while_a_run_waits_somebody_looks_for_it(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_owners, "POLL_SECONDS", 0.01)
    holder = held_by(instance, {HOST_TAG: host(), PROCESS_TAG: DEAD})
    watch, _ = waits(instance)
    with watched(instance, watch.run_id, lambda _: None):
        deadline = time.monotonic() + 20
        while not run_of(instance, holder).is_finished and time.monotonic() < deadline:
            time.sleep(0.01)
    assert run_of(instance, holder).status == dg.DagsterRunStatus.FAILURE
    assert not [one for one in threading.enumerate() if watch.run_id in one.name]


def test_with_storages_of_dagsters_own_a_run_says_who_drives_it_once_it_works(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as plain:
        run_id = plain.create_run_for_job(extraction).run_id
        assert PROCESS_TAG not in run_of(plain, run_id).tags
        own(plain, run_id)
        assert run_of(plain, run_id).tags[PROCESS_TAG] == own_process()


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    return instance.create_run_for_job(extraction, status=dg.DagsterRunStatus.STARTED, tags=tags).run_id


def test_the_run_of_a_dead_process_is_closed_and_one_whose_process_id_was_used_again(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    messages: list[str] = []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as plain:
        for process in (f"{dead.pid}:1", DEAD):
            run_id = started(plain, {HOST_TAG: host(), PROCESS_TAG: process})
            close_dead(plain, messages.append)
            assert run_of(plain, run_id).status == dg.DagsterRunStatus.FAILURE
            assert run_id in messages[-1]


def test_a_run_whose_process_died_before_it_started_is_closed_too(instance: dg.DagsterInstance) -> None:
    run_id = created_by_a_web_server(instance)
    instance.add_run_tags(run_id, {HOST_TAG: host(), PROCESS_TAG: DEAD})
    close_dead(instance, lambda _: None)
    assert run_of(instance, run_id).status == dg.DagsterRunStatus.FAILURE


def test_living_foreign_and_unowned_runs_are_left_alone(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as plain:
        several = [started(plain, tags) for tags in (owner_tags(), {**owner_tags(), HOST_TAG: "elsewhere"}, {})]
        close_dead(plain, lambda _: None)
        assert {run_of(plain, run_id).status for run_id in several} == {dg.DagsterRunStatus.STARTED}


@pytest.mark.parametrize(
    ("tags", "said", "remedy"),
    [
        (owner_tags(), "it is at work", False),
        ({HOST_TAG: host(), PROCESS_TAG: DEAD}, "that process is gone; the next release closes its run", True),
        ({HOST_TAG: "elsewhere", PROCESS_TAG: "1:2"}, "whether it lives cannot be seen from", True),
        ({}, "of host unknown, process unknown", True),
        (None, "of host unknown, process unknown", True),
    ],
)
def test_what_helps_depends_on_what_is_known_of_the_process(
    tags: dict[str, str] | None, said: str, remedy: bool
) -> None:
    run = None if tags is None else dg.DagsterRun(job_name="extraction", run_id="r1", tags=tags)
    message = why_waiting(POOL, "r1", run)
    assert said in message
    assert ("dagster run delete r1`" in message) is remedy
