"""Dagster's SQLite storages as ``dagster.yaml`` names them, made safe against kills and against a second process.

Belongs here: how their files come into being, which process a run belongs to, what a full disk means. Stays out:
everything that they store.

Dagster creates a database step by step: of two processes that start at once one fails, and one that is killed in
between leaves a file without tables, at which every later start fails. Here a database appears as a whole. And a run
says from its first row which process drives it, so a dead one can be told from one that has only begun; with other
storages it says so when it begins to work (``run_owners``).
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import SQLITE_EVENT_LOG_FILENAME
from dagster._core.storage.runs import SqliteRunStorage, SqlRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._serdes import ConfigurableClassData
from filelock import FileLock
from sqlalchemy import Engine, QueuePool, create_engine
from sqlalchemy.event import listens_for
from sqlalchemy.exc import OperationalError

from ta_assets.core.errors import InputError
from ta_resources.interrupts import heed
from ta_resources.run_owners import owner_tags
from ta_resources.storage.atomic import UNFINISHED, cannot_write

PARENT_TAG, ROOT_TAG = "dagster/parent_run_id", "dagster/root_run_id"
"""Dagster's own: by them it groups the runs that a run has started."""
LOCK = ".created.lock"
UNWRITABLE = ("disk is full", "readonly database", "unable to open database file", "disk I/O error")
"""What SQLite says when it is the disk's fault."""

DATABASES = ("runs", SQLITE_EVENT_LOG_FILENAME)
"""Names of those whose connections are kept, without the ending."""

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


def with_owner(run: dg.DagsterRun) -> dg.DagsterRun:
    """A run that says who drives it; one that a web server gives to another process says so when it starts there."""
    if run.remote_job_origin is None:
        run = run.with_tags({**run.tags, **owner_tags()})
    root = run.tags.get(ROOT_TAG)
    if root and not run.root_run_id:  # Dagster's pages read the fields, its queries the tags
        run = run._replace(parent_run_id=run.tags.get(PARENT_TAG, root), root_run_id=root)
    return run


class OwnedRuns(SqlRunStorage):
    """Runs, each tagged from its first row with the process that drives it, in whichever database."""

    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Store a run, with its owner."""
        return super().add_run(with_owner(dagster_run))

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """Note an event of a run; its start comes from the process that executes it, and from no other."""
        if event.event_type == DagsterEventType.RUN_START and self.has_run(run_id):
            # before the run counts as started: a process that dies in between must not leave a run of nobody
            self.add_run_tags(run_id, owner_tags())
        super().handle_run_event(run_id, event, update_timestamp)


class RunStorage(OwnedRuns, SqliteRunStorage):
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

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> EventLogStorage:
        """As ``RunStorage.from_config_value``."""
        return created_whole(config_value, lambda base_dir: cls(base_dir, inst_data))

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
