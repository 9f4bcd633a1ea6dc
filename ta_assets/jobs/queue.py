"""The runner ``queued``: cells are made by runs of the job ``make_cells``, which the instance's own queue starts.

Belongs here: which cells can begin, what a run is given, waiting for it. Stays out: how a cell is made (``stage``).

A cell begins as soon as its parents are settled, whatever other settings wait for. A run is given all that can follow
in one go, the cells of a setting, since each run pays for its imports. Its id says what is to be made of what: a waiter
that was killed and started again, or a second one, finds the run there and makes nothing twice.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from ta_assets.assets.expected import expected_made_from, why_left_out, why_made
from ta_assets.core.errors import InputError
from ta_assets.jobs import runs
from ta_assets.jobs.batches import (
    BATCH_JOB,
    BATCH_OP,
    BATCH_TAG,
    NO_DAEMON_SECONDS,
    POLL_SECONDS,
    cells_of_run,
    in_short,
    is_served,
    outcomes_of,
    unfinished,
)
from ta_assets.jobs.stage import Outcome, cell_name, owed
from ta_assets.ledger.table import ASSETS, FACTS, Node, Scope, partitions_of, read_together
from ta_assets.ledger.world import World
from ta_resources.hub_client import HubFailedError
from ta_resources.instance_storage import PARENT_TAG, ROOT_TAG
from ta_resources.run_owners import close_dead, close_lost

ATTEMPTS = 3
"""Runs that are begun for a cell when they end without a word of it."""
_IDS = uuid.UUID("6a0b3b8e-4a2c-4d0e-9d4e-1f6b2f0a7c55")


@dataclass(frozen=True)
class Queue:
    """How runs are given to the queue."""

    location: str
    """Name of the code location that the workers load."""
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Asset -> tags of the runs that make it, such as the device that a launcher gives them."""
    poll_seconds: float = POLL_SECONDS


