"""The job ``release``: plan, one run a cell, every check, the verdict, the page.

Nothing that fails keeps the verdict away.

No single asset job can do it, since assets have different partitions; so an op for each asset makes those of its
cells that need it in runs of their own (``stage``), and the last op asks for the verdict and decides the exit code.
"""

import atexit
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from ta_assets.assets.releases.kept_releases import STEP
from ta_assets.assets.verdicts import RED, RED_ROWS, VERDICT_ASSET, VerdictConfig, read_release
from ta_assets.jobs import batches, queue, runs
from ta_assets.jobs.stage import Outcome, Stage, cell_name, cells_of_release, crashed, incidents
from ta_assets.ledger.table import ASSETS, FACTS, Role, partitions_of, with_role
from ta_assets.ledger.world import World, WorldResource
from ta_assets.studies.loading import STUDY_VARIABLE
from ta_assets.studies.readme_file import readme_path, report_path, results_path
from ta_assets.studies.study import Study
from ta_resources.storage.atomic import clear_abandoned

NAME = "release"
(PAGE_ASSET,) = with_role(Role.PAGE)
LIGHT = tuple(asset for asset in ASSETS if FACTS[asset].light)
"""Assets that a release makes itself, whoever makes the others; the first ones."""
LOGGED = 20
"""Red rows in the log of a release; the verdict has all of them."""
IN_MEMORY = "in_memory"
"""Key of the IO manager of what the ops tell each other; Dagster's default one would pickle it."""


def build(study: Study) -> list[Any]:
    """The jobs that make one asset each, and ``release`` of a study."""

    @dg.job(
        name=NAME,
        description=f"Bring every cell of study **{study.name}** up to date, evaluate every check, and give the "
        f"verdict. It is the one job to press; it asks for nothing. The study is `{study.path}`, and another one is "
        f"chosen by `{STUDY_VARIABLE}` when Dagster starts.",
        tags={runs.STUDY_TAG: study.name},
        executor_def=dg.in_process_executor,
        config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
    )
    def release() -> None:
        outcomes = start()
        for asset in (one for one in LIGHT if partitions_of(one, study)):
            outcomes = _step(asset)(outcomes)
        outcomes = runner(outcomes)
        for asset in ASSETS[len(LIGHT) :]:
            outcomes = _step(asset)(outcomes)
        verdict(outcomes)

    @dg.job(
        name=batches.BATCH_JOB,
        description="Make several cells, one after the other, each where it needs it. A release whose runner is the "
        "queue begins such runs.",
        tags={runs.STUDY_TAG: study.name},
        executor_def=dg.in_process_executor,
    )
    def make_cells() -> None:
        make_batch()

    return [*(runs.asset_job(asset) for asset in (*ASSETS, VERDICT_ASSET, PAGE_ASSET)), release, make_cells]


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="Wait for another release to end, and close runs whose process died.",
)
def start(context: dg.OpExecutionContext, world: WorldResource) -> list[Outcome]:
    """What a release does before its first stage."""
    study = world.studies.selected
    context.log.info(f"release of study {study.name}, {len(cells_of_release(study))} cells: {study.path}")
    world.store.files.check()  # without it not even a verdict could be kept
    try:
        runs.begin(context.instance, world.store.local_folder, study.name, context.log.info)
        for path in (readme_path, results_path):
            clear_abandoned(path(world.studies.selected, world.store.local_folder).parent, "*")
    except Exception as error:
        return [crashed("start", error)]
    return []


class Runner(Enum):
    """Who makes cells."""

    in_process = "in_process"
    queued = "queued"


class RunnerConfig(dg.Config):
    """Who makes cells; nothing of it changes what is made."""

    kind: Runner = Field(
        default=Runner.in_process,
        description="in_process: this process, one cell at a time, without a daemon. queued: runs of the job "
        f"{batches.BATCH_JOB} that the instance's queue starts, so many at once as it allows.",
    )
    location: str = Field(
        default="ta_assets.definitions", description="Name of the code location that the queue's workers load."
    )
    tags: dict[str, dict[str, str]] = Field(
        default={}, description="Asset -> tags of queued runs that make it, such as the GPU that a launcher gives."
    )


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="With the runner `queued`, let the queue make what is to be made and wait for it.",
)
def runner(
    context: dg.OpExecutionContext, config: RunnerConfig, so_far: list[Outcome], world: WorldResource
) -> list[Outcome]:
    """What happens between the cells that are made in a moment and all others."""
    try:
        if config.kind is Runner.in_process:
            batches.let_others_end(context, world.studies.selected.name)
            return so_far
        batches.require_queue(context.instance)
        return so_far + queue.Waiter(context, world, queue.Queue(config.location, config.tags)).run()
    except Exception as error:  # the verdict must come whatever happens
        context.log.exception("the queue failed")
        return [*so_far, crashed("runner", error)]


class BatchConfig(dg.Config):
    """What a run of several cells is to make."""

    cells: list[str] = Field(description="asset[partition], in the order in which they can be made.")


