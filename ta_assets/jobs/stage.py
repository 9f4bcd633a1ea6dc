"""Some cells of a release, in the order in which they can be made: each made where it needs it, then checked.

Belongs here: what is done with a cell, in this process. Stays out: which process it is done in (``queue``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from ta_assets.assets.expected import why_left_out, why_made
from ta_assets.core.errors import InputError
from ta_assets.jobs import runs
from ta_assets.ledger.table import ASSETS, Node, partitions_of, read_together
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.checks import PARAMETERS, evaluate
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
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
    return [cell_name((asset, partition)) for asset in ASSETS for partition in partitions_of(asset, study)]


def cell_name(node: Node) -> str:
    """As ``asset[partition]``."""
    return f"{node[0]}[{node[1]}]"


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
    """Cells of the selected study, one after the other."""

    def __init__(self, context: dg.OpExecutionContext, world: World, so_far: Sequence[Outcome] = ()) -> None:
        """``world`` is the run's; ``so_far`` are the outcomes of cells before these."""
        self.context, self.world = context, world
        read_together(world, world.studies.selected)
        self.said = {outcome.why for outcome in so_far}
        self.lost = {outcome.cell for outcome in so_far if outcome.what in LOST}

    def run(self, cells: Sequence[Node]) -> list[Outcome]:
        """Handle every cell; one that fails is an outcome, not the end."""
        outcomes, order = [], cells_of_release(self.world.studies.selected)
        for node in cells:
            cell, started = cell_name(node), time.monotonic()
            try:
                outcome = self._make(node, f"cell {order.index(cell) + 1} of {len(order)}")
                self._evaluate(node, always=outcome.what != "computed")
            except (InputError, HubFailedError) as error:  # it says all there is to say, of many cells maybe
                outcome = crashed(cell, error)
            except Exception as error:
                self.context.log.exception(f"{cell}: the release itself failed")
                outcome = crashed(cell, error)
            if not self._is_known(outcome, node):
                self.context.log.info(f"{cell} {outcome.what} in {time.monotonic() - started:.1f} s: {outcome.why}")
            self.said.add(outcome.why)
            outcomes.append(outcome)
        return outcomes

    def _is_known(self, outcome: Outcome, node: Node) -> bool:
        """Whether there is nothing to say: up to date, crashed as others did, or in want of cells that are lost."""
        if outcome.what == "left out":
            return any(cell_name(parent) in self.lost for parent in self.world.ledger.parents(*node))
        return outcome.what == "fresh" or (outcome.what == "crashed" and outcome.why in self.said)

    def _make(self, node: Node, place: str) -> Outcome:
        (asset, partition), cell, ledger = node, cell_name(node), self.world.ledger
        shut = why_left_out(self.world, asset, partition)
        if shut:
            return Outcome(cell, "left out", shut)
        reason = why_made(self.world, asset, partition)
        if reason is None:
            return Outcome(cell, "fresh", "")
        within = runs.Within(self.context, self.world, f"{cell}: computing, {place}, because: {reason}")
        result = runs.make(ledger.definitions(), self.context.instance, asset, partition, within=within)
        ledger.forget(asset, partition)
        if runs.made(result, asset):
            return Outcome(cell, "computed", reason)
        why = ledger.last_failure(asset, partition)
        return Outcome(cell, "failed", why or f"run {result.run_id} made nothing")

    def _evaluate(self, node: Node, *, always: bool) -> None:
        """Evaluate the checks that a fresh cell owes."""
        for invariant in owed(self.world, node, always=always):
            evidence = Evidence(*node, self.world)
            self.world.ledger.report_check(self.context, node[1], evaluate(invariant, evidence))


def owed(world: World, node: Node, *, always: bool) -> list[Invariant]:
    """The checks that a made cell owes: those that have no valid answer and, ``always``, those of every release."""
    (asset, partition), study, found = node, world.studies.selected, []
    if world.ledger.materialization(asset, partition) is None:
        return []
    for invariant in invariants_of(asset, study):
        state = world.ledger.check(asset, invariant.name, partition)
        if state is not None and state.finished and state.is_current and VERDICT in state.metadata:
            again = always and (invariant.every_release or state.metadata.get("status") == "errored")
            if not again and state.metadata.get(PARAMETERS) == invariant.parameters(study):
                continue
        found.append(invariant)
    return found
