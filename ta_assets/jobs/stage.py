"""One stage of a release: all cells of one asset of the selected study, each made where it needs it, then checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from ta_assets.assets.expected import why_left_out, why_made
from ta_assets.core.errors import InputError
from ta_assets.jobs import runs
from ta_assets.ledger.table import ASSETS, partitions_of, read_together
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.checks import PARAMETERS, evaluate
from ta_checks.evidence import Evidence
from ta_checks.table import invariants_of
from ta_checks.verdict import VERDICT
from ta_resources.hub_client import HubFailedError

LOST = ("failed", "crashed", "left out")
"""What keeps everything that is made of a cell from being made."""


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


def cells_of_release(study: Study) -> list[str]:
    """Every cell that a release of a study looks after, in its order, as ``asset[partition]``."""
    return [f"{asset}[{partition}]" for asset in ASSETS for partition in partitions_of(asset, study)]


def incidents(outcomes: Sequence[Outcome]) -> list[str]:
    """What makes the verdict NOT OK by itself; cells that crashed for one reason are one incident."""
    cells: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.is_incident:
            cells.setdefault((outcome.what, outcome.why), []).append(outcome.cell)
    return [
        f"{of[0]}{f' and {len(of) - 1} more cells' if len(of) > 1 else ''} {what}: {why}"
        for (what, why), of in cells.items()
    ]


def crashed(cell: str, error: Exception) -> Outcome:
    """The outcome of what the release itself could not do."""
    return Outcome(cell, "crashed", f"{type(error).__name__}: {error}")


class Stage:
    """All cells of one asset of the selected study."""

    def __init__(
        self, context: dg.OpExecutionContext, asset: str, world: World, so_far: Sequence[Outcome] = ()
    ) -> None:
        """``world`` is the run's; ``so_far`` are the outcomes of the stages before this one."""
        self.context, self.asset, self.world = context, asset, world
        read_together(world, world.studies.selected)
        self.said = {outcome.why for outcome in so_far}
        self.lost = {outcome.cell for outcome in so_far if outcome.what in LOST}

    def run(self) -> list[Outcome]:
        """Handle every cell; a cell that fails is an outcome, not the end."""
        outcomes, cells = [], cells_of_release(self.world.studies.selected)
        for partition in partitions_of(self.asset, self.world.studies.selected):
            cell = f"{self.asset}[{partition}]"
            started = time.monotonic()
            try:
                outcome = self._make(cell, partition, f"cell {cells.index(cell) + 1} of {len(cells)}")
                self._evaluate(partition, always=outcome.what != "computed")
            except (InputError, HubFailedError) as error:  # it says all there is to say, of many cells maybe
                outcome = crashed(cell, error)
            except Exception as error:
                self.context.log.exception(f"{cell}: the release itself failed")
                outcome = crashed(cell, error)
            if not self._is_known(outcome, partition):
                self.context.log.info(f"{cell} {outcome.what} in {time.monotonic() - started:.1f} s: {outcome.why}")
            self.said.add(outcome.why)
            outcomes.append(outcome)
        return outcomes

    def _is_known(self, outcome: Outcome, partition: str) -> bool:
        """Whether there is nothing to say: up to date, crashed as others did, or in want of cells that are lost."""
        if outcome.what == "left out":
            return any(f"{name}[{key}]" in self.lost for name, key in self.world.ledger.parents(self.asset, partition))
        return outcome.what == "fresh" or (outcome.what == "crashed" and outcome.why in self.said)

    def _make(self, cell: str, partition: str, place: str) -> Outcome:
        shut = why_left_out(self.world, self.asset, partition)
        if shut:
            return Outcome(cell, "left out", shut)
        reason = why_made(self.world, self.asset, partition)
        if reason is None:
            return Outcome(cell, "fresh", "")
        within = runs.Within(self.context, self.world, f"{cell}: computing, {place}, because: {reason}")
        definitions = self.world.ledger.definitions()
        result = runs.make(definitions, self.context.instance, self.asset, partition, within=within)
        self.world.ledger.forget(self.asset, partition)
        if runs.made(result, self.asset):
            return Outcome(cell, "computed", reason)
        why = self.world.ledger.last_failure(self.asset, partition)
        return Outcome(cell, "failed", why or f"run {result.run_id} made nothing")

    def _evaluate(self, partition: str, *, always: bool) -> None:
        """Evaluate the checks that a fresh cell owes: those of every release, and those that have no valid answer."""
        world = self.world
        if world.ledger.materialization(self.asset, partition) is None:
            return
        for invariant in invariants_of(self.asset, world.studies.selected):
            state = world.ledger.check(self.asset, invariant.name, partition)
            if state is not None and state.finished and state.is_current and VERDICT in state.metadata:
                owed = invariant.every_release or state.metadata.get("status") == "errored"
                same = state.metadata.get(PARAMETERS) == invariant.parameters(world.studies.selected)
                if same and not (always and owed):
                    continue
            evidence = Evidence(self.asset, partition, world)
            world.ledger.report_check(self.context, partition, evaluate(invariant, evidence))
