"""The rows of a verdict that the release itself judges: incidents, the earlier verdict, the event log, the code.

Belongs here: reading what these rules judge. Stays out: the rules (``ta_checks.rules.files``), the verdict
(``assets.verdicts``).
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ta_assets.ledger.fingerprint import CODE, LIBRARIES, VERSIONS, code_sha256, imported_versions
from ta_assets.ledger.ledger import Ledger, Materialization
from ta_assets.ledger.table import ASSETS, Role, partitions_of, with_role
from ta_assets.ledger.world import World
from ta_assets.studies.readme_file import study_folder
from ta_assets.studies.study import Study
from ta_checks.report import rows as added
from ta_checks.report.report import CheckRow
from ta_checks.rules.files.made_by_this_code import Maker, made_by_this_code
from ta_checks.rules.files.records_unedited import Key, records_unedited
from ta_checks.rules.files.verdict_unedited import verdict_unedited
from ta_checks.verdict import Verdict
from ta_resources.storage.atomic import sha256_of

FOLDER = "release"
"""Folder of a study's latest verdict; each release keeps its own as well, see ``kept_releases``."""
(VERDICT_ASSET,) = with_role(Role.VERDICT)
VERDICT_FILE = "verdict.json"
FILES = "release_files"
"""Metadata of a materialized verdict: name of each file that it leaves behind -> SHA-256 in hex."""


def judged_rows(world: World, study: Study, incidents: Sequence[str], rows: Sequence[CheckRow]) -> list[CheckRow]:
    """The rows of the verdict itself.

    Args:
        world: its ledger and store are read.
        study: the released study.
        incidents: what went wrong outside any check.
        rows: of all checks of all cells.
    """
    ledger, base = world.ledger, world.store.local_folder
    incident = Verdict.judge(
        len(incidents), "==", 0, unit="incidents", n=1, offenders=incidents, message="; ".join(incidents)
    )
    earlier, verdict = _earlier_rows(ledger, study.name, base)
    before = records_unedited(
        earlier, [row.to_json() for row in rows], lambda key: verdict is not None and _is_older(ledger, key, verdict)
    )
    installed = {name: _installed(name) for name in (other or name for name, other in LIBRARIES.items())}
    code = made_by_this_code(
        _makers(ledger, study),
        Maker(code_sha256(), imported_versions()),
        {name: found for name, found in installed.items() if found is not None},
    )
    files = verdict_unedited(*_recorded_and_found(ledger, study.name, base))
    judged = ((added.RELEASE, incident), (added.UNEDITED, files), (added.RECORDS, before), (added.CODE, code))
    return [
        CheckRow(row.name, VERDICT_ASSET, study.name, row.severity, verdict, row.description) for row, verdict in judged
    ]


def release_folder(study: str, base: Path) -> Path:
    """Where a release leaves its files."""
    return study_folder(study, base) / FOLDER


def _recorded_and_found(
    instance: Ledger, study: str, base: Path
) -> tuple[list[Mapping[str, str]], dict[str, str | None]]:
    """What may lie in the folder of a release by Dagster's record, newest first, and what does; name -> SHA-256.

    A release that died between its record and its last file leaves files of the release before, or none.
    """
    recorded: list[Mapping[str, str]] = []
    for made in instance.history(VERDICT_ASSET, study):
        recorded.append(made.metadata.get(FILES) or {})
        if instance.succeeded(made.run_id):
            break
    else:
        recorded.append({})
    paths = {name: release_folder(study, base) / name for name in recorded[0]}
    return recorded, {name: sha256_of(path) if path.is_file() else None for name, path in paths.items()}


def _earlier_rows(instance: Ledger, study: str, base: Path) -> tuple[list[Mapping[str, Any]], Materialization | None]:
    """Rows of the latest verdict whose file is the one that was recorded, and its record; none where there is none."""
    path = release_folder(study, base) / VERDICT_FILE
    found = sha256_of(path) if path.is_file() else None
    for made in instance.history(VERDICT_ASSET, study) if found else ():
        if (made.metadata.get(FILES) or {}).get(VERDICT_FILE) == found:
            return json.loads(path.read_text(encoding="utf-8"))["checks"], made
        if instance.succeeded(made.run_id):
            break
    return [], None


def _is_older(instance: Ledger, key: Key, verdict: Materialization) -> bool:
    """Whether the answer of a check that stands in the log was given before a verdict.

    Both by the order of the runs and by the clock: a run that goes on beside a release may report after it, and clocks
    may be set back.
    """
    name, asset, partition = key
    state = instance.check(asset, name, partition)
    if state is None or not state.finished or not state.is_current:
        return False
    return state.timestamp <= verdict.timestamp and instance.began_before(state.run_id, verdict.run_id)


def _makers(instance: Ledger, study: Study) -> dict[str, Maker]:
    made = {
        f"{asset}[{partition}]": instance.materialization(asset, partition)
        for asset in ASSETS
        for partition in partitions_of(asset, study)
    }
    return {
        cell: Maker(one.metadata.get(CODE), one.metadata.get(VERSIONS) or {})
        for cell, one in made.items()
        if one is not None
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
