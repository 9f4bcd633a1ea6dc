"""The asset ``release_verdict``: what every check of every cell says, and the files that a release leaves behind."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from ta_assets.assets.releases.kept_releases import ABOUT_FILE, about, keep, measured
from ta_assets.assets.releases.release_rows import FILES, VERDICT_ASSET, VERDICT_FILE, judged_rows, release_folder
from ta_assets.core.errors import InputError
from ta_assets.core.markdown import escape
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import ASSETS, partitions_of, read_together
from ta_assets.ledger.world import World, WorldResource
from ta_assets.studies.readme_file import study_folder
from ta_checks.report import formats
from ta_checks.report.environment import snapshot
from ta_checks.report.report import CheckRow, ReleaseReport
from ta_checks.report.rows import ADDED, MADE, RELEASE, collect_rows
from ta_checks.table import INVARIANTS
from ta_checks.verdict import MAX_OFFENDERS, Verdict
from ta_resources.storage.atomic import write_file

TABLE_FILE = "verdict.txt"
RED, RED_ROWS = "red", "red_rows"
"""Metadata of a materialized verdict: what keeps it from being OK, for people and as
[{check, asset, cell, status, message, advice}]."""


class VerdictConfig(dg.Config):
    """What happened while the release ran; empty when the verdict is materialized by hand."""

    incidents: list[str] = Field(default=[], description="What went wrong outside any check; makes it NOT OK.")
    cells: dict[str, str] = Field(default={}, description="What the release did with each cell.")
    run: str = Field(default="", description="Id of the release's run.")


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``release_verdict`` with one rolled-up check for every invariant."""
    pages = {row.name: f"Rolled up over all cells.\n\n{row.page}" for row in reversed([*ADDED, *INVARIANTS])}
    with warnings.catch_warnings():
        # partitioned checks are in preview in Dagster 1.13
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(name, asset=VERDICT_ASSET, description=pages[name], partitions_def=partitions.study)
            for name in rolled_up()
        ]
    as_asset = dg.asset(
        partitions_def=partitions.study,
        deps=["readme_block"],
        check_specs=specs,
        code_version="1",
    )
    return [as_asset(release_verdict)]


def release_verdict(context: dg.AssetExecutionContext, config: VerdictConfig, world: WorldResource) -> Iterator[Any]:
    """OK only when every ERROR check passed in every cell of the study."""
    recorded: dict[str, Any] = {}
    read_together(world, world.studies.by_name[context.partition_key])
    try:
        recorded = measured(world, context.partition_key, config.run)
        report = make_report(world, context.partition_key, config)
    except Exception as error:  # there must be a verdict, whatever fails
        context.log.exception("the checks could not be collected")
        report = broken_report(context.partition_key, config, error)
    facts = about(report, recorded)
    files = release_files(report, facts)
    base = world.store.local_folder
    folder = release_folder(report.study, base)
    yield output(report.to_json(), {}, _facts(report, files, folder))
    # recorded by now; the other way round, a release that is killed in between would leave files like edited ones
    keep(study_folder(report.study, base), facts, context.run.run_id, files)
    for name, content in files.items():
        write_file(folder / name, content)
    _worst_last(context.op_execution_context, world.ledger, report)
    yield from _rolled_up_results(report)


def rolled_up() -> tuple[str, ...]:
    """Names of the rolled-up checks: of all but the page, which is made after the verdict."""
    judged = (invariant.name for invariant in INVARIANTS if invariant.asset in ASSETS)
    return tuple(dict.fromkeys([*(row.name for row in ADDED), *judged]))


def make_report(world: World, study_name: str, config: VerdictConfig) -> ReleaseReport:
    """Every check of every cell, and one row for each incident."""
    study = world.studies.by_name[study_name]
    rows = collect_rows(world, study, ASSETS, config.cells)
    rows += judged_rows(world, study, config.incidents, rows)
    cells = {
        f"{asset}[{partition}]": config.cells.get(f"{asset}[{partition}]", "not part of a release")
        for asset in ASSETS
        for partition in partitions_of(asset, study)
    }
    return ReleaseReport(study=study_name, rows=tuple(rows), cells=cells, environment=snapshot())


def broken_report(study_name: str, config: VerdictConfig, error: Exception) -> ReleaseReport:
    """What is left to say when not even the checks could be collected: NOT OK, and why."""
    row = CheckRow(RELEASE.name, VERDICT_ASSET, study_name, "ERROR", Verdict.errored(error), RELEASE.description)
    return ReleaseReport(study=study_name, rows=(row,), cells=config.cells, environment=snapshot())


