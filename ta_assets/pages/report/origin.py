"""What every artifact of a study was made from, as Dagster recorded it: what ``trace`` walks and verifies.

Stays out: verifying (``ta_assets.trace``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ta_assets.ledger.fingerprint import CODE, MADE_FROM
from ta_assets.ledger.table import FACTS, Role, partitions_of, with_role
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study

MOST_FILES = 12
"""Files of an artifact that are listed; the rest is counted."""


def origins(world: World, study: Study) -> dict[str, dict[str, Any]]:
    """Artifact, as ``asset[partition]``, -> made, run, data_version, code_version, code_sha256, made_from, files,
    more_files, parents; in the order in which they are made. An artifact that was never made has parents only.
    """
    assets = (*with_role(Role.RESULT), *with_role(Role.VERDICT))
    nodes = [(asset, partition) for asset in assets for partition in partitions_of(asset, study)]
    return {_name(asset, partition): _origin(world, asset, partition) for asset, partition in nodes}


def _origin(world: World, asset: str, partition: str) -> dict[str, Any]:
    made = world.ledger.materialization(asset, partition)
    made_from = dict(made.metadata.get(MADE_FROM) or {}) if made else {}
    reads = FACTS[asset].reads(world, partition, made_from)
    parents = [_name(*one) for one in sorted({*world.ledger.parents(asset, partition), *reads})]
    if made is None:
        return {"parents": parents}
    files = sorted((made.metadata.get("files") or {}).items())
    return {
        "made": datetime.fromtimestamp(made.timestamp, UTC).isoformat(timespec="seconds"),
        "run": made.run_id,
        "data_version": made.data_version,
        "code_version": world.ledger.code_version(asset),
        "code_sha256": made.metadata.get(CODE),
        "made_from": made_from,
        "files": dict(files[:MOST_FILES]),
        "more_files": max(0, len(files) - MOST_FILES),
        "parents": parents,
    }


def _name(asset: str, partition: str) -> str:
    return f"{asset}[{partition}]"
