"""Every check of every cell of a study, as the instance knows them now: nothing is left out, nothing is assumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ta_assets.ledger.ledger import CheckState, Ledger
from ta_assets.ledger.table import partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.invariant import Invariant
from ta_checks.report.report import CheckRow
from ta_checks.table import invariants_of
from ta_checks.verdict import Verdict

FIELDS = tuple(field.name for field in dataclasses.fields(Verdict))
MADE = "made"
"""The check that a cell exists and that its last attempt succeeded."""
MADE_DESCRIPTION = (
    "The cell does not exist, or the last attempt to make it failed and what is stored is of an earlier one; nothing "
    "new was built on it. The message says why, or names what it waits for: mend that first and release again."
)


def collect_rows(
    world: World, study: Study, assets: Iterable[str], reasons: Mapping[str, str] | None = None
) -> list[CheckRow]:
    """One row a check and cell, in the order of the assets.

    Args:
        world: where the instance is.
        study: whose cells.
        assets: which assets.
        reasons: why a cell such as ``splits[full]`` was not made, where somebody knows.
    """
    rows: list[CheckRow] = []
    for asset in assets:
        for partition in partitions_of(asset, study):
            reason = (reasons or {}).get(f"{asset}[{partition}]", "it was never made")
            rows.append(made_row(world.ledger, asset, partition, reason))
            rows += [_row(invariant, partition, world.ledger) for invariant in invariants_of(asset, study)]
    return rows


def made_row(instance: Ledger, asset: str, partition: str, reason: str) -> CheckRow:
    """Whether a cell was made, and why not."""
    latest = instance.materialization(asset, partition)
    failure = instance.last_failure(asset, partition)
    if failure is not None:
        verdict = Verdict.judge("failed", "==", "made", unit="run", n=1, offenders=[partition], message=failure)
    elif latest is None:
        verdict = Verdict.skipped(reason)
    else:
        verdict = Verdict.judge("made", "==", "made", unit="run", n=1, message="")
    return CheckRow(MADE, asset, partition, "ERROR", verdict, MADE_DESCRIPTION)


def _row(invariant: Invariant, partition: str, instance: Ledger) -> CheckRow:
    state = instance.check(invariant.asset, invariant.name, partition)
    verdict = _verdict(state)
    means = invariant.description
    if verdict.status in {"errored", "skipped"}:
        means = f"Nothing is known here. If it had failed: {means}"
    return CheckRow(invariant.name, invariant.asset, partition, invariant.severity, verdict, means)


def _verdict(state: CheckState | None) -> Verdict:
    if state is None:
        return Verdict.skipped("not evaluated: its cell was not made")
    if not state.finished or "status" not in state.metadata:
        return Verdict.skipped(f"not evaluated: run {state.run_id} ended before it reported")
    if not state.is_current:
        return Verdict.skipped("not evaluated: its cell was made again since")
    return Verdict.from_json({name: state.metadata[name] for name in FIELDS if name in state.metadata})
