"""What a partition would be made from now, results of checks included, and so whether it must be made, and may be.

Stays out: what does not depend on checks (``ledger.table``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ta_assets.ledger.fingerprint import fingerprint
from ta_assets.ledger.table import FACTS, made_from
from ta_assets.ledger.world import World
from ta_assets.pages.block import current_page
from ta_assets.pages.spans import render
from ta_checks.gate import closed, left_out_cells


def expected_made_from(world: World, asset: str, partition: str) -> dict[str, Any]:
    """What a partition would be made from now, beyond its upstream assets; JSON-able.

    Raises:
        InputError: data or model cannot be identified, or an artifact that a page tells of is missing or damaged.
    """
    if FACTS[asset].tells_of_checks:
        return told(render(current_page(world, partition)))
    if FACTS[asset].leaves_out_cells:
        return without_cells(world, asset, partition, left_out_cells(world.ledger, partition))
    return made_from(world, asset, partition)


def why_made(world: World, asset: str, partition: str) -> str | None:
    """Why a partition must be made, in words; None when it need not.

    Raises:
        InputError: as ``expected_made_from``.
    """
    reason = world.ledger.work(asset, partition, expected_made_from(world, asset, partition))
    if reason is not None:
        return reason
    latest = world.ledger.materialization(asset, partition)
    return FACTS[asset].owed(latest.metadata) if latest else None


def why_left_out(world: World, asset: str, partition: str) -> str | None:
    """Why a partition may not be made of its parents as they are; None when it may."""
    ledger, some_are_enough = world.ledger, FACTS[asset].some_are_enough
    shut: dict[str, list[str | None]] = {}
    for parent, key in ledger.parents(asset, partition):
        shut.setdefault(parent, []).append(closed(ledger, parent, key))
    every = [why for parent, whys in shut.items() if parent not in some_are_enough for why in whys if why]
    partial = [whys for parent, whys in shut.items() if parent in some_are_enough and all(whys)]
    return "; ".join([*every, *(why for whys in partial for why in whys if why)]) or None


def without_cells(world: World, asset: str, partition: str, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Options and left-out seeds: such an asset is stale when a cell may (not) be believed, though no cell changed."""
    return {**made_from(world, asset, partition), "left_out_seeds": sorted(left_out)}


def told(text: str) -> dict[str, str]:
    """What a text was made from is what it says: checks may turn without any upstream asset changing."""
    return {"block": fingerprint(text)}
