"""What a target of ``trace`` means: a number of a report, an artifact, or a file.

Belongs here: from what somebody typed to the artifacts to begin at. Stays out: what an artifact was made from,
verifying anything (``walk``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ta_assets.assets.readme import SPANS
from ta_assets.assets.verdicts import VERDICT_ASSET, release_folder
from ta_assets.core.errors import InputError, shown
from ta_assets.ledger.table import FACTS, Node, Role, recorded_partitions, with_role
from ta_assets.ledger.world import World
from ta_assets.pages.spans import NUMBER, Found, Line, from_json, numbers, text_of
from ta_assets.studies.readme_file import readme_path, report_path, results_path, stored_block, stored_page
from ta_assets.studies.study import Study
from ta_resources.storage.atomic import read_text

(PAGE_ASSET,) = with_role(Role.PAGE)
NODE = re.compile(r"(?P<asset>[a-z_]+)\[(?P<partition>[^\]]+)\]")


@dataclass(frozen=True)
class Target:
    """A target and what it is of."""

    text: str
    """As it was typed."""
    roots: tuple[Node, ...]
    """The artifacts to begin at."""
    found: tuple[Found, ...] = ()
    """Where a number stands."""
    block_of: str | None = None
    """The study whose block of results in a README the number was read from."""


def resolve(world: World, target: str, report: Path | None) -> Target:
    """What a target means.

    Args:
        world: where artifacts and studies are.
        target: a number as it is printed, ``asset[partition]``, or the path or URL of a file.
        report: the file that holds the number; by default the README of the selected study.

    Raises:
        InputError: there is no such target, or the report cannot be read.
    """
    node = NODE.fullmatch(target)
    if report is None and node:
        return Target(target, (_known(world, node["asset"], node["partition"], target),))
    if report is None and Path(target).is_file():
        return Target(target, (_owner(world, Path(target).resolve()),))
    stored = world.store.files.name_of(target) if "://" in target else None
    if report is None and stored is not None:
        return Target(target, (_holder(world, stored, target),))
    if not NUMBER.fullmatch(target):
        expected = "a number, asset[partition] or a file" if report is None else "a number, since a report is given"
        raise InputError("command line", "TARGET", target, expected)
    place = report or readme_path(world.studies.selected, world.store.local_folder)
    study = _study_of_readme(world, place.resolve())
    if study is not None:
        what = "a number that is printed in its block of results"
        found = _in_block(world, study, target)
    else:
        what, owner, text = "a number that is printed there", _owner(world, place.resolve()), read_text(place)
        found = [Found(line, place.name, owner) for line in text.splitlines() if target in NUMBER.findall(line)]
    if not found:
        raise InputError(place, "number", target, what)
    return Target(target, tuple(dict.fromkeys(one.node for one in found)), tuple(found), study and study.name)


def _known(world: World, asset: str, partition: str, target: str) -> Node:
    if asset not in FACTS:
        raise InputError("command line", "TARGET", target, f"an asset among {', '.join(FACTS)}")
    partitions = recorded_partitions(world, asset)
    if partition not in partitions:
        raise InputError("command line", "TARGET", target, f"a partition among {shown(partitions)}")
    return asset, partition


def _owner(world: World, path: Path) -> Node:
    """The artifact that a file belongs to."""
    base, study = world.store.local_folder, _study_of_readme(world, path)
    if study is not None:
        return "readme_block", study.name
    if not path.is_relative_to(base):
        readme = readme_path(world.studies.selected, base)
        raise InputError(path, "place", str(path), f"a file below {base}, or {readme}")
    for study in world.studies.studies:
        if path.parent == release_folder(study.name, base):
            return VERDICT_ASSET, study.name
        if path == report_path(study.name, base).resolve():
            return PAGE_ASSET, study.name
    return _holder(world, world.store.files.name_of(str(path)) or path.relative_to(base).as_posix(), str(path))


def _holder(world: World, name: str, place: str) -> Node:
    """The artifact that a file of the store belongs to, by its name."""
    for asset in FACTS:
        for partition in recorded_partitions(world, asset):
            if name.startswith(f"{world.store.folder(asset, partition)}/"):
                return asset, partition
    for corpus in world.studies.by_corpus:
        made = world.ledger.materialization("activations", corpus)
        if made is not None and name in (made.metadata.get("files") or {}):
            return "activations", corpus
    expected = "a file that a run recorded; stored folds and the vectors of sweeps are on the way only: trace the "
    expected += "seed_free_scores, probe_metrics or sweep_metrics made of them"
    raise InputError(place, "artifact", name, expected)


def _study_of_readme(world: World, path: Path) -> Study | None:
    """The study whose results a file holds, as a block or a page; the selected one, should it hold several."""
    studies, base = world.studies, world.store.local_folder
    for study in (studies.selected, *studies.studies):
        places = readme_path(study, base), results_path(study, base)
        if path in {place.resolve() for place in places}:
            return study
    return None


def _in_block(world: World, study: Study, target: str) -> list[Found]:
    """Where a number stands in a study's README or page, and what it is of: the files against the recorded spans.

    A line that was not recorded is of the block itself, whose walk says where it differs from what it should be.

    Raises:
        InputError: the file has no block.
    """
    base = world.store.local_folder
    stored, made = stored_block(study, base), world.ledger.materialization("readme_block", study.name)
    if stored is None:
        readme = readme_path(study, base)
        raise InputError(readme, "block of results", None, "one; run the release first")
    block = from_json((made.metadata.get(SPANS) or []) if made else [])
    page = stored_page(study, base) or ""
    return found_in(f"{stored}\n{page}", block, ("readme_block", study.name), target)


def found_in(text: str, block: Sequence[Line], own: Node, target: str) -> list[Found]:
    """Where a number stands in a text that should be a block.

    Args:
        text: what is written.
        block: what was recorded.
        own: the artifact that the block is of, and every line of the text that was not recorded.
        target: the number as it is printed.
    """
    lines, recorded = text.splitlines(), {text_of(line) for line in block}
    known = [one for number, one in numbers(block) if number == target and one.line in lines]
    what = "a line that no run recorded"
    unknown = [line for line in lines if line not in recorded and target in NUMBER.findall(line)]
    return [*known, *(Found(line, what, own) for line in unknown)]
