"""What Dagster has recorded of partitions, read for many at once and kept until it is forgotten.

Belongs here: materializations, evaluations of checks, failed attempts. Stays out: what follows from them (``ledger``).
Tried on Dagster 1.13.27; ``tests/assets/test_staleness.py`` characterizes what is relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import dagster as dg
import sqlalchemy as sql
from dagster._core.event_api import EventLogRecord
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks

AT_ONCE = 500
"""Partitions or events in one query: databases bound the number of values in one, and Dagster that of events."""

T = TypeVar("T")


@dataclass(frozen=True)
class Materialization:
    """The latest time a partition of an asset was made."""

    storage_id: int
    run_id: str
    timestamp: float
    metadata: Mapping[str, Any]
    """Plain values by name."""
    data_version: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Dagster's own: versions of the code and of what it was made of."""


@dataclass(frozen=True)
class CheckState:
    """The latest evaluation of a check in one partition."""

    finished: bool
    """False when it was planned and never reported, for example because its run was killed."""
    is_current: bool
    """It judged the latest materialization."""
    passed: bool
    metadata: Mapping[str, Any]
    run_id: str
    timestamp: float = 0.0
    """When it reported; seconds since 1970."""


class Records:
    """The latest records of partitions; nothing is read twice unless it is forgotten in between."""

    def __init__(self, dagster: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> None:
        """``checks`` are all that the graph has."""
        self._dagster = dagster
        self._checks: dict[str, list[dg.AssetCheckKey]] = {}
        for key in checks:
            self._checks.setdefault(key.asset_key.to_user_string(), []).append(key)
        self._together: dict[str, dict[str, None]] = {}
        self._made: dict[str, dict[str, Materialization | None]] = {}
        self._judged: dict[str, dict[str, Mapping[str, CheckState]]] = {}
        self._failed: dict[str, dict[str, str | None]] = {}

    def together(self, asset: str, partitions: Iterable[str]) -> None:
        """Read all of these as soon as one of them is asked for; else each is read by itself."""
        self._together.setdefault(asset, {}).update(dict.fromkeys(partitions))

    def forget(self, asset: str, partition: str) -> None:
        """Read a partition anew when it is asked for next."""
        for kept in (self._made, self._judged, self._failed):
            kept.get(asset, {}).pop(partition, None)

    def forget_checks(self, asset: str, partition: str) -> None:
        """Read the checks of a partition anew when they are asked for next."""
        self._judged.get(asset, {}).pop(partition, None)

    def materialization(self, asset: str, partition: str) -> Materialization | None:
        """The latest materialization of a partition."""
        known = self._made.setdefault(asset, {})
        if partition not in known:
            wanted = self._wanted(asset, partition, known)
            known.update({**dict.fromkeys(wanted), **self._read_made(asset, wanted)})
        return known[partition]

    def checks(self, asset: str, partition: str) -> Mapping[str, CheckState]:
        """Name -> the latest evaluation of each check of a partition."""
        known = self._judged.setdefault(asset, {})
        if partition not in known:
            wanted = self._wanted(asset, partition, known)
            known.update({one: {} for one in wanted})
            for one, states in self._read_checks(asset, wanted).items():
                known[one] = states
        return known[partition]

    def failed_run(self, asset: str, partition: str) -> str | None:
        """The run of the latest attempt to make a partition where that failed."""
        known = self._failed.setdefault(asset, {})
        if partition not in known:
            wanted = self._wanted(asset, partition, known)
            one = len(wanted) == 1
            known.update({partition: self._failed_of(asset, partition)} if one else self._read_failed(asset, wanted))
        return known[partition]

    def history(self, asset: str, partition: str) -> Iterator[Materialization]:
        """Every materialization of a partition, the latest first; each is read when it is asked for."""
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
        page = self._dagster.fetch_materializations(wanted, limit=1)
        while page.records:
            found = _materialization(page.records[0])
            if found is not None:
                yield found
            page = self._dagster.fetch_materializations(wanted, limit=1, cursor=page.cursor)

    def version_until(self, asset: str, partition: str, storage_id: int) -> str | None:
        """The data version of the latest materialization up to an event; None where there was none, or it had none."""
        before = dg.AssetRecordsFilter(
            dg.AssetKey(asset), asset_partitions=[partition], before_storage_id=storage_id + 1
        )
        found = [_materialization(one) for one in self._dagster.fetch_materializations(before, limit=1).records]
        return found[0].data_version if found and found[0] is not None else None

    def _wanted(self, asset: str, partition: str, known: Mapping[str, Any]) -> list[str]:
        group = self._together.get(asset, {})
        return [one for one in group if one not in known] if partition in group else [partition]

    def _read_made(self, asset: str, partitions: Sequence[str]) -> dict[str, Materialization]:
        key, storage = dg.AssetKey(asset), self._dagster.event_log_storage
        latest: dict[str, int] = {}
        for some in _parts(partitions):
            latest |= storage.get_latest_storage_id_by_partition(
                key, DagsterEventType.ASSET_MATERIALIZATION, partitions=set(some)
            )
        partition_of = {storage_id: partition for partition, storage_id in latest.items()}
        found: dict[str, Materialization] = {}
        for some in _parts(list(partition_of)):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=some)
            for record in self._dagster.fetch_materializations(wanted, limit=len(some)).records:
                made = _materialization(record)
                if made is not None:
                    found[partition_of[record.storage_id]] = made
        return found

    def _read_checks(self, asset: str, partitions: Sequence[str]) -> dict[str, dict[str, CheckState]]:
        keys = {key.name: key for key in self._checks.get(asset, [])}
        storage: Any = self._dagster.event_log_storage
        found: dict[str, dict[str, CheckState]] = {}
        for some in _parts(partitions) if keys else []:
            with storage.index_connection() as connection:
                rows = connection.execute(_latest_checks(dg.AssetKey(asset), list(keys), some)).mappings().all()
            for row in rows:
                record = AssetCheckExecutionRecord.from_db_row(row, key=keys[row["check_name"]])
                latest = self.materialization(asset, row["partition"])
                found.setdefault(row["partition"], {})[row["check_name"]] = _state(record, latest)
        return found

    def _read_failed(self, asset: str, partitions: Sequence[str]) -> dict[str, str | None]:
        storage = self._dagster.event_log_storage
        attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
            dg.AssetKey(asset)
        )
        failed: set[str] = set()
        for some in _parts(sorted({run_id for run_id, _ in attempts.values()})):
            wanted = dg.RunsFilter(run_ids=some, statuses=[dg.DagsterRunStatus.FAILURE])
            failed |= {run.run_id for run in self._dagster.get_runs(wanted)}
        runs = {one: attempts[one][0] if one in attempts else None for one in partitions}
        return {one: run_id if run_id in failed else None for one, run_id in runs.items()}

    def _failed_of(self, asset: str, partition: str) -> str | None:
        storage = self._dagster.event_log_storage
        planned = storage.get_latest_planned_materialization_info(dg.AssetKey(asset), partition)
        made = self.materialization(asset, partition)
        if planned is None or (made is not None and made.storage_id > planned.storage_id):
            return None
        run = self._dagster.get_run_by_id(planned.run_id)
        return planned.run_id if run is not None and run.status is dg.DagsterRunStatus.FAILURE else None


