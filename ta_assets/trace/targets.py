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
from ta_assets.ledger.partitions import partitions_of
from ta_assets.pages.block_numbers import NUMBER, Found, numbers_of
from ta_assets.studies.study import Study
from ta_checks.evidence import Sources
from ta_checks.table import ASSETS

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


def resolve(sources: Sources, target: str, report: Path | None) -> Target:
    """What a target means.

    Args:
        sources: where artifacts and studies are.
        target: a number as it is printed, ``asset[partition]``, or the path of a file.
        report: the file that holds the number; by default the README of the selected study.

    Raises:
        InputError: there is no such target, or the report cannot be read.
    """
    node = NODE.fullmatch(target)
    if report is None and node:
        return Target(target, (_known(sources, node["asset"], node["partition"], target),))
    if report is None and Path(target).is_file():
        return Target(target, (_owner(sources, Path(target).resolve()),))
    if not NUMBER.fullmatch(target):
        expected = "a number, asset[partition] or a file" if report is None else "a number, since a report is given"
        raise InputError("command line", "TARGET", target, expected)
    place = report or readme_path(sources.studies.selected, sources.store.base)
    study = _study_of_readme(sources, place.resolve())
    if study is not None:
        what = "a number that is printed in its block of results"
        found = [one for number, one in numbers_of(_block(study, sources), study, place) if number == target]
    else:
        what, owner, text = "a number that is printed there", _owner(sources, place.resolve()), _read(place)
        found = [Found(line, place.name, owner) for line in text.splitlines() if target in NUMBER.findall(line)]
    if not found:
        raise InputError(place, "number", target, what)
    return Target(target, tuple(dict.fromkeys(one.node for one in found)), tuple(found), study and study.name)


def partitions_recorded(sources: Sources, asset: str) -> list[str]:
    """The partitions that an asset can have been made of."""
    if asset == "sweep_metrics":
        return list(sources.instance.dagster.get_dynamic_partitions(str(CELLS.name)))
    return [partition for study in sources.studies.studies for partition in partitions_of(asset, study)]


def _known(sources: Sources, asset: str, partition: str, target: str) -> tuple[str, str]:
    if asset not in TRACED:
        raise InputError("command line", "TARGET", target, f"an asset among {', '.join(TRACED)}")
    partitions = partitions_recorded(sources, asset)
    if partition not in partitions:
        raise InputError("command line", "TARGET", target, f"a partition among {shown(partitions)}")
    return asset, partition


def _owner(sources: Sources, path: Path) -> tuple[str, str]:
    """The artifact that a file belongs to."""
    base, study = sources.store.base, _study_of_readme(sources, path)
    if study is not None:
        return "readme_block", study.name
    if not path.is_relative_to(base):
        readme = readme_path(sources.studies.selected, base)
        raise InputError(path, "place", str(path), f"a file below {base}, or {readme}")
    for study in sources.studies.studies:
        if path.parent == release_folder(study.name, base):
            return VERDICT_ASSET, study.name
    for asset in TRACED:
        for partition in partitions_recorded(sources, asset):
            if path.is_relative_to(sources.store.folder(asset, partition)):
                return asset, partition
    inside = path.relative_to(base).as_posix()
    for corpus in sources.studies.by_corpus:
        made = sources.instance.materialization("activations", corpus)
        if made is not None and inside in (made.metadata.get("files") or {}):
            return "activations", corpus
    expected = "a file that a run recorded; stored folds and the vectors of sweeps are on the way only: trace the "
    expected += "seed_free_scores, probe_metrics or sweep_metrics made of them"
    raise InputError(path, "artifact", inside, expected)


def _study_of_readme(sources: Sources, path: Path) -> Study | None:
    """The study whose block a file holds; the selected one, should it hold several."""
    studies = sources.studies
    for study in (studies.selected, *studies.studies):
        if path == readme_path(study, sources.store.base).resolve():
            return study
    return None


def _block(study: Study, sources: Sources) -> str:
    block = stored_block(study, sources.store.base)
    if block is None:
        readme = readme_path(study, sources.store.base)
        raise InputError(readme, "block of results", None, "one; run the release first")
    return block


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "file", type(error).__name__, f"a readable UTF-8 file ({error})") from None