@dg.op(out=dg.Out(io_manager_key=IN_MEMORY), description="Make cells, each in a run of its own inside this one.")
def make_batch(context: dg.OpExecutionContext, config: BatchConfig, world: WorldResource) -> list[Outcome]:
    """The one step of ``make_cells``."""
    outcomes = Stage(context, world).run([batches.node_of(cell) for cell in config.cells])
    context.add_output_metadata({batches.OUTCOMES: [asdict(outcome) for outcome in outcomes]})
    return outcomes


def _step(asset: str) -> dg.OpDefinition:
    @dg.op(
        out=dg.Out(io_manager_key=IN_MEMORY),
        name=f"{STEP}{asset}",
        description=f"Make the cells of {asset} that need it, and evaluate their checks.",
    )
    def step(context: dg.OpExecutionContext, so_far: list[Outcome], world: WorldResource) -> list[Outcome]:
        try:
            done = {outcome.cell for outcome in so_far}
            cells = [(asset, partition) for partition in partitions_of(asset, world.studies.selected)]
            return so_far + Stage(context, world, so_far).run([one for one in cells if cell_name(one) not in done])
        except Exception as error:  # the verdict must come whatever happens
            context.log.exception(f"{asset}: the release itself failed")
            return [*so_far, crashed(asset, error)]

    return step


@dg.op(description="Roll up every check of every cell; fails unless the verdict is OK.")
def verdict(context: dg.OpExecutionContext, outcomes: list[Outcome], world: WorldResource) -> None:
    """What a release does after its last stage."""
    study = world.studies.selected.name
    _log_summary(context, outcomes)
    config = VerdictConfig(
        incidents=incidents(outcomes),
        cells={o.cell: f"{o.what}: {o.why}" if o.why else o.what for o in outcomes},
        run=context.run_id,
    )
    within = runs.Within(context, world, f"{VERDICT_ASSET}[{study}]: computing")
    definitions = world.ledger.definitions()
    result = runs.make(definitions, context.instance, VERDICT_ASSET, study, config.model_dump(), within)
    ledger = world.ledger
    ledger.forget(VERDICT_ASSET, study)
    if not runs.made(result, VERDICT_ASSET):
        why = ledger.failure(result.run_id, VERDICT_ASSET)
        raise dg.Failure(f"the verdict of study {study} was not written: {why}", allow_retries=False)
    decision, table = read_release(ledger, study, world.store.local_folder)
    # at the very end: Dagster still has a page of events to print after a failing step
    atexit.register(print, table, flush=True)
    latest = ledger.materialization(VERDICT_ASSET, study)
    faults = _page_faults(context, world, study)
    _say(context, decision, table.rstrip().splitlines()[-1], latest.metadata if latest else {})
    if faults:
        raise dg.Failure(f"the page of study {study} cannot be read: {'; '.join(faults)}", allow_retries=False)


def _page_faults(context: dg.OpExecutionContext, world: World, study: str) -> list[str]:
    """Make the page, which shows the verdict and so comes after it; what its own checks say against it."""
    within = runs.Within(context, world, f"{PAGE_ASSET}[{study}]: computing, of the verdict")
    result = runs.make(world.ledger.definitions(), context.instance, PAGE_ASSET, study, within=within)
    if not runs.made(result, PAGE_ASSET):
        return [world.ledger.failure(result.run_id, PAGE_ASSET)]
    context.log.info(f"page: {report_path(study, world.store.local_folder)}")
    judged = result.get_asset_check_evaluations()
    red = [f"{one.check_name}: {one.description or 'does not hold'}" for one in judged if not one.passed]
    return red if judged else ["no check of it was evaluated"]


def _say(context: dg.OpExecutionContext, decision: str, summary: str, recorded: Mapping[str, Any]) -> None:
    """The verdict on the page of the run: what is red, what to do, where to look.

    Raises:
        Failure: it is not OK.
    """
    if decision == "OK":
        context.log.info(summary)
        return
    rows = recorded[RED_ROWS]
    for row in rows[:LOGGED]:
        context.log.error("{check} of {cell} {status}: {message} What it means: {advice}".format(**row))
    if len(rows) > LOGGED:
        context.log.error(f"and {len(rows) - LOGGED} more, in the verdict")
    places = [VERDICT_ASSET, PAGE_ASSET, *dict.fromkeys(row["asset"] for row in rows)]
    raise dg.Failure(
        summary,
        metadata={
            "red": dg.MetadataValue.md(recorded[RED]),
            **{f"go to {asset}": dg.MetadataValue.asset(dg.AssetKey(asset)) for asset in places},
        },
        allow_retries=False,
    )


def _log_summary(context: dg.OpExecutionContext, outcomes: list[Outcome]) -> None:
    computed = [outcome for outcome in outcomes if outcome.what == "computed"]
    fresh = [outcome for outcome in outcomes if outcome.what == "fresh"]
    left_out = [outcome for outcome in outcomes if outcome.what == "left out"]
    if left_out:
        first = f"{left_out[0].cell}: {left_out[0].why}"
        context.log.info(f"{len(left_out)} cells were left out, since what they are made of is missing; first {first}")
    if computed:
        context.log.info(f"{len(computed)} cells computed, {len(fresh)} were up to date")
    else:
        context.log.info(f"nothing changed: no cell was computed, {len(fresh)} were up to date")
