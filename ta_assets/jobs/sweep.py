"""The job ``sweep``: every combination of the selected study once, then the leaderboard.

Belongs here: the order of work, what is already done, the exit code. Stays out: the assets (``assets.sweeps``).
"""

import atexit
from typing import Any

import dagster as dg

from ta_assets.jobs import runs
from ta_assets.ledger.fingerprint import MADE_FROM, mismatches
from ta_assets.ledger.partitions import COMBINATIONS
from ta_assets.ledger.table import Role, made_from, with_role
from ta_assets.ledger.world import World, WorldResource
from ta_assets.pages import plots
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import SweepCell, sweep_cells


def build(study: Study) -> list[Any]:
    """The jobs that make one asset each, and ``sweep`` of a study."""
    number = len(sweep_cells(study))
    asked = f"{number} of them in all" if number else "but it has no such section, so this job fails at once"

    @dg.job(
        name="sweep",
        description=f"Score every combination of the section `sweep` of study **{study.name}**, each once, and rank "
        f"them: {asked}. The study is `{study.path}`.",
        tags={runs.STUDY_TAG: study.name},
        executor_def=dg.in_process_executor,
        config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
    )
    def sweep() -> None:
        sweep_combinations()

    return [*(runs.asset_job(asset) for asset in with_role(Role.SWEEP)), sweep]


@dg.op(description="Score every combination that is not finished, and rank all of them.")
def sweep_combinations(context: dg.OpExecutionContext, world: WorldResource) -> None:
    """Every step of the job."""
    study, definitions = world.studies.selected, world.ledger.definitions()
    cells = sweep_cells(study)
    if not cells:
        raise dg.Failure(f"study {study.name} has no section sweep: {study.path}", allow_retries=False)
    context.log.info(f"sweep of study {study.name}, {len(cells)} combinations: {study.path}")
    world.store.files.check()
    runs.begin(context.instance, world.store.local_folder, study.name, context.log.info)
    context.instance.add_dynamic_partitions(str(COMBINATIONS.name), [cell.key for cell in cells])
    for setting in study.settings:
        if world.ledger.work("problem_ids", setting, made_from(world, "problem_ids", setting)):
            within = runs.Within(context, world, f"problem_ids[{setting}]: computing")
            runs.make(definitions, context.instance, "problem_ids", setting, within=within)
    failed = _scored(context, world, cells)
    within = runs.Within(context, world, f"sweep_leaderboard[{study.name}]: computing")
    result = runs.make(definitions, context.instance, "sweep_leaderboard", study.name, within=within)
    if not runs.made(result, "sweep_leaderboard"):
        raise dg.Failure(f"the leaderboard failed in run {result.run_id}", allow_retries=False)
    table = world.store.load("sweep_leaderboard", study.name)
    atexit.register(print, plots.markdown_table(table), flush=True)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(cells)} combinations failed: {', '.join(failed)}")


def _scored(context: dg.OpExecutionContext, world: World, cells: list[SweepCell]) -> list[str]:
    """Score what is not finished; the keys of the combinations that failed."""
    failed = []
    world.ledger.together({"sweep_metrics": [cell.key for cell in cells]})
    for number, cell in enumerate(cells, start=1):
        reason = _owed(world, cell)
        if reason is None:
            continue
        within = runs.Within(context, world, f"{number} of {len(cells)}: {cell.key}: computing, because: {reason}")
        result = runs.make(world.ledger.definitions(), context.instance, "sweep_metrics", cell.key, within=within)
        what = "finished" if runs.made(result, "sweep_metrics") else "failed"
        failed += [cell.key] if what == "failed" else []
        context.log.info(f"{number} of {len(cells)}: {cell.key} {what} ({reason})")
    return failed


def _owed(world: World, cell: SweepCell) -> str | None:
    """Why a combination must be computed; None when it is finished and nothing that decides it has changed."""
    latest = world.ledger.materialization("sweep_metrics", cell.key)
    if latest is None:
        return "never made"
    if not world.store.exists("sweep_metrics", cell.key):
        return "its artifact is gone"
    now = made_from(world, "sweep_metrics", cell.key)
    return "; ".join(mismatches(latest.metadata.get(MADE_FROM) or {}, now)) or None
