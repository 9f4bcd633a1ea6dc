"""From a row of the table to an asset check; an exception in a rule becomes an ``errored`` verdict, never a gap."""

import time
import traceback
import warnings
from dataclasses import replace

import dagster as dg

from ta_assets.core.markdown import escape
from ta_assets.ledger.ledger import OfNoCell
from ta_assets.ledger.table import partitions_of
from ta_assets.ledger.world import World, WorldResource
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.table import INVARIANTS
from ta_checks.verdict import Verdict
from ta_resources.language_model.devices import GPU_POOL

PARAMETERS = "parameters"
"""Name of the metadata entry with the study's options that the rule was run with."""
SECONDS = "seconds"
"""Name of the metadata entry with how long the evaluation took."""


def judge(invariant: Invariant, evidence: Evidence) -> Verdict:
    """The verdict of an invariant; an exception becomes an ``errored`` one."""
    try:
        verdict = invariant.evaluate(evidence)
    except Exception as error:  # a rule that raises must still report
        verdict = replace(Verdict.errored(error), details={"traceback": traceback.format_exc()})
    return verdict.as_warning() if invariant.severity == "WARN" else verdict


def evaluate(invariant: Invariant, evidence: Evidence) -> dg.AssetCheckResult:
    """The judged invariant as Dagster records it.

    Dagster wants an answer also where the study does not ask for the check and no verdict has a row of it: skipped, and
    no error.
    """
    asked, started = invariant.applies(evidence.study), time.monotonic()
    verdict = judge(invariant, evidence) if asked else Verdict.skipped(f"study {evidence.study.name} has it turned off")
    is_error = asked and invariant.severity == "ERROR"
    severity = dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(invariant.asset),
        check_name=invariant.name,
        passed=verdict.passed,
        severity=severity,
        description=escape(verdict.message) or None,  # Dagster's pages read Markdown there
        metadata={
            **verdict.to_metadata(),
            PARAMETERS: invariant.parameters(evidence.study),
            SECONDS: f"{time.monotonic() - started:.3f}",
        },
    )


def in_every_cell(invariant: Invariant, world: World, context: dg.OpExecutionContext) -> dg.AssetCheckResult:
    """The worst result of a check in the made cells of the selected study, each recorded as that of its cell.

    Dagster's button that executes all checks of an asset names no partition.
    """
    study = world.studies.selected
    cells = [one for one in partitions_of(invariant.asset, study) if world.ledger.materialization(invariant.asset, one)]
    results = {one: evaluate(invariant, Evidence(invariant.asset, one, world)) for one in cells}
    order = sorted(results, key=lambda one: (not results[one].passed, results[one].severity.value == "ERROR"))
    for partition in order:  # the worst last: by the latest one Dagster colours the asset
        world.ledger.report_check(context, partition, results[partition])
    if not order:
        said, worst = f"not evaluated: no cell of study {study.name} was made yet", None
    else:
        passed, worst = sum(result.passed for result in results.values()), results[order[-1]]
        said = f"{passed} of {len(order)} cells of study {study.name} passed; this is {invariant.asset}[{order[-1]}]"
    return OfNoCell(
        asset_key=dg.AssetKey(invariant.asset),
        check_name=invariant.name,
        passed=worst is not None and worst.passed,
        severity=dg.AssetCheckSeverity.WARN if worst is None else worst.severity,
        description="\n\n".join(filter(None, [escape(said), worst and worst.description])),
        metadata=worst.metadata if worst else {},
    )


def build(assets: list[dg.AssetsDefinition]) -> list[dg.AssetChecksDefinition]:
    """One asset check per row of the table, partitioned like its asset."""
    owners = {asset.key.to_user_string(): asset for asset in assets}

    def check_of(invariant: Invariant) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            asset=owners[invariant.asset],
            name=invariant.name,
            description=invariant.page,
            blocking=invariant.blocking,
            partitions_def=owners[invariant.asset].partitions_def,
            pool=GPU_POOL if invariant.uses_model else None,
        )
        def check(context: dg.AssetCheckExecutionContext, world: WorldResource) -> dg.AssetCheckResult:
            now = world.fresh()  # the same run may just have made the asset
            if context.op_execution_context.has_partition_key:
                return evaluate(invariant, Evidence(invariant.asset, context.partition_key, now))
            return in_every_cell(invariant, now, context.op_execution_context)

        return check

    with warnings.catch_warnings():
        # partitioned checks are in preview in Dagster 1.13; tests/assets/test_staleness.py holds what is relied on
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [check_of(invariant) for invariant in INVARIANTS]