def release_files(report: ReleaseReport, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The files that a release leaves behind, by name; ``facts`` as ``kept_releases.about`` gives them."""
    texts = {
        VERDICT_FILE: json.dumps(report.to_json(), indent=1, allow_nan=False),
        "verdict.md": formats.markdown(report),
        TABLE_FILE: formats.text(report),
        "junit.xml": formats.junit_xml(report),
        "environment.json": json.dumps(report.environment, indent=1, allow_nan=False),
        ABOUT_FILE: json.dumps(facts, indent=1, allow_nan=False),
    }
    return {name: text.encode() for name, text in texts.items()}


def read_release(instance: Ledger, study: str, base: Path) -> tuple[str, str]:
    """The decision (OK or NOT OK) and the printed table of the last release of a study.

    Raises:
        InputError: there is none, or a file of it is gone or not what the release recorded.
    """
    folder, latest = release_folder(study, base), instance.materialization(VERDICT_ASSET, study)
    recorded = latest.metadata.get(FILES) if latest else None
    if not recorded:
        raise InputError(folder, "record", None, f"a release of study {study}; run it first")
    contents = {name: (folder / name).read_bytes() for name in recorded if (folder / name).is_file()}
    for name, expected in recorded.items():
        found = hashlib.sha256(contents[name]).hexdigest() if name in contents else None
        if found != expected:
            raise InputError(folder / name, "sha256", found, f"{expected}, as its release recorded it; release again")
    return json.loads(contents[VERDICT_FILE])["verdict"], contents[TABLE_FILE].decode()


def _facts(report: ReleaseReport, files: Mapping[str, bytes], folder: Path) -> dict[str, Any]:
    """In the order in which people read; no text is longer than a screen, since Dagster opens a long one at its end."""
    return {
        "verdict": report.summary,
        RED: dg.MetadataValue.md(formats.red_table(report)),
        "checks": dg.MetadataValue.md(formats.checks_table(report)),
        **Counter(row.verdict.status for row in report.rows),
        "everything": dg.MetadataValue.path(folder / "verdict.md"),
        RED_ROWS: [
            {"check": row.name, "asset": row.asset, "cell": row.cell, "status": row.status}
            | {"message": row.verdict.message, "advice": row.description}
            for row in report.red_first
            if row.is_red
        ],
        FILES: {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def _worst_last(context: dg.OpExecutionContext, ledger: Ledger, report: ReleaseReport) -> None:
    """Report the worst result of every check of every asset again, so that red looks red where one looks first."""
    worst: dict[tuple[str, str], str] = {}
    for row in report.red_first:
        if row.asset != VERDICT_ASSET and row.name != MADE.name and not row.verdict.passed and row.partition:
            worst.setdefault((row.asset, row.name), row.partition)
    for (asset, name), partition in worst.items():
        ledger.report_again(context, asset, name, partition)


def _rolled_up_results(report: ReleaseReport) -> Iterator[dg.AssetCheckResult]:
    by_name: dict[str, list[CheckRow]] = {name: [] for name in rolled_up()}
    for row in report.rows:
        by_name[row.name].append(row)
    for name, rows in by_name.items():
        red = [row for row in rows if not row.verdict.passed]
        assets = dict.fromkeys(row.asset for row in red)
        known = [row for row in red if row.status != "skipped"]
        warns = all(row.severity == "WARN" for row in known)  # what was not evaluated is in the rows that keep it so
        yield dg.AssetCheckResult(
            check_name=name,
            passed=bool(rows) and not red,
            severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
            description=escape(_in_words(rows, known)),
            metadata={
                "cells_passed": len(rows) - len(red),
                **({"cells": [f"{row.cell}: {row.status}: {_reason(row)}" for row in red]} if red else {}),
                **{f"go_to_{asset}": dg.MetadataValue.asset(dg.AssetKey(asset)) for asset in assets},
            },
        )


def _reason(row: CheckRow) -> str:
    return row.verdict.message or row.verdict.found


def _in_words(rows: list[CheckRow], known: list[CheckRow]) -> str:
    """What one check says over all cells; ``known`` are those in which it was evaluated and does not hold."""
    if not rows:
        return "not evaluated: the study has it turned off"
    passed = sum(row.verdict.passed for row in rows)
    skipped = len(rows) - passed - len(known)
    parts = [
        f"{passed} of {len(rows)} cells passed",
        *([f"{skipped} not evaluated"] if skipped else []),
        *([f"red: {', '.join(row.cell for row in known[:MAX_OFFENDERS])}"] if known else []),
    ]
    return "; ".join(parts)
