"""Dagster's SQLite storages as ``dagster.yaml`` names them, made safe against kills and against a second process.

Belongs here: how their files come into being, which process a run belongs to, what a full disk means. Stays out:
everything that they store.

Dagster creates a database step by step: of two processes that start at once one fails, and one that is killed in
between leaves a file without tables, at which every later start fails. Here a database appears as a whole. And a run
says from its first row which process drives it, so a dead one can be told from one that has only begun. Whoever must
wait for a slot of a pool is told who holds it.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import SQLITE_EVENT_LOG_FILENAME
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._serdes import ConfigurableClassData
from dagster._utils.concurrency import ConcurrencyClaimStatus
from filelock import FileLock
from sqlalchemy import Engine, QueuePool, create_engine
from sqlalchemy.event import listens_for
from sqlalchemy.exc import OperationalError

from ta_assets.core.errors import InputError
from ta_resources.interrupts import heed
from ta_resources.processes import host, is_dead, own_process
from ta_resources.storage.atomic import UNFINISHED, cannot_write

HOST_TAG, PROCESS_TAG = ".dagster/thought_anchors_host", ".dagster/thought_anchors_process"
"""Dagster's pages hide tags that begin like this: of no use to people, they would take up half of the list of runs."""
PARENT_TAG, ROOT_TAG = "dagster/parent_run_id", "dagster/root_run_id"
"""Dagster's own: by them it groups the runs that a run has started."""
LOCK = ".created.lock"
UNWRITABLE = ("disk is full", "readonly database", "unable to open database file", "disk I/O error")
"""What SQLite says when it is the disk's fault."""

DATABASES = ("runs", SQLITE_EVENT_LOG_FILENAME)
"""Names of those whose connections are kept, without the ending."""
STORAGES = ("run_storage", "event_storage", "schedule_storage")
"""Those that Dagster opens, and would create, at once."""

Storage = TypeVar("Storage")


