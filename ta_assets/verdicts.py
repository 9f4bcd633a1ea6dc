"""The asset ``release_verdict``: what every check of every cell says, and the files that a release leaves behind."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from ta_assets.core.errors import InputError
from ta_assets.partitions import Partitions, partitions_of
from ta_assets.provenance import fingerprint, output
from ta_assets.staleness import Instance
from ta_checks import ASSETS
from ta_checks.collect import MADE, collect_rows
from ta_checks.environment import snapshot
from ta_checks.evidence import Sources
from ta_checks.report import CheckRow, ReleaseReport
from ta_checks.verdict import Verdict
from ta_checks.verdict_unedited import verdict_unedited
from ta_resources.atomic import write_file
from ta_resources.language_model import LanguageModelResource
from ta_resources.rollouts import RolloutsResource
from ta_resources.storage import ArtifactStore

RELEASE = "release"
"""Folder of a study's verdict, and name of the check that a release itself ran to its end."""
UNEDITED = "verdict_unedited"
"""Name of the check that the verdict of the release before still says what that release wrote."""
VERDICT_FILE = "verdict.json"
SEAL = "sha256"
"""Key of ``verdict.json`` with the hash of all the others."""


class VerdictConfig(dg.Config):
    """What happened while the release ran; empty when the verdict is materialized by hand."""

    incidents: list[str] = Field(default=[], description="What went wrong outside any check; makes it NOT OK.")
    cells: dict[str, str] = Field(default={}, description="What the release did with each cell.")


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[dg.AssetsDefinition]:
    """The asset ``release_verdict`` with one rolled-up check for every invariant."""
    studies = partitions.studies

    @dg.asset(
        partitions_def=partitions.study,
        deps=["readme_block"],
        check_specs=[
            dg.AssetCheckSpec(name, asset="release_verdict", description=f"{name}, rolled up over all cells.")
            for name in rolled_up()
        ],
        code_version="1",
        group_name="results",
    )
    def release_verdict(
        context: dg.AssetExecutionContext,
        config: VerdictConfig,
        store: ArtifactStore,
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
    ) -> Iterator[Any]:
        """OK only when every ERROR check passed in every cell of the study."""
        instance = Instance(context.instance, definitions)
        sources = Sources(studies, store, rollouts, language_model, instance)
        report = make_report(sources, context.partition_key, config)
        write_report(report, store.base)
        counts = defaultdict(int)
        for row in report.rows:
            counts[row.verdict.status] += 1
        facts = {
            "verdict": report.verdict,
            **counts,
            "table": dg.MetadataValue.md(report.to_markdown()),
        }
        yield output(report.to_json(), {}, facts)
        yield from _rolled_up_results(report)

    return [release_verdict]


def rolled_up() -> tuple[str, ...]:
    """Names of the rolled-up checks."""
    from ta_checks import INVARIANTS

    return tuple(dict.fromkeys([MADE, RELEASE, UNEDITED, *(invariant.name for invariant in INVARIANTS)]))


def make_report(sources: Sources, study_name: str, config: VerdictConfig) -> ReleaseReport:
    """Every check of every cell, and one row for each incident."""
    study = sources.studies.by_name[study_name]
    rows = collect_rows(sources, study, ASSETS, config.cells)
    incidents = config.incidents
    verdict = Verdict.judge(
        len(incidents), "==", 0, unit="incidents", n=1, offenders=incidents, message="; ".join(incidents)
    )
    rows.append(CheckRow(RELEASE, "release_verdict", study_name, "ERROR", verdict))
    earlier = verdict_unedited(*_seals(study_name, sources.store.base))
    rows.append(CheckRow(UNEDITED, "release_verdict", study_name, "ERROR", earlier))
    cells = {
        f"{asset}[{partition}]": config.cells.get(f"{asset}[{partition}]", "not part of a release")
        for asset in ASSETS
        for partition in partitions_of(asset, study)
    }
    return ReleaseReport(study=study_name, rows=tuple(rows), cells=cells, environment=snapshot())


def broken_report(study_name: str, config: VerdictConfig, error: Exception) -> ReleaseReport:
    """What is left to say when not even the checks could be collected: NOT OK, and why."""
    row = CheckRow(RELEASE, "release_verdict", study_name, "ERROR", Verdict.errored(error))
    return ReleaseReport(study=study_name, rows=(row,), cells=config.cells, environment=snapshot())


def release_folder(study: str, base: Path) -> Path:
    """Where a release leaves its files."""
    return base / study / RELEASE


def write_report(report: ReleaseReport, base: Path) -> None:
    """Write ``verdict.json``, ``verdict.md``, ``verdict.txt``, ``junit.xml`` and ``environment.json``."""
    folder = release_folder(report.study, base)
    made = report.to_json()
    for name, content in (
        (VERDICT_FILE, json.dumps({**made, SEAL: fingerprint(made)}, indent=1, allow_nan=False)),
        ("verdict.md", report.to_markdown()),
        ("verdict.txt", report.to_text()),
        ("junit.xml", report.to_junit_xml()),
        ("environment.json", json.dumps(report.environment, indent=1, allow_nan=False)),
    ):
        write_file(folder / name, content.encode())


def read_release(study: str, base: Path) -> tuple[str, str]:
    """The decision (OK or NOT OK) and the printed table of the last release of a study.

    Raises:
        InputError: the verdict was edited since.
    """
    folder = release_folder(study, base)
    recorded, found = _seals(study, base)
    if recorded != found:
        raise InputError(folder / VERDICT_FILE, SEAL, recorded, f"{found}, of its content; release again")
    decision = json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8"))["verdict"]
    return decision, (folder / "verdict.txt").read_text(encoding="utf-8")


def _seals(study: str, base: Path) -> tuple[str | None, str | None]:
    """The hash that the verdict on the disk carries, and that of its content; both None when there is no verdict."""
    path = release_folder(study, base) / VERDICT_FILE
    if not path.is_file():
        return None, None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content.pop(SEAL, "none")), fingerprint(content)
    except (ValueError, AttributeError):
        return "none", "unreadable"


def _rolled_up_results(report: ReleaseReport) -> Iterator[dg.AssetCheckResult]:
    by_name: dict[str, list[CheckRow]] = {name: [] for name in rolled_up()}
    for row in report.rows:
        by_name[row.name].append(row)
    for name, rows in by_name.items():
        red = [row for row in rows if row.verdict.status != "passed"]
        warn_only = all(row.severity == "WARN" for row in rows)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=bool(rows) and not red,
            severity=dg.AssetCheckSeverity.WARN if warn_only else dg.AssetCheckSeverity.ERROR,
            metadata={
                "observed": len(rows) - len(red),
                "threshold": len(rows),
                "offending_cells": dg.MetadataValue.json([f"{row.asset}[{row.partition}]" for row in red]),
            },
        )
