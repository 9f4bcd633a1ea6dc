"""The turn of a job that makes many cells: of two at once, one waits, since both would make the same cells.

Belongs here: the lock, which goes with the process that holds it, so that a killed one blocks nobody. Stays out: what
is done in a turn. Where the instance is a Postgres database, the lock is the database's own and holds for all hosts
that use it; else it is a file's, and holds for this one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sql
from filelock import BaseFileLock, FileLock, Timeout

from ta_resources.processes import host
from ta_resources.storage.atomic import cannot_write

LOCK = ".release.lock"
POLL_SECONDS = 1.0
_HELD: dict[object, BaseFileLock | sql.Connection] = {}
"""Locks that this process holds: one that is collected as garbage would be given back."""
_TAKE = sql.text("SELECT pg_try_advisory_lock(:key)")
_HOLDER = sql.text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' "
    "AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
)
_ASK_THE_CLIENT = tuple(
    sql.text(f"SET tcp_keepalives_{name} = {value}") for name, value in (("idle", 15), ("interval", 5), ("count", 3))
)
"""Seconds: a server gives a lock back once it knows that the machine of its holder is gone."""


def wait_for_turn(instance: dg.DagsterInstance, folder: Path, study: str, log: Callable[[str], None]) -> None:
    """Wait until no other such job of the study is at work, and keep others waiting until this process ends.

    Args:
        instance: where the job runs.
        folder: of all artifacts; receives the lock's file where the instance has none of its own.
        study: its name.
        log: receives for whom is waited.

    Raises:
        InputError: the folder may not be written, or the database cannot be reached.
    """
    url = getattr(instance.run_storage, "postgres_url", None)
    if url is None:
        _lock_file((folder / LOCK).resolve(), log)
    else:
        _lock_in_database(url, study, log)


def _lock_file(path: Path, log: Callable[[str], None]) -> None:
    if path in _HELD:
        return
    # no soft lock: its file outlives a process that is killed
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log(f"another release holds {path}: waiting for it to end")
            lock.acquire()
    except OSError as error:
        raise cannot_write(path, error) from error
    _HELD[path] = lock


def _lock_in_database(url: str, study: str, log: Callable[[str], None]) -> None:
    from ta_resources.postgres_storage import (  # needs the extra of such an instance
        KEEPALIVE,
        clear_errors,
        with_driver,
    )

    held = url, study
    if held in _HELD:
        return
    key = int.from_bytes(hashlib.sha256(f"thought-anchors: release of {study}".encode()).digest()[:8], signed=True)
    arguments = {**KEEPALIVE, "application_name": f"release of host {host()}, process {os.getpid()}"[:63]}
    with clear_errors(url):
        connection = sql.create_engine(
            with_driver(url), isolation_level="AUTOCOMMIT", poolclass=sql.NullPool, connect_args=arguments
        ).connect()
        for asked in _ASK_THE_CLIENT:
            connection.execute(asked)
        told: Any = None
        while not connection.execute(_TAKE, {"key": key}).scalar():
            holder = connection.execute(_HOLDER, {"key": key}).scalar()
            if holder is not None and holder != told:
                log(f"another {holder} holds the lock of study {study} in the database: waiting for it to end")
                told = holder
            time.sleep(POLL_SECONDS)
    _HELD[held] = connection
