"""Walking from an artifact to what it was made from, and verifying every step.

Stays out: what a target means (``targets``), what an artifact is made from (``ledger.table``), whether it is old
(``ledger.ledger``), how a walk looks (``printed``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ta_assets.assets.expected import expected_made_from
from ta_assets.assets.verdicts import FILES, release_folder
from ta_assets.core.errors import InputError
from ta_assets.ledger.fingerprint import CODE, MADE_FROM, code_sha256, fingerprint
from ta_assets.ledger.ledger import Materialization
from ta_assets.ledger.table import FACTS, Node, Role
from ta_assets.ledger.world import World
from ta_assets.pages.block import block_faults
from ta_assets.studies.readme_file import report_path
from ta_assets.trace.targets import Target
from ta_resources.storage.atomic import sha256_of


@dataclass
class Step:
    """One artifact on the way, with what is recorded of it and what of that holds."""

    node: Node
    record: dict[str, Any]
    """Empty when it was never made."""
    faults: list[str]
    parents: list[Node]

    @property
    def name(self) -> str:
        """As the target is written."""
        return name_of(self.node)


def trace(world: World, target: Target) -> tuple[list[Step], list[str]]:
    """Walk from a target to where it comes from.

    Returns:
        The artifacts that lead to it, each once, every one after what it was made from; and everything that is not
        what was recorded: empty when all is verified.
    """
    view, faults = _View(world), []
    study = target.block_of
    if study is not None and not any(FACTS[asset].tells_of_checks for asset, _ in target.roots):
        # a number of the README is only worth as much as the whole block
        faults = _tried(lambda: block_faults(world, study))
    seen: set[Node] = set()
    steps: list[Step] = []

    def visit(node: Node) -> None:
        if node in seen:
            return
        seen.add(node)
        step = view.step(*node)
        for parent in step.parents:
            visit(parent)
        steps.append(step)

    for root in target.roots:
        visit(root)
    return steps, [*faults, *(f"{step.name}: {fault}" for step in steps for fault in step.faults)]


@dataclass(frozen=True)
class _View:
    """What a walk looks at."""

    world: World

    def step(self, asset: str, partition: str) -> Step:
        """One artifact, verified; what cannot be verified is a fault of it."""
        instance = self.world.ledger
        made = instance.materialization(asset, partition)
        if made is None:
            return Step((asset, partition), {}, ["it was never made"], self._parents(asset, partition, {}))
        made_from = dict(made.metadata.get(MADE_FROM) or {})
        record = {
            "made": datetime.fromtimestamp(made.timestamp, UTC).isoformat(timespec="seconds"),
            "run": made.run_id,
            "data_version": made.data_version,
            "code_version": instance.code_version(asset),
            "code_sha256": made.metadata.get(CODE),
            "made_from": made_from,
            "files": self._recorded_files(partition, made),
        }
        parents = self._parents(asset, partition, made_from)
        faults = _tried(lambda: self._changed_files(asset, partition, record["files"]))
        faults = faults or _tried(lambda: self._changed_content(asset, partition, made))
        faults += _tried(lambda: self._stale(asset, partition, made, parents))
        if record["code_sha256"] != code_sha256():
            faults.append(f"code: sha256 is now {code_sha256()}, recorded {record['code_sha256']}")
        if FACTS[asset].tells_of_checks:
            faults += _tried(lambda: block_faults(self.world, partition))
        if FACTS[asset].role is Role.PAGE:
            faults += _tried(lambda: self._changed_page(asset, partition))
        return Step((asset, partition), record, faults, parents)

    def _recorded_files(self, partition: str, made: Materialization) -> dict[str, str]:
        base = self.world.store.local_folder
        place = release_folder(partition, base).relative_to(base)
        left_behind = (made.metadata.get(FILES) or {}).items()
        return {**(made.metadata.get("files") or {}), **{(place / name).as_posix(): one for name, one in left_behind}}

    def _changed_files(self, asset: str, partition: str, recorded: Mapping[str, str]) -> list[str]:
        base = self.world.store.local_folder
        present, folder = self.world.store.hashes(asset, partition), release_folder(partition, base)
        if FACTS[asset].role is Role.VERDICT and folder.is_dir():
            present |= {path.relative_to(base).as_posix(): sha256_of(path) for path in folder.iterdir()}
        return [
            *(
                f"{name}: sha256 is {present.get(name)}, recorded {expected}"
                for name, expected in sorted(recorded.items())
                if present.get(name) != expected
            ),
            *(f"{name}: not among the recorded files" for name in sorted({*present} - {*recorded})),
        ]

    def _changed_content(self, asset: str, partition: str, made: Materialization) -> list[str]:
        same = fingerprint(self.world.store.load(asset, partition)) == made.data_version
        return [] if same else [f"content: its fingerprint is not the recorded data version {made.data_version}"]

    def _changed_page(self, asset: str, partition: str) -> list[str]:
        path = report_path(partition, self.world.store.local_folder)
        found, made = sha256_of(path) if path.is_file() else None, self.world.store.load(asset, partition)["sha256"]
        return [] if found == made else [f"{path}: sha256 is {found}, it was made with {made}"]

    def _stale(self, asset: str, partition: str, made: Materialization, parents: Sequence[Node]) -> list[str]:
        instance = self.world.ledger
        stale = instance.work(asset, partition, expected_made_from(self.world, asset, partition))
        if stale is None and FACTS[asset].ages_with_reads:
            found = [(parent, instance.materialization(*parent)) for parent in parents]
            again = [name_of(parent) for parent, one in found if one is None or one.storage_id > made.storage_id]
            stale = f"made again since: {', '.join(again)}" if again else None
        return [f"made from something else than there is now: {stale}"] if stale else []

    def _parents(self, asset: str, partition: str, made_from: Mapping[str, Any]) -> list[Node]:
        """What an artifact is made from: by the graph, and what assets read through the store."""
        parents = self.world.ledger.parents(asset, partition)
        return sorted({*parents, *FACTS[asset].reads(self.world, partition, made_from)})


def _tried(verify: Callable[[], list[str]]) -> list[str]:
    """The faults that a verification finds, or why it could not be made."""
    try:
        return verify()
    except InputError as error:
        return [str(error)]
    except Exception as error:  # what was tampered with may fail anywhere
        return [f"cannot be verified: {type(error).__name__}: {error}"]


def name_of(node: Node) -> str:
    """An artifact as a target is written."""
    return f"{node[0]}[{node[1]}]"
