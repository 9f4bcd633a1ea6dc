"""Every check of every cell of a study, as the ledger has them now: nothing is left out, nothing is assumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ta_assets.ledger.ledger import CheckState, Ledger
from ta_assets.ledger.table import partitions_of, read_together
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.checks import SECONDS
from ta_checks.invariant import AddedRow, Invariant
from ta_checks.report.report import CheckRow
from ta_checks.rules.files import made_by_this_code, records_unedited, verdict_unedited
from ta_checks.table import invariants_of
from ta_checks.verdict import VERDICT, Verdict

MADE = AddedRow(
    "made",
    "Whether the latest run that was to make the cell has made it.",
    "The cell does not exist, or the last attempt to make it failed and what is stored is of an earlier one; nothing "
    "new was built on it. The message says why, or names what it waits for: mend that first and release again.",
)
"""Of every cell."""
RELEASE = AddedRow(
    "release",
    "What went wrong in the release itself, outside any check: an exception while it planned or judged.",
    "A step of the release itself failed, outside any check, so cells may be missing or out of date. The message says "
    "which and why; mend that and release again.",
)
"""Of the verdict."""
UNEDITED = verdict_unedited.ROW
"""Of the verdict."""
RECORDS = records_unedited.ROW
"""Of the verdict."""
CODE = made_by_this_code.ROW
"""Of the verdict."""
ADDED = (MADE, RELEASE, UNEDITED, RECORDS, CODE)
"""The rows of every verdict beside those of the table."""


def collect_rows(
    world: World, study: Study, assets: Iterable[str], reasons: Mapping[str, str] | None = None
) -> list[CheckRow]:
    """One row per check and cell, in the order of the assets.

    Args:
        world: its ledger is read.
        study: the study whose cells are reported.
        assets: names of the assets.
        reasons: cell, such as ``splits[full]``, -> why it was not made; cells without a known reason are absent.
    """
    rows: list[CheckRow] = []
    read_together(world, study)
    for asset in assets:
        for partition in partitions_of(asset, study):
            reason = (reasons or {}).get(f"{asset}[{partition}]", "it was never made")
            rows.append(made_row(world.ledger, asset, partition, reason))
            rows += [_row(invariant, partition, world.ledger) for invariant in invariants_of(asset, study)]
    return rows


def made_row(ledger: Ledger, asset: str, partition: str, reason: str) -> CheckRow:
    """The row ``made`` of a cell: whether its last attempt succeeded, else why not."""
    latest = ledger.materialization(asset, partition)
    failure = ledger.last_failure(asset, partition)
    if failure is not None:
        verdict = Verdict.judge("failed", "==", "made", unit="run", n=1, offenders=[partition], message=failure)
    elif latest is None:
        verdict = Verdict.skipped(reason)
    else:
        verdict = Verdict.judge("made", "==", "made", unit="run", n=1, message="")
    seconds = 0.0 if latest is None else ledger.seconds(latest.run_id, asset)
    return CheckRow(MADE.name, asset, partition, "ERROR", verdict, MADE.description, seconds)


def _row(invariant: Invariant, partition: str, ledger: Ledger) -> CheckRow:
    state = ledger.check(invariant.asset, invariant.name, partition)
    verdict = _verdict(state)
    means = invariant.description
    if verdict.status in {"errored", "skipped"}:
        means = f"Nothing is known here. If it had failed: {means}"
    seconds = float((state.metadata if state else {}).get(SECONDS) or 0.0)
    return CheckRow(invariant.name, invariant.asset, partition, invariant.severity, verdict, means, seconds)


def _verdict(state: CheckState | None) -> Verdict:
    if state is None:
        return Verdict.skipped("not evaluated: its cell was not made")
    if not state.finished or VERDICT not in state.metadata:
        return Verdict.skipped(f"not evaluated: run {state.run_id} ended before it reported")
    if not state.is_current:
        return Verdict.skipped("not evaluated: its cell was made again since")
    return Verdict.from_json(state.metadata[VERDICT])
