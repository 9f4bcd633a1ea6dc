"""Runs of the job ``make_cells``: what they were given, what they say, and whether anybody starts them.

Stays out: which cells a run is given, and when (``queue``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from ta_assets.core.errors import InputError
from ta_assets.jobs.runs import STUDY_TAG
from ta_assets.jobs.stage import Outcome, cell_name
from ta_assets.ledger.table import Node
from ta_resources.run_owners import close_dead, close_lost

BATCH_JOB, BATCH_OP = "make_cells", "make_batch"
BATCH_TAG = "thought_anchors/batch"
"""Tag of runs that make several cells, with the asset of the first; a limit on it limits how many run at once."""
OUTCOMES = "outcomes"
"""Name of the metadata with which such a run says what it did with each cell."""
DAEMON = "QUEUED_RUN_COORDINATOR"
"""Dagster's name of what takes runs from the queue."""
NO_DAEMON_SECONDS = 300.0
"""How long runs may wait in a queue that nobody serves."""
POLL_SECONDS = 2.0


def node_of(cell: str) -> Node:
    """The asset and partition of ``asset[partition]``."""
    asset, _, partition = cell.partition("[")
    return asset, partition.removesuffix("]")


def unfinished(instance: dg.DagsterInstance, study: str) -> list[dg.DagsterRun]:
    """Runs that are to make cells of a study, or are at it."""
    wanted = dg.RunsFilter(job_name=BATCH_JOB, tags={STUDY_TAG: study}, statuses=NOT_FINISHED_STATUSES)
    return list(instance.get_runs(wanted))


def require_queue(instance: dg.DagsterInstance) -> None:
    """See that runs can be given to the instance's queue.

    Raises:
        InputError: it has none, or its limit leaves no room beside the release itself, which it counts.
    """
    coordinator = instance.run_coordinator
    if not isinstance(coordinator, QueuedRunCoordinator):
        raise InputError("dagster.yaml", "run_coordinator", type(coordinator).__name__, "QueuedRunCoordinator")
    most = instance.get_concurrency_config().run_queue_config
    if most is not None and most.max_concurrent_runs in (0, 1):
        expected = f"at least 2, since the release is a run as well, or -1 and a limit on the tag {BATCH_TAG}"
        raise InputError("dagster.yaml", "concurrency.runs.max_concurrent_runs", most.max_concurrent_runs, expected)


def let_others_end(context: dg.OpExecutionContext, study: str) -> None:
    """What a release that makes cells itself does about runs of one that did not: they leave the queue, or end."""
    instance = context.instance
    for run in unfinished(instance, study):
        if run.status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED):
            context.log.info(f"run {run.run_id} leaves the queue: this release makes its cells itself")
            instance.report_run_canceled(run)
        else:
            context.log.info(f"waiting for run {run.run_id}, which makes {in_short(cells_of_run(run))}")
            while any(one.run_id == run.run_id for one in unfinished(instance, study)):
                time.sleep(POLL_SECONDS)
                close_dead(instance, context.log.info)
                close_lost(instance, run, context.log.info)


def cells_of_run(run: dg.DagsterRun) -> list[Node]:
    """What a run was given to make."""
    return [node_of(cell) for cell in run.run_config["ops"][BATCH_OP]["config"]["cells"]]  # type: ignore[index]


def in_short(batch: Sequence[Node]) -> str:
    more = f" and {len(batch) - 1} more cells" if len(batch) > 1 else ""
    return f"{cell_name(batch[0])}{more}"


def outcomes_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, Outcome]:
    """Cell -> outcome, as a run of ``make_cells`` said them; empty where it died before."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_OUTPUT):
        event = entry.dagster_event
        data: Any = event.event_specific_data if event else None
        if event is not None and event.step_key == BATCH_OP and OUTCOMES in data.metadata:
            return {one["cell"]: Outcome(**one) for one in data.metadata[OUTCOMES].value}
    return {}


def is_served(instance: dg.DagsterInstance) -> bool:
    beat = instance.get_daemon_heartbeats().get(DAEMON)
    return beat is not None and time.time() - beat.timestamp < NO_DAEMON_SECONDS