@functools.cache
def engine(database: str) -> Engine:
    """The engine of a database, which keeps its connections.

    Dagster makes an engine per transaction: each statement is then compiled anew, and whoever closes the only
    connection makes SQLite write its log back into the database.
    """
    made = create_engine(
        database, poolclass=QueuePool, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    )
    # with a write-ahead log, this can lose the last transactions to a power cut, but neither to a kill nor half of one
    listens_for(made, "connect")(lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
    return made


def forget_connections(folder: Path) -> None:
    """Close what is kept of databases in a folder: it would stay with files that were renamed or deleted."""
    for name in DATABASES:
        engine(create_db_conn_string(str(folder), name)).dispose()


def owner_tags() -> dict[str, str]:
    """Tags that say which process drives a run: this one."""
    return {HOST_TAG: host(), PROCESS_TAG: own_process()}


class RunStorage(SqliteRunStorage):
    """Runs, each tagged with the process that drives it."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> RunStorage:
        """Open the database, created if it is not there.

        Every process of Dagster's does so before it works, so here they also learn to heed requests to stop.

        Raises:
            InputError: the folder cannot be written.
        """
        heed()
        return created_whole(config_value, lambda base_dir: cls.from_local(base_dir, inst_data))

    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Store a run; one that a web server hands over to another process gets its tags when it starts there."""
        if dagster_run.remote_job_origin is None:
            dagster_run = dagster_run.with_tags({**dagster_run.tags, **owner_tags()})
        root = dagster_run.tags.get(ROOT_TAG)
        if root and not dagster_run.root_run_id:  # Dagster's pages read the fields, its queries the tags
            parent = dagster_run.tags.get(PARENT_TAG, root)
            dagster_run = dagster_run._replace(parent_run_id=parent, root_run_id=root)
        return super().add_run(dagster_run)

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """Note an event of a run; its start comes from the process that executes it, and from no other."""
        if event.event_type == DagsterEventType.RUN_START and self.has_run(run_id):
            # before the run counts as started: a process that dies in between must not leave a run of nobody
            self.add_run_tags(run_id, owner_tags())
        super().handle_run_event(run_id, event, update_timestamp)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A transaction.

        Raises:
            InputError: the disk has no room, or may not be written.
        """
        with clear_errors(self._conn_string), engine(self._conn_string).begin() as connection:
            yield connection


class EventLogStorage(ConsolidatedSqliteEventLogStorage):
    """All runs' events in one database: a release is many small runs, and a file for each doubles their cost."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._waiting: set[tuple[str, str]] = set()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> EventLogStorage:
        """As ``RunStorage.from_config_value``."""
        return created_whole(config_value, lambda base_dir: cls(base_dir, inst_data))

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Claim a slot of a pool; a step that has to wait is told once for whom, in its run's log and on stderr."""
        status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if not status.is_claimed and (run_id, step_key) not in self._waiting:
            self._waiting.add((run_id, step_key))
            slots = self.get_concurrency_info(concurrency_key).claimed_slots
            for holder in sorted({slot.run_id for slot in slots} - {run_id}):
                self._warn(run_id, step_key, why_waiting(concurrency_key, holder, self._instance.get_run_by_id(holder)))
        return status

    def _warn(self, run_id: str, step_key: str, message: str) -> None:
        logging.getLogger(__name__).warning(message)
        run = self._instance.get_run_by_id(run_id)
        event = DagsterEvent(
            DagsterEventType.ENGINE_EVENT.value,
            job_name=run.job_name if run else "",
            step_key=step_key,
            message=message,
            event_specific_data=EngineEventData(),
        )
        self._instance.report_dagster_event(event, run_id=run_id, log_level=logging.WARNING)

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        with clear_errors(self._conn_string), engine(self._conn_string).begin() as connection:
            yield connection


class ScheduleStorage(SqliteScheduleStorage):
    """Schedules and sensors; there are none, but Dagster asks."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> SqliteScheduleStorage:
        """As ``RunStorage.from_config_value``."""
        return created_whole(config_value, lambda base_dir: cls.from_local(base_dir, inst_data))


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
        state = f"whether it lives cannot be seen from {host()}; if it does not, {frees}"
    elif is_dead(owner, process):
        state = f"that process is gone; the next release closes its run, or {frees}"
    else:
        state = "it is at work"
    return f"pool {pool}: waiting for run {run_id} of host {owner}, process {process}, which holds its slot: {state}"


def created_whole(config: Mapping[str, Any], make: Callable[[str], Storage]) -> Storage:
    """Create a storage beside its place and rename it, one process at a time; then open it.

    Args:
        config: ``base_dir``, the storage's own folder.
        make: folder -> the storage, which creates what is missing in it.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = Path(config["base_dir"]).resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # no soft lock: its file outlives a process that is killed
        with FileLock(folder.parent / f"{folder.name}{LOCK}", fallback_to_soft=False):
            if not folder.exists():
                # the lock is held: whoever left this is dead
                unfinished = folder.with_name(f"{folder.name}{UNFINISHED}")
                shutil.rmtree(unfinished, ignore_errors=True)
                with clear_errors(str(unfinished)):
                    make(str(unfinished))
                forget_connections(unfinished)
                unfinished.rename(folder)
                forget_connections(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return make(str(folder))


def existing_instance(home: Path) -> dg.DagsterInstance:
    """The instance that a folder's ``dagster.yaml`` names, opened only if all its databases are there.

    Raises:
        InputError: there is no ``dagster.yaml``, or a storage's folder is not there.
    """
    if not (home / "dagster.yaml").is_file():
        raise InputError(home, "dagster.yaml", None, "the folder in which the release ran")
    ref = InstanceRef.from_dir(str(home))
    for storage in STORAGES:
        folder = getattr(ref, f"{storage}_data").config_dict.get("base_dir")
        if folder is not None and not Path(folder).is_dir():
            expected = "the instance of a release: run it first, or start this in the folder in which it ran"
            raise InputError(Path(folder).resolve(), storage, None, expected)
    return dg.DagsterInstance.from_ref(ref)


@contextmanager
def clear_errors(database: str) -> Iterator[None]:
    """SQLite's complaints about the disk, as an ``InputError`` that names the database."""
    try:
        yield
    except OperationalError as error:
        if not any(text in str(error.orig) for text in UNWRITABLE):
            raise
        path = database.removeprefix("sqlite:///")
        expected = "a disk that has room and may be written, and memory to map it; then start the command again, "
        expected += "what is stored already is kept"
        raise InputError(path, "write", str(error.orig), expected) from error
