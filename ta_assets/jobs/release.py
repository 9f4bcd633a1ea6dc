"""The job ``release``: plan, one run a cell, every check, the verdict, the page.

Nothing that fails keeps the verdict away.

No single asset job can do it, since assets have different partitions; so an op for each asset makes those of its
cells that need it in runs of their own (``stage``), and the last op asks for the verdict and decides the exit code.
"""

import atexit
from collections.abc import Mapping
from typing import Any

import dagster as dg

from ta_assets.assets.releases.kept_releases import STEP
from ta_assets.assets.verdicts import RED, RED_ROWS, VERDICT_ASSET, VerdictConfig, read_release
from ta_assets.jobs import runs
from ta_assets.jobs.stage import Outcome, Stage, cells_of_release, crashed, incidents
from ta_assets.ledger.table import ASSETS, Role, partitions_of, with_role
from ta_assets.ledger.world import World, WorldResource
from ta_assets.studies.loading import STUDY_VARIABLE
from ta_assets.studies.readme_file import readme_path, report_path, results_path
from ta_assets.studies.study import Study
from ta_resources.storage.atomic import clear_abandoned

NAME = "release"
(PAGE_ASSET,) = with_role(Role.PAGE)
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
        for asset in (one for one in ASSETS if partitions_of(one, study)):
            outcomes = _step(asset)(outcomes)
        verdict(outcomes)

    return [*(runs.asset_job(asset) for asset in (*ASSETS, VERDICT_ASSET, PAGE_ASSET)), release]


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="Wait for another release to end, and close runs whose process died.",
)
def start(context: dg.OpExecutionContext, world: WorldResource) -> list[Outcome]:
    """What a release does before its first stage."""
    study = world.studies.selected
    context.log.info(f"release of study {study.name}, {len(cells_of_release(study))} cells: {study.path}")
    try:
        runs.begin(context.instance, world.store.base, context.log.info)
        for path in (readme_path, results_path):
            clear_abandoned(path(world.studies.selected, world.store.base).parent, "*")
    except Exception as error:
        return [crashed("start", error)]
    return []


def _step(asset: str) -> dg.OpDefinition:
    @dg.op(
        out=dg.Out(io_manager_key=IN_MEMORY),
        name=f"{STEP}{asset}",
        description=f"Make the cells of {asset} that need it, and evaluate their checks.",
    )
    def make_cells(context: dg.OpExecutionContext, so_far: list[Outcome], world: WorldResource) -> list[Outcome]:
        try:
            return so_far + Stage(context, asset, world, so_far).run()
        except Exception as error:  # the verdict must come whatever happens
            context.log.exception(f"{asset}: the release itself failed")
            return [*so_far, crashed(asset, error)]

    return make_cells


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
    ledger = world.fresh().ledger
    if not runs.made(result, VERDICT_ASSET):
        why = ledger.failure(result.run_id, VERDICT_ASSET)
        raise dg.Failure(f"the verdict of study {study} was not written: {why}", allow_retries=False)
    decision, table = read_release(ledger, study, world.store.base)
    # at the very end: Dagster still has a page of events to print after a failing step
    atexit.register(print, table, flush=True)
    latest = ledger.materialization(VERDICT_ASSET, study)
    faults = _page_faults(context, world.fresh(), study)
    _say(context, decision, table.rstrip().splitlines()[-1], latest.metadata if latest else {})
    if faults:
        raise dg.Failure(f"the page of study {study} cannot be read: {'; '.join(faults)}", allow_retries=False)


def _page_faults(context: dg.OpExecutionContext, world: World, study: str) -> list[str]:
    """Make the page, which shows the verdict and so comes after it; what its own checks say against it."""
    within = runs.Within(context, world, f"{PAGE_ASSET}[{study}]: computing, of the verdict")
    result = runs.make(world.ledger.definitions(), context.instance, PAGE_ASSET, study, within=within)
    if not runs.made(result, PAGE_ASSET):
        return [world.fresh().ledger.failure(result.run_id, PAGE_ASSET)]
    context.log.info(f"page: {report_path(study, world.store.base)}")
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
