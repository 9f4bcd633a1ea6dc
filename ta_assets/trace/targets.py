"""What a target of ``trace`` means: a number of a report, an artifact, or a file.

Belongs here: from what somebody typed to the artifacts to begin at. Stays out: whose a number of the block of results
is (``report_numbers``), what an artifact was made from, verifying anything (``trace``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ta_assets.assets.readme import readme_path, stored_block
from ta_assets.assets.sweeps import CELLS
from ta_assets.assets.verdicts import VERDICT_ASSET, release_folder
from ta_assets.core.errors import InputError, shown
from ta_assets.jobs.sweep import ASSETS as SWEEP_ASSETS
from ta_assets.ledger.partitions import ASSETS, partitions_of
from ta_assets.ledger.world import World
from ta_assets.pages.block_numbers import NUMBER, Found, numbers_of
from ta_assets.studies.study import Study

NODE = re.compile(r"(?P<asset>[a-z_]+)\[(?P<partition>[^\]]+)\]")
TRACED = (*ASSETS, VERDICT_ASSET, *SWEEP_ASSETS)
"""Every asset of which a run records what it made."""


@dataclass(frozen=True)
class Target:
    """A target and what it is of."""

    text: str
    """As it was typed."""
    roots: tuple[tuple[str, str], ...]
    """The artifacts to begin at."""
    found: tuple[Found, ...] = ()
    """Where a number stands."""
    block_of: str | None = None
    """The study whose block of results in a README the number was read from."""


def resolve(world: World, target: str, report: Path | None) -> Target:
    """What a target means.

    Args:
        world: where artifacts and studies are.
        target: a number as it is printed, ``asset[partition]``, or the path of a file.
        report: the file that holds the number; by default the README of the selected study.

    Raises:
        InputError: there is no such target, or the report cannot be read.
    """
    node = NODE.fullmatch(target)
    if report is None and node:
        return Target(target, (_known(world, node["asset"], node["partition"], target),))
    if report is None and Path(target).is_file():
        return Target(target, (_owner(world, Path(target).resolve()),))
    if not NUMBER.fullmatch(target):
        expected = "a number, asset[partition] or a file" if report is None else "a number, since a report is given"
        raise InputError("command line", "TARGET", target, expected)
    place = report or readme_path(world.studies.selected, world.store.base)
    study = _study_of_readme(world, place.resolve())
    if study is not None:
        what = "a number that is printed in its block of results"
        found = [one for number, one in numbers_of(_block(study, world), study, place) if number == target]
    else:
        what, owner, text = "a number that is printed there", _owner(world, place.resolve()), _read(place)
        found = [Found(line, place.name, owner) for line in text.splitlines() if target in NUMBER.findall(line)]
    if not found:
        raise InputError(place, "number", target, what)
    return Target(target, tuple(dict.fromkeys(one.node for one in found)), tuple(found), study and study.name)


def partitions_recorded(world: World, asset: str) -> list[str]:
    """The partitions that an asset can have been made of."""
    if asset == "sweep_metrics":
        return list(world.ledger.dagster.get_dynamic_partitions(str(CELLS.name)))
    return [partition for study in world.studies.studies for partition in partitions_of(asset, study)]


def _known(world: World, asset: str, partition: str, target: str) -> tuple[str, str]:
    if asset not in TRACED:
        raise InputError("command line", "TARGET", target, f"an asset among {', '.join(TRACED)}")
    partitions = partitions_recorded(world, asset)
    if partition not in partitions:
        raise InputError("command line", "TARGET", target, f"a partition among {shown(partitions)}")
    return asset, partition


def _owner(world: World, path: Path) -> tuple[str, str]:
    """The artifact that a file belongs to."""
    base, study = world.store.base, _study_of_readme(world, path)
    if study is not None:
        return "readme_block", study.name
    if not path.is_relative_to(base):
        readme = readme_path(world.studies.selected, base)
        raise InputError(path, "place", str(path), f"a file below {base}, or {readme}")
    for study in world.studies.studies:
        if path.parent == release_folder(study.name, base):
            return VERDICT_ASSET, study.name
    for asset in TRACED:
        for partition in partitions_recorded(world, asset):
            if path.is_relative_to(world.store.folder(asset, partition)):
                return asset, partition
    inside = path.relative_to(base).as_posix()
    for corpus in world.studies.by_corpus:
        made = world.ledger.materialization("activations", corpus)
        if made is not None and inside in (made.metadata.get("files") or {}):
            return "activations", corpus
    expected = "a file that a run recorded; stored folds and the vectors of sweeps are on the way only: trace the "
    expected += "seed_free_scores, probe_metrics or sweep_metrics made of them"
    raise InputError(path, "artifact", inside, expected)


def _study_of_readme(world: World, path: Path) -> Study | None:
    """The study whose block a file holds; the selected one, should it hold several."""
    studies = world.studies
    for study in (studies.selected, *studies.studies):
        if path == readme_path(study, world.store.base).resolve():
            return study
    return None


def _block(study: Study, world: World) -> str:
    block = stored_block(study, world.store.base)
    if block is None:
        readme = readme_path(study, world.store.base)
        raise InputError(readme, "block of results", None, "one; run the release first")
    return block


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "file", type(error).__name__, f"a readable UTF-8 file ({error})") from None
