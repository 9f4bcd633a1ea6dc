"""What a release keeps of itself: when it ran, on what, how long and how large; and a folder of its own for its files.

Stays out: the verdict, and the copy of the latest release that people and CI read (``assets.verdicts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.readme_file import RELEASES
from ta_checks.report.report import ReleaseReport
from ta_resources.storage.atomic import write_folder

ABOUT_FILE = "release.json"
STEP = "release_"
"""In front of an asset, the name of the release's step that makes it."""


def measured(world: World, study_name: str, run_id: str) -> dict[str, Any]:
    """What Dagster recorded of a release.

    Args:
        world: its ledger and instance are read.
        study_name: the released study.
        run_id: run of the job ``release``; empty where the verdict is materialized by hand.

    Returns:
        run; started (UTC, ISO 8601); seconds {asset: of its stage}; bytes {asset: on the disk}, of all partitions of
        the study, shards included. Without a run, run and started are None and seconds is empty.
    """
    instance = world.ledger.dagster
    steps = instance.get_run_step_stats(run_id) if run_id else []
    started = instance.get_run_stats(run_id).start_time if run_id else None
    return {
        "run": run_id or None,
        "started": None if started is None else _iso(started),
        "seconds": {
            step.step_key.removeprefix(STEP): round(step.end_time - step.start_time, 3)
            for step in steps
            if step.step_key.startswith(STEP) and step.start_time is not None and step.end_time is not None
        },
        "bytes": _bytes(world, study_name),
    }


def about(report: ReleaseReport, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``release.json``.

    Args:
        report: of this release.
        recorded: as ``measured`` gives it; empty where that could not be read.

    Returns:
        What was recorded; study, verdict, ended (UTC, ISO 8601); commit and clean (tree) of the code; device, driver,
        memory_bytes, device_memory_bytes.
    """
    environment = report.environment
    git = environment.get("git") or {}
    return {
        "study": report.study,
        "verdict": report.verdict,
        "ended": _iso(datetime.now(UTC).timestamp()),
        "commit": git.get("commit"),
        "clean": git.get("clean"),
        **{key: environment.get(key) for key in ("device", "driver", "memory_bytes", "device_memory_bytes")},
        **recorded,
    }


def keep(study_folder: Path, facts: Mapping[str, Any], run_id: str, files: Mapping[str, bytes]) -> Path:
    """Write the files of a release into a folder of its own, as a whole.

    Args:
        study_folder: of the study's results.
        facts: as ``about`` gives them.
        run_id: run of the verdict.
        files: name -> content.

    Returns:
        The folder, ``releases/<end>-<commit>-<run>``, which sorts by time.

    Raises:
        InputError: the disk is full or may not be written.
    """
    ended = facts["ended"].replace("-", "").replace(":", "").removesuffix("+0000") + "Z"
    folder = study_folder / RELEASES / f"{ended}-{(facts['commit'] or 'no_commit')[:12]}-{run_id[:8]}"
    write_folder(folder, files)
    return folder


def _bytes(world: World, study_name: str) -> dict[str, int]:
    study, sizes = world.studies.by_name[study_name], {}
    for asset in ASSETS:
        made = [world.ledger.materialization(asset, partition) for partition in partitions_of(asset, study)]
        sizes[asset] = sum(int(one.metadata.get("bytes") or 0) for one in made if one is not None)
    return sizes


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
