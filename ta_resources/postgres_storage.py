"""Dagster's Postgres storages: connections are kept, a run says from its first row who drives it, and what cannot be
reached is named on one line.

Belongs here: connecting. Stays out: everything that they store; SQLite (``instance_storage``). Dagster's own
``storage: postgres`` works as well, with a new connection for each statement and a stack for each lost one. Needs the
extra ``postgres``.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
from dagster._core.storage.base_storage import DagsterStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import DagsterPostgresException, pg_config, pg_url_from_config
from sqlalchemy import Engine, create_engine, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from ta_assets.core.errors import InputError, say_alone
from ta_resources.instance_storage import OwnedRuns
from ta_resources.interrupts import heed

TABLES = frozenset({"runs", "event_logs", "asset_check_executions"})
"""Some of those that an instance has."""
DRIVER = "postgresql+psycopg2"
"""SQLAlchemy takes another one where none is named; Dagster's code is written for this one."""
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds: a server whose machine is gone would be waited for for hours."""


def _is_no_retry(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Retrying failed database connection")


# Dagster's code tells several lines of each of six attempts; the error that comes after the last says the same
logging.getLogger().addFilter(_is_no_retry)


def with_driver(url: str) -> str:
    """The address of a database with the driver that Dagster needs.

    Raises:
        InputError: it is no address of a Postgres database.
    """
    expected = "postgresql://user:password@host:port/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not from it: it may show the password
        raise InputError("dagster.yaml", "postgres_url", "no address", expected) from None
    if parsed.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise InputError("dagster.yaml", "postgres_url", parsed.render_as_string(), expected)
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


@functools.cache
def _engine(url: str, _process: int) -> Engine:
    """Connections of a process to a database; a forked process must not share its parent's."""
    name = {"application_name": f"thought-anchors {socket.gethostname()} {os.getpid()}"}
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=2,
        max_overflow=-1,
        pool_pre_ping=True,
        connect_args={**KEEPALIVE, **name},
    )


def kept(url: str) -> Engine:
    """The engine of a database, which keeps its connections as long as this process lives."""
    return _engine(url, os.getpid())


@contextmanager
def clear_errors(url: str) -> Iterator[None]:
    """What a driver says of a database that cannot be reached, as an ``InputError`` that names it, not its password."""
    try:
        yield
    except (DagsterPostgresException, DBAPIError, psycopg2.OperationalError) as error:
        reason = error.__cause__ if isinstance(error, DagsterPostgresException) else error
        lost = isinstance(reason, DBAPIError) and reason.connection_invalidated
        if not lost and not isinstance(reason, OperationalError | psycopg2.OperationalError):
            raise
        said = getattr(reason, "orig", None) or reason
        expected = "a database that can be reached and may be written; then start the command again, what is stored "
        expected += "already is kept"
        say_alone()
        raise InputError(without_password(url), "connect", " ".join(str(said).split()), expected) from error


def without_password(url: str) -> str:
    """An address that may be shown."""
    return make_url(url).render_as_string(hide_password=True)


def require_tables(url: str) -> None:
    """See that a database holds an instance, without creating anything in it.

    Raises:
        InputError: it cannot be reached, or holds none.
    """
    engine = create_engine(url, poolclass=NullPool, connect_args=KEEPALIVE)
    with clear_errors(url):
        found = set(inspect(engine).get_table_names())
    if not found >= TABLES:
        expected = "the instance of a release: run it first"
        raise InputError(without_password(url), "tables", ", ".join(sorted(TABLES - found)) + " missing", expected)


def url_of(config: Mapping[str, Any]) -> str:
    """The address in the section of a ``dagster.yaml``, once its variables are filled in.

    Raises:
        InputError: it is no address of a Postgres database.
    """
    return with_driver(pg_url_from_config(config))


class RunStorage(OwnedRuns, PostgresRunStorage):
    """Runs, each tagged with the process that drives it."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._engine = kept(postgres_url)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection.

        Raises:
            InputError: the database cannot be reached, or was lost meanwhile.
        """
        with clear_errors(self.postgres_url), super().connect() as connection:
            yield connection


class EventLogStorage(PostgresEventLogStorage):
    """Events."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._engine = kept(postgres_url)

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        with clear_errors(self.postgres_url), super()._connect() as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the database has a table; Dagster's own keeps the connection that it asks with."""
        with self._connect() as connection:
            return bool(self._engine.dialect.has_table(connection, table_name))


class ScheduleStorage(PostgresScheduleStorage):
    """Schedules and sensors."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._engine = kept(postgres_url)

    @contextmanager
    def connect(self, run_id: str | None = None) -> Iterator[Any]:
        """As that of ``RunStorage``."""
        with clear_errors(self.postgres_url), super().connect(run_id) as connection:
            yield connection


class Storage(DagsterStorage, ConfigurableClass):
    """All that an instance stores, in one database; ``dagster.yaml`` names it under ``storage: custom``."""

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None, *, creates: bool = True) -> None:
        self._inst_data, self.postgres_url = inst_data, url
        with clear_errors(url):
            self._runs = RunStorage(url, creates)
            self._events = EventLogStorage(url, creates)
            self._schedules = ScheduleStorage(url, creates)
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What ``dagster.yaml`` says of it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        """As Dagster's own Postgres storage."""
        return pg_config()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Storage:
        """Open the database; what is missing in it is created unless the configuration forbids it.

        Every process of Dagster's does so before it works, so here they also learn to heed requests to stop.

        Raises:
            InputError: the database cannot be reached.
        """
        heed()
        return cls(url_of(config_value), inst_data, creates=config_value.get("should_autocreate_tables", True))

    @property
    def run_storage(self) -> RunStorage:
        """Runs."""
        return self._runs

    @property
    def event_log_storage(self) -> EventLogStorage:
        """Events."""
        return self._events

    @property
    def schedule_storage(self) -> ScheduleStorage:
        """Schedules and sensors."""
        return self._schedules
