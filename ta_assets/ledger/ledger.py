"""Which cells need work and what is known of them.

It, ``records`` and ``staleness`` are the only modules that touch private or preview Dagster APIs. Tried on Dagster
1.13.27; ``tests/assets/test_staleness.py`` characterizes what is relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._utils.cached_method import cached_method

from ta_assets.core.errors import InputError
from ta_assets.ledger.fingerprint import MADE_FROM, mismatches
from ta_assets.ledger.records import CheckState, Materialization, Records
from ta_assets.ledger.staleness import causes, in_words
from ta_resources.hub_client import HubFailedError
from ta_resources.storage.objects import StoreFailedError

OURS = {InputError.__name__, StoreFailedError.__name__, HubFailedError.__name__}
"""Errors that say all there is to say; Dagster stores an error's class by name."""


@dataclass(eq=False)  # not frozen: it keeps what it has read
class Ledger:
    """A Dagster instance seen through one asset graph; it keeps what it has read until it is forgotten."""

    dagster: dg.DagsterInstance
    definitions: Callable[[], dg.Definitions]
    """The definitions whose graph it is; a call, since assets and checks exist before the definitions do."""

    @cached_property
    def _graph(self) -> Any:
        return self.definitions().resolve_asset_graph()

    @cached_property
    def _records(self) -> Records:
        return Records(self.dagster, self._graph.asset_check_keys)

    def together(self, partitions: Mapping[str, Sequence[str]]) -> None:
        """Read all these partitions of an asset as soon as one of them is asked for.

        Args:
            partitions: by asset.
        """
        for asset, keys in partitions.items():
            self._records.together(asset, keys)

    def forget(self, asset: str, partition: str) -> None:
        """Read a partition anew: a run may have made it since."""
        self._records.forget(asset, partition)

    def parents(self, asset: str, partition: str) -> list[tuple[str, str]]:
        """Every (asset, partition) that this one is made from."""
        return [(parent, key) for parent, keys in self._parents(asset, partition).items() for key in keys]

    @cached_method
    def _parents(self, asset: str, partition: str) -> Mapping[str, list[str]]:
        found = self._graph.get_parents_partitions(dg.AssetKey(asset), partition).parent_partitions
        parents = {key.to_user_string(): [] for key in sorted(self._graph.get(dg.AssetKey(asset)).parent_keys)}
        for one in found:
            parents[one.asset_key.to_user_string()].append(one.partition_key)
        return {parent: sorted(keys) for parent, keys in parents.items()}

    def code_version(self, asset: str) -> str | None:
        """The code version that the asset has now."""
        return self._graph.get(dg.AssetKey(asset)).code_version

    def work(self, asset: str, partition: str, made_from: Mapping[str, Any]) -> str | None:
        """Why this partition must be made again, in words; None when it is up to date."""
        latest = self.materialization(asset, partition)
        if latest is None:
            return "never made"
        if self._records.failed_run(asset, partition) is not None:
            return "its last run failed"
        parents = self._parents(asset, partition)
        old = causes(f"{asset}[{partition}]", latest, self.code_version(asset), parents, self._records)
        return in_words(old or mismatches(latest.metadata.get(MADE_FROM) or {}, made_from))

    def last_failure(self, asset: str, partition: str) -> str | None:
        """Why the latest attempt to make this partition failed; None when it did not."""
        run_id = self._records.failed_run(asset, partition)
        return None if run_id is None else self.failure(run_id, asset)

    def failure(self, run_id: str, asset: str) -> str:
        """Why a run did not make an asset."""
        for entry in self.dagster.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
            event = entry.dagster_event
            if event is not None and event.step_key == asset:
                return _root_cause(event.step_failure_data.error)
        return f"run {run_id} ended without saying why"

    def materialization(self, asset: str, partition: str) -> Materialization | None:
        """The latest materialization of a partition."""
        return self._records.materialization(asset, partition)

    def history(self, asset: str, partition: str) -> Iterator[Materialization]:
        """Every materialization of a partition, the latest first; each is read when it is asked for."""
        return self._records.history(asset, partition)

    def seconds(self, run_id: str, asset: str) -> float:
        """How long a run took to make an asset, without its checks; 0 where the run is gone or did not end."""
        for step in self.dagster.get_run_step_stats(run_id, [asset]):
            if step.start_time is not None and step.end_time is not None:
                return step.end_time - step.start_time
        return 0.0

    def succeeded(self, run_id: str) -> bool:
        """Whether a run came to its end; one that was killed, failed or is still at work did not."""
        run = self.dagster.get_run_by_id(run_id)
        return run is not None and run.status == dg.DagsterRunStatus.SUCCESS

    def check(self, asset: str, name: str, partition: str) -> CheckState | None:
        """The latest evaluation of a check in a partition; None when there is none."""
        return self._records.checks(asset, partition).get(name)

    def report_run(self, context: dg.OpExecutionContext, message: str, run_id: str) -> None:
        """Note in the log of ``context`` that another run begins, with a link to it."""
        self.dagster.report_engine_event(
            message,
            context.run,
            EngineEventData(metadata={"its own log": dg.MetadataValue.dagster_run(run_id)}),
            step_key=context.op.name,
        )

    def began_before(self, run_id: str, other: str) -> bool:
        """Whether a run was begun before another one; not where either is gone."""
        records = [self.dagster.get_run_record_by_id(one) for one in (run_id, other)]
        first, second = (record and record.storage_id for record in records)
        return first is not None and second is not None and first < second

    def report_check(self, context: dg.OpExecutionContext, partition: str, result: dg.AssetCheckResult) -> None:
        """Record an evaluation made outside a check's own step as part of the run of ``context``.

        Dagster's public call for this works once per check and partition only (its rows are unique per run, and an
        evaluation without a run counts as one run).
        """
        if result.asset_key is None or result.check_name is None:
            raise ValueError("the result names no check")
        latest = self.materialization(result.asset_key.to_user_string(), partition)
        target = None
        if latest is not None:
            target = AssetCheckEvaluationTargetMaterializationData(
                storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp
            )
        evaluation = dg.AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=result.check_name,
            passed=result.passed,
            metadata=result.metadata,
            target_materialization_data=target,
            severity=result.severity,
            description=result.description,
            partition=partition,
        )
        self._report_evaluation(context, evaluation)
        self._records.forget_checks(result.asset_key.to_user_string(), partition)

    def report_again(self, context: dg.OpExecutionContext, asset: str, name: str, partition: str) -> None:
        """Make a partition's evaluation the latest of its check, as a part of the run of ``context``.

        By the latest alone Dagster colours the asset in its graph and catalog, whichever partition it is of. Nothing
        happens where it is the latest already, or where that run has evaluated the partition itself.
        """
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        history = self.dagster.event_log_storage.get_asset_check_execution_history
        latest = history(key, limit=1)
        own = history(key, limit=1, partition_filter=PartitionKeyFilter(key=partition))
        if not own or own[0].id == latest[0].id or own[0].run_id == context.run_id or own[0].event is None:
            return
        event = own[0].event.dagster_event
        evaluation = event.event_specific_data if event else None
        if isinstance(evaluation, dg.AssetCheckEvaluation):
            self._report_evaluation(context, evaluation)

    def _report_evaluation(self, context: dg.OpExecutionContext, evaluation: dg.AssetCheckEvaluation) -> None:
        event = DagsterEvent(
            DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=context.job_name,
            step_key=context.op.name,
            event_specific_data=evaluation,
        )
        self.dagster.report_dagster_event(event, run_id=context.run_id)


class OfNoCell(dg.AssetCheckResult):
    """The result of a partitioned check in a run without a partition, of which Dagster itself makes an error."""

    def to_asset_check_evaluation(self, step_context: Any) -> dg.AssetCheckEvaluation:
        """As Dagster stores it."""
        if self.asset_key is None or self.check_name is None:
            raise ValueError("the result names no check")
        return dg.AssetCheckEvaluation(
            asset_key=self.asset_key,
            check_name=self.check_name,
            passed=self.passed,
            metadata=self.metadata,
            severity=self.severity,
            description=self.description,
        )


def _root_cause(error: Any) -> str:
    """Class and message of the cause of a serialized error, on one line: ours, else the innermost.

    Ours was raised from an inner library's because it says more: which file, and what should be there.
    """
    while error is not None and error.cause is not None and error.cls_name not in OURS:
        error = error.cause
    return "" if error is None else " ".join(error.message.split())
