"""Runs inside runs: one partition of one asset on the same instance, and what a job does before it begins them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.ledger.progress import told_to
from ta_assets.ledger.world import World
from ta_resources.instance_storage import PARENT_TAG, ROOT_TAG
from ta_resources.interrupts import at_checkpoints, noticed
from ta_resources.run_owners import WITHIN_TAG, close_dead, owner_tags
from ta_resources.storage.atomic import clear_abandoned
from ta_resources.turns import wait_for_turn

STUDY_TAG = "study"
"""Tag of the runs of the jobs, and of those inside them."""


@dataclass(frozen=True)
class Within:
    """The run of a job that a run inside belongs to, and what its log says of that one before it begins."""

    context: dg.OpExecutionContext
    world: World
    saying: str

    @property
    def tags(self) -> dict[str, str]:
        """Tags by which Dagster groups the runs of a job, and by which those of a study are found."""
        run = self.context.run
        return {
            STUDY_TAG: self.world.studies.selected.name,
            PARENT_TAG: run.run_id,
            WITHIN_TAG: run.run_id,
            ROOT_TAG: run.tags.get(ROOT_TAG, run.run_id),
        }

    def announce(self, run_id: str) -> None:
        """Say what begins, with a link to its run."""
        message = f"{self.saying}, run {run_id}"
        self.context.log.info(message)
        self.world.ledger.report_run(self.context, message, run_id)


def make(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    asset: str,
    partition: str,
    config: Mapping[str, Any] | None = None,
    within: Within | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize one partition of an asset, with its checks, in a run of its own; failures are in the result.

    Raises:
        DagsterExecutionInterruptedError: the process was asked to stop meanwhile.
    """
    run_id = str(uuid.uuid4())
    with ExitStack() as stack:
        stopped = stack.enter_context(noticed())
        stack.enter_context(at_checkpoints())
        if within is not None:
            within.announce(run_id)
            stack.enter_context(told_to(within.context.log.info))
        result = definitions.resolve_job_def(job_of(asset)).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            tags={"dagster/partition": partition, **owner_tags(), **(within.tags if within else {})},
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                **({"ops": {asset: {"config": dict(config)}}} if config else {}),
            },
        )
        if stopped():  # the run inside has taken the interrupt for itself, and may end like one that failed
            run = instance.get_run_by_id(run_id)
            if run is not None and run.status not in {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED}:
                instance.report_run_canceled(run, message="the job around it was asked to stop")
            raise dg.DagsterExecutionInterruptedError(f"asked to stop while run {run_id} was at work")
    return result


def made(result: dg.ExecuteInProcessResult, asset: str) -> bool:
    """Whether a run materialized the asset, whatever its checks said."""
    return any(event.is_step_success and event.step_key == asset for event in result.all_events)


def job_of(asset: str) -> str:
    """Name of the job that materializes an asset."""
    return f"make_{asset}"


def asset_job(asset: str) -> Any:
    """The job that materializes one partition of an asset, with its checks."""
    return dg.define_asset_job(
        job_of(asset),
        selection=dg.AssetSelection.assets(asset),
        description=f"One partition of {asset}, with its checks. The job `release` does this wherever it is needed.",
        executor_def=dg.in_process_executor,
    )


def begin(instance: dg.DagsterInstance, folder: Path, study: str, log: Callable[[str], None]) -> None:
    """What a job that makes many cells does first: wait for its turn, then clean up after processes that died.

    Args:
        instance: where the job runs.
        folder: of all artifacts.
        study: whose cells they are.
        log: receives what was waited for, closed and removed.

    Raises:
        InputError: the folder may not be written, or the database cannot be reached.
    """
    wait_for_turn(instance, folder, study, log)
    close_dead(instance, log)
    for path in clear_abandoned(folder):
        log(f"{path} is gone: the process that wrote it died before it was complete")
