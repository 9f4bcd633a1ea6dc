"""The job ``release``: plan, one run a cell, every check, the verdict. Nothing that fails keeps the verdict away.

No single asset job can do it, since assets have different partitions; so an op for each asset makes those of its
cells that need it in runs of their own, and the last op asks for the verdict and decides the exit code.
"""

import atexit
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from ta_assets.assets import activations
from ta_assets.assets.deferrals import deferral_made_from
from ta_assets.assets.readme import block_made_from, current_block, readme_path
from ta_assets.assets.summaries import aggregate_made_from
from ta_assets.assets.verdicts import VERDICT_ASSET, VerdictConfig, read_release
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import Origins
from ta_assets.ledger.partitions import ASSETS, Partitions, partitions_of
from ta_assets.ledger.world import World
from ta_checks import gate
from ta_checks.checks import PARAMETERS, evaluate
from ta_checks.evidence import Evidence
from ta_checks.gate import left_out_cells
from ta_checks.table import invariants_of
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.atomic import clear_abandoned

IN_MEMORY = "in_memory"
"""Key of the IO manager of what the ops tell each other; Dagster's default one would pickle it."""
PARTIAL = {
    ("sentences", "problem_ids"),
    ("activations", "problem_ids"),
    ("aggregate_metrics", "probe_metrics"),
    ("deferral_plan", "probe_metrics"),
    ("scaling_summary", "aggregate_metrics"),
    ("scaling_summary", "probe_comparison"),
}
"""(asset, parent) where some cells of the parent are enough; what is left out is recorded and red."""


@dataclass(frozen=True)
class Outcome:
    """What a release did with one cell, or what stopped it."""

    cell: str
    what: str
    """computed, fresh, failed, left out or crashed."""
    why: str

    @property
    def is_incident(self) -> bool:
        """Whether it makes the verdict NOT OK by itself; a failed cell has a red row of its own as well."""
        return self.what in {"failed", "crashed"}


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[Any]:
    """The jobs that make one asset each, and ``release``."""
    return [*(_asset_job(asset) for asset in (*ASSETS, VERDICT_ASSET)), _release_job(partitions, definitions)]


def _asset_job(asset: str) -> Any:
    return dg.define_asset_job(
        runs.job_of(asset),
        selection=dg.AssetSelection.assets(asset),
        description=f"One partition of {asset}, with its checks.",
        executor_def=dg.in_process_executor,
    )