def _parts(values: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _materialization(record: EventLogRecord) -> Materialization | None:
    event = record.asset_materialization
    if event is None:
        return None
    tags = event.tags or {}
    return Materialization(
        storage_id=record.storage_id,
        run_id=record.event_log_entry.run_id,
        timestamp=record.timestamp,
        metadata={name: value.value for name, value in event.metadata.items()},
        data_version=tags.get("dagster/data_version"),
        tags=tags,
    )


def _latest_checks(asset: dg.AssetKey, names: Sequence[str], partitions: Sequence[str]) -> Any:
    """The latest evaluation of each check in each partition; Dagster's own call asks for one partition at a time."""
    asked = Checks.c.asset_key == asset.to_string(), Checks.c.check_name.in_(names), Checks.c.partition.in_(partitions)
    latest = sql.select(sql.func.max(Checks.c.id)).where(*asked).group_by(Checks.c.check_name, Checks.c.partition)
    return sql.select(Checks).where(Checks.c.id.in_(latest))


def _state(record: AssetCheckExecutionRecord, latest: Materialization | None) -> CheckState:
    finished = record.status in {CheckStatus.SUCCEEDED, CheckStatus.FAILED}
    event = record.event.dagster_event if finished and record.event else None
    evaluation = event.event_specific_data if event else None
    if not isinstance(evaluation, dg.AssetCheckEvaluation):
        return CheckState(finished=False, is_current=False, passed=False, metadata={}, run_id=record.run_id)
    target = evaluation.target_materialization_data
    return CheckState(
        finished=True,
        is_current=latest is not None and target is not None and target.storage_id == latest.storage_id,
        passed=evaluation.passed,
        metadata={name: value.value for name, value in evaluation.metadata.items()},
        run_id=record.run_id,
        timestamp=record.event.timestamp if record.event else 0.0,
    )
