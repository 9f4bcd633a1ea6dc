"""Which process drives a run, whatever stores it: said by tags of the run itself, asked when others wait for it.

Belongs here: naming the owner of a run, closing runs whose owner is gone, and telling a step that waits for a slot of a
pool for whom. Stays out: storages (``instance_storage``), which run is begun when (``ta_assets.jobs.runs``).

A killed process cannot close its run: it stays STARTED and holds its slot, and whoever needs it would wait for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from ta_assets.core.errors import InputError
from ta_resources.processes import host, is_dead, own_process

HOST_TAG, PROCESS_TAG = ".dagster/thought_anchors_host", ".dagster/thought_anchors_process"
"""Dagster's pages hide tags that begin like this: of no use to people, they would take up half of the list of runs."""
WITHIN_TAG = ".dagster/thought_anchors_within"
"""The run whose process drives this one as well; a run that was started again has a parent too, and lives without it.
"""
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
]
POLL_SECONDS = 5.0
SILENT_HOURS = 24
"""A run of another host that is waited for counts as lost when its log has not grown for so long: nobody can see from
here whether its process lives, and an extraction, the longest that holds a slot, reports each minute."""

Log = Callable[[str], None]


def owner_tags() -> dict[str, str]:
    """Tags that say which process drives a run: this one."""
    return {HOST_TAG: host(), PROCESS_TAG: own_process()}


def own(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say that this process drives a run, where the run does not say so yet."""
    run, tags = instance.get_run_by_id(run_id), owner_tags()
    if run is not None and any(run.tags.get(name) != value for name, value in tags.items()):
        instance.add_run_tags(run_id, tags)


def close_dead(instance: dg.DagsterInstance, log: Log) -> None:
    """Fail the unfinished runs whose process is gone, and free the slots of pools that no living run holds.

    A process of this machine can be asked for. Of another machine's it is known when the run that it drove around this
    one has ended.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        why = _why_dead(instance, run)
        if why is not None:
            close(instance, run, why, log)
    for pool in _pools(instance):
        for run_id in pool.holders:
            _free_finished(instance, run_id, log)


def close_lost(instance: dg.DagsterInstance, run: dg.DagsterRun, log: Log) -> None:
    """Fail a run of another machine that has begun and has long said nothing."""
    why = _why_lost(instance, run) if run.status in UNFINISHED else None
    if why is not None:
        close(instance, run, why, log)


def close(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str, log: Log) -> None:
    """Fail a run that nobody drives any more."""
    log(f"run {run.run_id} ({run.job_name}) is closed: {why}")
    # the slot first: a run that is closed is never looked at again, should this process die here
    _free(instance, run.run_id)
    instance.report_run_failed(run, message=f"{why}, without closing the run")


def why_waiting(pool: str, run_id: str, run: dg.DagsterRun | None) -> str:
    """Who holds a slot, and what helps when it is never given back.

    Args:
        pool: whose slot it is.
        run_id: of the run that holds it.
        run: that run; None when it is not stored any more.
    """
    tags = run.tags if run else {}
    owner, process = tags.get(HOST_TAG, "unknown"), tags.get(PROCESS_TAG, "unknown")
    command = f"`DAGSTER_HOME=$PWD dagster run delete {run_id}`"  # without the variable, it knows of no run
    frees = f"{command} in the folder of dagster.yaml frees the slot and removes the run's log"
    if owner != host() or PROCESS_TAG not in tags:
        state = f"whether it lives cannot be seen from {host()}; if it does not, {frees}, as happens by itself once "
        state += f"it has reported nothing for {SILENT_HOURS} hours"
    elif is_dead(owner, process):
        state = f"that process is gone; the next release closes its run, or {frees}"
    else:
        state = "it is at work"
    return f"pool {pool}: waiting for run {run_id} of host {owner}, process {process}, which holds its slot: {state}"


@contextmanager
def watched(instance: dg.DagsterInstance, run_id: str, tell: Log) -> Iterator[None]:
    """While this lasts, a run whose step waits for a slot is told for whom, and waits for no dead one.

    Dagster's executor waits without a word, and asks nobody but the database.
    """
    if instance.is_ephemeral:  # nobody else has it
        yield
        return
    watch, stopped, context = SlotWatch(instance, run_id, tell), threading.Event(), copy_context()

    def look_again_and_again() -> None:
        while not stopped.wait(POLL_SECONDS):
            try:
                watch.look()
            except (SQLAlchemyError, InputError) as error:  # the run itself meets it as well, and says so
                tell(f"whom the run waits for is not known: {' '.join(str(error).split())}")
                return

    thread = threading.Thread(target=context.run, args=(look_again_and_again,), name=f"slots of {run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@dataclass
class SlotWatch:
    """For whom a run waits."""

    instance: dg.DagsterInstance
    run_id: str
    tell: Log
    told: set[str] = field(default_factory=set)
    """Runs that have been named."""

    def look(self) -> None:
        """Tell of each run that holds what this one waits for, once; close it where it is dead."""
        for pool in _pools(self.instance):
            if self.run_id in pool.waiting:
                for holder in sorted(pool.holders - {self.run_id}):
                    self._settle(pool.name, holder)

    def _settle(self, pool: str, holder: str) -> None:
        run = self.instance.get_run_by_id(holder)
        if run is None or run.is_finished:
            _free_finished(self.instance, holder, self.tell)
            return
        why = _why_dead(self.instance, run) or _why_lost(self.instance, run)
        if why is not None:
            close(self.instance, run, why, self.tell)
        elif holder not in self.told:
            self.told.add(holder)
            self.tell(why_waiting(pool, holder, run))


@dataclass(frozen=True)
class _Pool:
    name: str
    holders: set[str]
    """Runs with a slot, or with one set aside for them."""
    waiting: set[str]


def _pools(instance: dg.DagsterInstance) -> Iterator[_Pool]:
    storage = instance.event_log_storage
    for name in sorted(storage.get_concurrency_keys()) if storage.supports_global_concurrency_limits else []:
        info = storage.get_concurrency_info(name)
        yield _Pool(name, info.active_run_ids | info.assigned_run_ids, info.pending_run_ids)


def _why_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why an unfinished run can not go on; None when it may."""
    owner, process = run.tags.get(HOST_TAG, ""), run.tags.get(PROCESS_TAG, "")
    if owner == host():
        return f"process {process} on {owner} ended" if is_dead(owner, process) else None
    around = instance.get_run_by_id(run.tags[WITHIN_TAG]) if WITHIN_TAG in run.tags else None
    if around is not None and around.is_finished and around.tags.get(PROCESS_TAG) == process:
        return f"run {around.run_id}, whose process drove it, ended as {around.status.value}"
    return None


def _why_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run that holds a slot counts as lost; None for one of this machine, which is known to live."""
    if run.tags.get(HOST_TAG) == host():
        return None
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    silent = time.time() - last[0].timestamp if last else 0.0
    return f"its log has not grown for {silent / 3600:.0f} hours" if silent > 3600 * SILENT_HOURS else None


def _free_finished(instance: dg.DagsterInstance, run_id: str, log: Log) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        log(f"the slots of run {run_id} are free: it has ended, or is not stored any more")
        _free(instance, run_id)


def _free(instance: dg.DagsterInstance, run_id: str) -> None:
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
