"""The job ``sweep``: every combination of the selected study once, then the leaderboard.

Belongs here: the order of work, what is already done, the exit code. Stays out: assets (``sweeps``).
"""

import atexit
from collections.abc import Callable
from typing import Any

import dagster as dg

from ta_assets.assets.sweeps import CELLS, SweepSource
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import MADE_FROM, Origins, mismatches
from ta_assets.ledger.partitions import Partitions
from ta_assets.pages import plots
from ta_assets.studies.sweep import SweepCell, sweep_cells
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

ASSETS = ("sweep_metrics", "sweep_leaderboard")


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[Any]:
    """The jobs that make one asset each, and ``sweep``."""

    @dg.op(description="Score every combination that is not finished, and rank all of them.")
    def sweep_combinations(
        context: dg.OpExecutionContext,
        store: ArtifactStore,
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
    ) -> None:
        studies = partitions.studies
        study = studies.selected
        cells = sweep_cells(study)
        if not cells:
            raise dg.Failure(f"study {study.name} has no section sweep: {study.path}", allow_retries=False)
        runs.begin(context.instance, store.base, context.log.info)
        context.instance.add_dynamic_partitions(str(CELLS.name), [cell.key for cell in cells])
        world = Origins(studies, rollouts, language_model)
        for setting in study.settings:
            reason = Ledger(context.instance, definitions).work(
                "problem_ids", setting, world.made_from("problem_ids", setting)
            )
            if reason:
                runs.make(definitions(), context.instance, "problem_ids", setting)
        source = SweepSource(world, store, context.log.info)
        failed = []
        for number, cell in enumerate(cells, start=1):
            reason = _owed(Ledger(context.instance, definitions), source, cell)
            if reason is None:
                continue
            result = runs.make(definitions(), context.instance, "sweep_metrics", cell.key)
            what = "finished" if runs.made(result, "sweep_metrics") else "failed"
            failed += [cell.key] if what == "failed" else []
            context.log.info(f"{number} of {len(cells)}: {cell.key} {what} ({reason})")
        result = runs.make(definitions(), context.instance, "sweep_leaderboard", study.name)
        if not runs.made(result, "sweep_leaderboard"):
            raise dg.Failure(f"the leaderboard failed in run {result.run_id}", allow_retries=False)
        atexit.register(print, plots.markdown_table(store.load("sweep_leaderboard", study.name)), flush=True)
        if failed:
            raise dg.Failure(f"{len(failed)} of {len(cells)} combinations failed: {', '.join(failed)}")

    @dg.job(
        name="sweep",
        description="Score every combination of the study's section sweep, each once, and rank them.",
        executor_def=dg.in_process_executor,
        config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
    )
    def sweep() -> None:
        sweep_combinations()

    jobs = [
        dg.define_asset_job(
            runs.job_of(asset),
            selection=dg.AssetSelection.assets(asset),
            description=f"One partition of {asset}.",
            executor_def=dg.in_process_executor,
        )
        for asset in ASSETS
    ]
    return [*jobs, sweep]


def _owed(instance: Ledger, source: SweepSource, cell: SweepCell) -> str | None:
    """Why a combination must be computed; None when it is finished and nothing that decides it has changed."""
    latest = instance.materialization("sweep_metrics", cell.key)
    if latest is None:
        return "never made"
    if not source.store.exists("sweep_metrics", cell.key):
        return "its artifact is gone"
    return "; ".join(mismatches(latest.metadata.get(MADE_FROM) or {}, source.made_from(cell))) or None
