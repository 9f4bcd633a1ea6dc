"""Whether a cell may be built upon: it was made, and every blocking check of it was evaluated since and passed.

Dagster's own blocking holds inside one run only; a release is many runs.
"""

from __future__ import annotations

from typing import Protocol

from ta_assets.ledger.ledger import CheckState, Materialization
from ta_assets.ledger.partitions import cells_of
from ta_checks.table import invariants_of


class EventLog(Protocol):
    """What Dagster recorded of cells and checks; the graph is not needed for it."""

    def materialization(self, asset: str, partition: str) -> Materialization | None:
        """The latest materialization of a cell."""
        ...

    def check(self, asset: str, name: str, partition: str) -> CheckState | None:
        """The latest evaluation of a check of a cell."""
        ...


def closed(log: EventLog, asset: str, partition: str) -> str | None:
    """Why nothing may be built on this partition; None when it may."""
    if log.materialization(asset, partition) is None:
        return f"{asset}[{partition}] was not made"
    for invariant in invariants_of(asset):
        if not invariant.blocking:
            continue
        state = log.check(asset, invariant.name, partition)
        if state is None or not state.finished:
            return f"{invariant.name} of {asset}[{partition}] was not evaluated"
        if not state.is_current:
            return f"{invariant.name} of {asset}[{partition}] was not evaluated since the cell was made again"
        if not state.passed:
            return f"{invariant.name} of {asset}[{partition}] did not pass"
    return None


def left_out_cells(log: EventLog, setting: str) -> dict[str, str]:
    """Seed -> why its cell may not be aggregated; seeds whose cell may be are absent."""
    reasons = {str(cell.seed): closed(log, "probe_metrics", cell.key) for cell in cells_of(setting)}
    return {seed: reason for seed, reason in reasons.items() if reason is not None}