def _release_job(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> dg.JobDefinition:
    def step(asset: str) -> dg.OpDefinition:
        @dg.op(
            out=dg.Out(io_manager_key=IN_MEMORY),
            name=f"release_{asset}",
            description=f"Make the cells of {asset} that need it, and evaluate their checks.",
        )
        def make_cells(
            context: dg.OpExecutionContext,
            so_far: list[Outcome],
            store: ArtifactStore,
            rollouts: RolloutsResource,
            language_model: LanguageModelResource,
        ) -> list[Outcome]:
            try:
                stage = Stage(context, asset, partitions, definitions, (store, rollouts, language_model))
                return so_far + stage.run()
            except Exception as error:  # the verdict must come whatever happens
                context.log.exception(f"{asset}: the release itself failed")
                return [*so_far, Outcome(asset, "crashed", f"{type(error).__name__}: {error}")]

        return make_cells

    @dg.op(
        out=dg.Out(io_manager_key=IN_MEMORY),
        description="Wait for another release to end, and close runs whose process died.",
    )
    def start(context: dg.OpExecutionContext, store: ArtifactStore) -> list[Outcome]:
        try:
            runs.begin(context.instance, store.base, context.log.info)
            clear_abandoned(readme_path(partitions.studies.selected, store.base).parent, "*")
        except Exception as error:
            return [Outcome("start", "crashed", f"{type(error).__name__}: {error}")]
        return []

    @dg.op(description="Roll up every check of every cell; fails unless the verdict is OK.")
    def verdict(
        context: dg.OpExecutionContext,
        outcomes: list[Outcome],
        store: ArtifactStore,
    ) -> None:
        study = partitions.studies.selected.name
        _log_summary(context, outcomes)
        config = VerdictConfig(
            incidents=[f"{o.cell} {o.what}: {o.why}" for o in outcomes if o.is_incident],
            cells={o.cell: f"{o.what}: {o.why}" if o.why else o.what for o in outcomes},
        )
        result = runs.make(definitions(), context.instance, VERDICT_ASSET, study, config.model_dump())
        instance = Ledger(context.instance, definitions)
        if not runs.made(result, VERDICT_ASSET):
            why = instance.failure(result.run_id, VERDICT_ASSET)
            raise dg.Failure(f"the verdict of study {study} was not written: {why}", allow_retries=False)
        decision, table = read_release(instance, study, store.base)
        # at the very end: Dagster still has a page of events to print after a failing step
        atexit.register(print, table, flush=True)
        if decision != "OK":
            raise dg.Failure(f"the verdict of study {study} is {decision}", allow_retries=False)

    @dg.job(
        name="release",
        description="Bring every cell of the study up to date, evaluate every check, and give the verdict.",
        executor_def=dg.in_process_executor,
        config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
    )
    def release() -> None:
        outcomes = start()
        for asset in ASSETS:
            outcomes = step(asset)(outcomes)
        verdict(outcomes)

    return release


class Stage:
    """All cells of one asset of the selected study."""

    def __init__(
        self,
        context: dg.OpExecutionContext,
        asset: str,
        partitions: Partitions,
        definitions: Callable[[], dg.Definitions],
        resources: tuple[ArtifactStore, RolloutsResource, LanguageModelResource],
    ) -> None:
        self.context, self.asset, self.partitions, self.definitions = context, asset, partitions, definitions
        self.resources = resources

    def run(self) -> list[Outcome]:
        """Handle every cell; a cell that fails is an outcome, not the end."""
        outcomes = []
        for partition in partitions_of(self.asset, self.partitions.studies.selected):
            cell = f"{self.asset}[{partition}]"
            started = time.monotonic()
            try:
                outcome = self._make(cell, partition)
                self._evaluate(partition, always=outcome.what != "computed")
            except Exception as error:
                self.context.log.exception(f"{cell}: the release itself failed")
                outcome = Outcome(cell, "crashed", f"{type(error).__name__}: {error}")
            if outcome.what != "fresh":
                self.context.log.info(f"{cell} {outcome.what} in {time.monotonic() - started:.1f} s: {outcome.why}")
            outcomes.append(outcome)
        return outcomes

    @property
    def _sources(self) -> World:
        # a new view each time: what it has read is out of date after a run
        return World(self.partitions.studies, *self.resources, Ledger(self.context.instance, self.definitions))

    def _make(self, cell: str, partition: str) -> Outcome:
        world = self._sources
        shut = self._shut(world.ledger, partition)
        if shut:
            return Outcome(cell, "left out", shut)
        reason = world.ledger.work(self.asset, partition, expected_made_from(world, self.asset, partition))
        if reason is None and self.asset == "activations":
            latest = world.ledger.materialization(self.asset, partition)
            reason = activations.owed(latest.metadata.get("skipped_kinds") or {}) if latest else None
        if reason is None:
            return Outcome(cell, "fresh", "")
        result = runs.make(self.definitions(), self.context.instance, self.asset, partition)
        if runs.made(result, self.asset):
            return Outcome(cell, "computed", reason)
        why = Ledger(self.context.instance, self.definitions).last_failure(self.asset, partition)
        return Outcome(cell, "failed", why or f"run {result.run_id} made nothing")

    def _shut(self, instance: Ledger, partition: str) -> str | None:
        parents = instance.parents(self.asset, partition)
        shut = {parent: gate.closed(instance, *parent) for parent in parents}
        reasons = [why for (parent, _), why in shut.items() if why and (self.asset, parent) not in PARTIAL]
        for parent in {name for name, _ in parents if (self.asset, name) in PARTIAL}:
            whys = [why for (name, _), why in shut.items() if name == parent]
            if all(whys):
                reasons += [why for why in whys if why]
        return "; ".join(reasons) or None

    def _evaluate(self, partition: str, *, always: bool) -> None:
        """Evaluate the checks that a fresh cell owes: those of every release, and those that have no valid answer."""
        world = self._sources
        if world.ledger.materialization(self.asset, partition) is None:
            return
        for invariant in invariants_of(self.asset, world.studies.selected):
            state = world.ledger.check(self.asset, invariant.name, partition)
            if state is not None and state.finished and state.is_current:
                owed = invariant.every_release or state.metadata.get("status") == "errored"
                same = state.metadata.get(PARAMETERS) == invariant.parameters(world.studies.selected)
                if same and not (always and owed):
                    continue
            evidence = Evidence(self.asset, partition, world)
            world.ledger.report_check(self.context, partition, evaluate(invariant, evidence))


def expected_made_from(world: World, asset: str, partition: str) -> dict[str, Any]:
    """What a partition would be made from now; see ``Origins.made_from``, whose assets do not read check results."""
    if asset == "readme_block":
        return block_made_from(current_block(world, partition))
    if asset == "aggregate_metrics":
        left_out = left_out_cells(world.ledger, partition)
        return aggregate_made_from(world.studies.by_setting[partition], left_out)
    if asset == "deferral_plan":
        left_out = left_out_cells(world.ledger, partition)
        return deferral_made_from(world.studies.by_setting[partition], left_out)
    return Origins(world.studies, world.rollouts, world.language_model).made_from(asset, partition)


def _log_summary(context: dg.OpExecutionContext, outcomes: list[Outcome]) -> None:
    computed = [outcome for outcome in outcomes if outcome.what == "computed"]
    fresh = [outcome for outcome in outcomes if outcome.what == "fresh"]
    if computed:
        context.log.info(f"{len(computed)} cells computed, {len(fresh)} were up to date")
    else:
        context.log.info(f"nothing changed: no cell was computed, {len(fresh)} were up to date")