class Waiter:
    """Gives cells to the queue until none is left that can be made, and waits for them."""

    def __init__(self, context: dg.OpExecutionContext, world: World, queue: Queue) -> None:
        """``world`` is the run's."""
        self._context, self._world, self._queue = context, world, queue
        study = world.studies.selected
        read_together(world, study)
        assets = [asset for asset in ASSETS if not FACTS[asset].light and FACTS[asset].scope is not Scope.STUDY]
        self._order = [(asset, partition) for asset in assets for partition in partitions_of(asset, study)]
        self._cells = frozenset(self._order)
        self._settled: set[Node] = set()
        self._tries: Counter[Node] = Counter()
        self._outcomes: dict[Node, Outcome] = {}
        self._at_work: dict[str, list[Node]] = {}
        self._said = ""
        self._served = time.monotonic()

    def run(self) -> list[Outcome]:
        """What runs did with the cells that they were given; whatever else there is to do is left to the stages.

        Raises:
            InputError: nobody serves the queue.
            DagsterExecutionInterruptedError: the process was asked to stop meanwhile; the runs are asked as well.
        """
        for run in unfinished(self._context.instance, self._world.studies.selected.name):
            self._context.log.info(f"run {run.run_id} is taken over: it is to make {in_short(cells_of_run(run))}")
            self._take(run)
        try:
            while True:
                for batch in self._batches():
                    self._submit(batch)
                if not self._at_work:
                    return list(self._outcomes.values())
                time.sleep(self._queue.poll_seconds)
                self._look()
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
            for run_id in self._at_work:
                self._context.instance.run_coordinator.cancel_run(run_id)
            raise

    def _batches(self) -> list[list[Node]]:
        """Cells that can be made now, those of a setting together, with what can follow in the same run."""
        begun = {node for nodes in self._at_work.values() for node in nodes}
        batches: dict[object, list[Node]] = {}
        for node in self._order:
            if node in self._settled or node in begun:
                continue
            batch = batches.get(_group(node), [])
            parents = [one for one in self._world.ledger.parents(*node) if one in self._cells]
            if any(one not in self._settled and one not in batch for one in parents):
                continue
            if batch or self._needs_a_run(node):
                batches.setdefault(_group(node), []).append(node)
            else:
                self._settled.add(node)
        return list(batches.values())

    def _needs_a_run(self, node: Node) -> bool:
        try:
            if why_left_out(self._world, *node) is not None:
                return False
            if why_made(self._world, *node) is not None:
                return True
        except (InputError, HubFailedError):  # the stage meets it as well, and says so
            return False
        return any(not invariant.every_release for invariant in owed(self._world, node, always=True))

    def _submit(self, batch: list[Node]) -> None:
        instance, attempt = self._context.instance, 0
        while (run := instance.get_run_by_id(run_id := self._id_of(batch, attempt))) is not None and run.is_finished:
            attempt += 1
        self._tries.update(batch)
        self._take(run or self._created(run_id, batch))
        self._context.log.info(f"run {run_id} is to make {in_short(batch)}")

    def _id_of(self, batch: Sequence[Node], attempt: int) -> str:
        """The same for two that want the same made of the same."""
        ledger = self._world.ledger
        latest = {
            cell_name(node): [one and one.storage_id for one in (ledger.materialization(*near) for near in nodes)]
            for node, nodes in ((node, [node, *ledger.parents(*node)]) for node in batch)
        }
        return str(uuid.uuid5(_IDS, json.dumps([self._world.studies.selected.name, latest, attempt], sort_keys=True)))

    def _created(self, run_id: str, batch: Sequence[Node]) -> dg.DagsterRun:
        instance, own = self._context.instance, self._context.run
        location = RegisteredCodeLocationOrigin(self._queue.location)
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), BATCH_JOB)
        wanted = {name: tag for asset, _ in batch for name, tag in self._queue.tags.get(asset, {}).items()}
        try:
            return instance.create_run_for_job(
                self._world.ledger.definitions().resolve_job_def(BATCH_JOB),
                run_id=run_id,
                run_config={"ops": {BATCH_OP: {"config": {"cells": [cell_name(node) for node in batch]}}}},
                status=dg.DagsterRunStatus.NOT_STARTED,
                tags={
                    runs.STUDY_TAG: self._world.studies.selected.name,
                    BATCH_TAG: batch[0][0],
                    PARENT_TAG: own.run_id,
                    ROOT_TAG: own.tags.get(ROOT_TAG, own.run_id),
                    **wanted,
                },
                remote_job_origin=origin,
                job_code_origin=own.job_code_origin and own.job_code_origin._replace(job_name=BATCH_JOB),
            )
        except DagsterRunAlreadyExists:  # another waiter wants the same
            found = instance.get_run_by_id(run_id)
            if found is None:
                raise
            return found

    def _take(self, run: dg.DagsterRun) -> None:
        if run.status is dg.DagsterRunStatus.NOT_STARTED:  # new, or its waiter died before it was in the queue
            self._context.instance.submit_run(run.run_id, workspace=None)  # pyright: ignore[reportArgumentType]
        self._at_work[run.run_id] = cells_of_run(run)

    def _look(self) -> None:
        """See which runs have ended, and that the others can."""
        instance = self._context.instance
        close_dead(instance, self._context.log.info)
        for run in unfinished(instance, self._world.studies.selected.name):
            close_lost(instance, run, self._context.log.info)
        found = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=list(self._at_work)))}
        for run_id in [one for one in self._at_work if one not in found or found[one].is_finished]:
            self._settle(run_id, found.get(run_id), self._at_work.pop(run_id))
        counts = Counter(found[one].status.value for one in self._at_work)
        said = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
        if said and said != self._said:
            self._context.log.info(f"waiting for runs of {BATCH_JOB}: {said}")
        self._said = said
        if not counts[dg.DagsterRunStatus.QUEUED.value] or is_served(instance):
            self._served = time.monotonic()
        elif time.monotonic() - self._served > NO_DAEMON_SECONDS:
            expected = "the instance's daemon at work: start `dagster-daemon run`, then release again"
            raise InputError("the queue of runs", "daemon", f"none for {NO_DAEMON_SECONDS:.0f} s", expected)

    def _settle(self, run_id: str, run: dg.DagsterRun | None, batch: Iterable[Node]) -> None:
        """Take over what a run that has ended says; a cell of which it says nothing is tried again."""
        told = outcomes_of(self._context.instance, run_id)
        how = "was deleted" if run is None else f"ended as {run.status.value}"
        stopped = run is not None and run.status is dg.DagsterRunStatus.CANCELED
        for node in batch:
            self._world.ledger.forget(*node)
            outcome = told.get(cell_name(node))
            if (
                self._tries[node] == 0
            ):  # begun by another release, whose study may have been another one: looked at anew
                continue
            if outcome is None and (stopped or self._tries[node] >= ATTEMPTS):
                outcome = Outcome(cell_name(node), "failed", f"run {run_id}, which was to make it, {how}")
            if outcome is not None:
                self._outcomes[node] = self._believed(node, outcome)
                self._settled.add(node)
        if not told:
            self._context.log.warning(f"run {run_id} {how} before it said what it made")

    def _believed(self, node: Node, outcome: Outcome) -> Outcome:
        """The outcome, or that what was made is not what this release asks for."""
        if outcome.what != "computed":
            return outcome
        reason = self._world.ledger.work(*node, expected_made_from(self._world, *node))
        if reason is None:
            return outcome
        why = f"a worker made it, yet it is to be made, because: {reason}; do workers load the same study and code?"
        return Outcome(outcome.cell, "failed", why)


def _group(node: Node) -> object:
    """Cells of one group may be made by one run: those of a setting; of whole corpora, each alone."""
    asset, partition = node
    return partition.rpartition("|")[2] if FACTS[asset].scope is not Scope.CORPUS else node
