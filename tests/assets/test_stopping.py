"""A request to stop ends the run of a job and what runs inside it, whenever it comes; nothing goes on after it."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from ta_assets.jobs import runs
from ta_assets.ledger.world import WorldResource, world_resource
from ta_assets.studies.loading import load_studies
from ta_resources.engines.resource import EnginesResource
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

CANCELED, SUCCESS = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS
CELLS = ("a", "b")
STOP = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}


@dataclass
class Job:
    """A job that makes two cells in runs of their own and then says so."""

    in_cell: Callable[[str], None] = lambda _: None
    in_op: Callable[[], None] = lambda: None
    made: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def run(self, instance: dg.DagsterInstance) -> dg.DagsterRunStatus:
        """Status of the run of the job."""

        @dg.asset(partitions_def=dg.StaticPartitionsDefinition(list(CELLS)))
        def cell(context: dg.AssetExecutionContext, world: WorldResource) -> None:
            self.in_cell(context.partition_key)
            self.made.append(context.partition_key)

        @dg.op
        def all_cells(context: dg.OpExecutionContext, world: WorldResource) -> None:
            for one in CELLS:
                within = runs.Within(context, world, f"cell[{one}]: computing")
                runs.make(world.ledger.definitions(), context.instance, "cell", one, within=within)
                self.in_op()

        @dg.op(ins={"before": dg.In(dg.Nothing)})
        def verdict(world: WorldResource) -> None:
            self.said.append("OK")

        @dg.job(executor_def=dg.in_process_executor)
        def everything() -> None:
            verdict(before=all_cells())

        definitions = dg.Definitions(
            assets=[cell],
            jobs=[runs.asset_job("cell"), everything],
            resources={
                "store": ArtifactStore(),
                "rollouts": RolloutsResource(),
                "engines": EnginesResource(),
                "language_model": LanguageModelResource(),
                "world": world_resource(load_studies("embedded"), lambda: definitions),
                "io_manager": dg.mem_io_manager,
            },
        )
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = definitions.resolve_job_def("everything")
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet)
        return status_of(instance, result.run_id)


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def inside(instance: dg.DagsterInstance) -> list[dg.DagsterRunStatus]:
    """Of the runs inside, the first first."""
    return [run.status for run in reversed(instance.get_runs(dg.RunsFilter(job_name=runs.job_of("cell"))))]


def stop(name: str) -> None:
    os.kill(os.getpid(), STOP[name])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_nobody_stops_a_job_that_is_left_alone(instance: dg.DagsterInstance) -> None:
    job = Job()
    assert job.run(instance) == SUCCESS
    assert (job.made, job.said, inside(instance)) == ([*CELLS], ["OK"], [SUCCESS, SUCCESS])


@pytest.mark.parametrize("name", STOP)
def test_a_request_while_a_cell_is_made_ends_the_cell_and_the_job(instance: dg.DagsterInstance, name: str) -> None:
    job = Job(in_cell=lambda _: stop(name))
    assert job.run(instance) == CANCELED
    assert (job.made, job.said, inside(instance)) == ([], [], [CANCELED])


@pytest.mark.parametrize("name", STOP)
def test_a_request_between_two_cells_ends_the_job(instance: dg.DagsterInstance, name: str) -> None:
    job = Job(in_op=lambda: stop(name))
    assert job.run(instance) == CANCELED
    assert (job.made, job.said, inside(instance)) == (["a"], [], [SUCCESS])


@pytest.mark.parametrize("event", ["STEP_SUCCESS", "ENGINE_EVENT"])
def test_a_request_while_dagster_keeps_its_books_is_not_lost(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    handle = dg.DagsterInstance.handle_new_event

    def stopping(self: dg.DagsterInstance, entry: dg.EventLogEntry, **rest: Any) -> object:
        known = entry.dagster_event
        if known is not None and known.event_type_value == event and known.job_name == runs.job_of("cell"):
            stop("SIGINT")
        return handle(self, entry, **rest)

    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", stopping)
    job = Job()
    assert job.run(instance) == CANCELED
    assert job.said == []
    assert len(inside(instance)) == 1


def test_a_stopped_job_can_be_run_again(instance: dg.DagsterInstance) -> None:
    asked = [True]
    job = Job(in_cell=lambda _: stop("SIGINT") if asked and asked.pop() else None)
    assert job.run(instance) == CANCELED
    assert job.run(instance) == SUCCESS
    assert job.said == ["OK"]


def test_runs_inside_name_the_job_and_the_study(instance: dg.DagsterInstance) -> None:
    Job().run(instance)
    (outer,) = instance.get_runs(dg.RunsFilter(job_name="everything"))
    inner = instance.get_runs(dg.RunsFilter(job_name=runs.job_of("cell")))
    assert len(inner) == len(CELLS)
    for run in inner:
        assert (run.get_parent_run_id(), run.get_root_run_id()) == (outer.run_id, outer.run_id)
        assert run.tags["study"] == "embedded"
