"""From a number or a file back to data, code and configuration: ``python -m ta_assets.trace --help``.

Belongs here: walking from an artifact to what it was made from, verifying every step, printing it. Stays out: what a
target means (``trace_targets``), what an artifact is made from (``provenance``), staleness itself (``staleness``).

Run it where ``release`` ran. It changes no artifact, no report and no record of a run, and makes no instance. Not
everything on the disk stays as it is: Dagster locks its databases and keeps its cache of statuses in them, and for
data or a model on the Hub the commit that a revision means is asked for, and kept, as a release does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ta_assets.assets.readme import block_faults
from ta_assets.assets.sweeps import SweepSource, cell_of, finished, leaderboard_made_from
from ta_assets.assets.verdicts import FILES, VERDICT_ASSET, release_folder
from ta_assets.core.errors import InputError
from ta_assets.jobs.release import expected_made_from
from ta_assets.ledger.ledger import Ledger, Materialization
from ta_assets.ledger.made_from import CODE, MADE_FROM, Origins, code_sha256, fingerprint
from ta_assets.ledger.partitions import Cell
from ta_assets.ledger.world import World
from ta_assets.pages.block_numbers import NUMBER
from ta_assets.studies.loading import load_studies
from ta_assets.studies.sweep import sweep_cells
from ta_assets.trace.targets import Target, resolve
from ta_resources.instance_storage import existing_instance
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.atomic import sha256_of

EXIT_UNVERIFIED, EXIT_BAD_INPUT = 1, 2
DESCRIPTION = (
    "Walk from TARGET to the data, code and configuration that made it, and verify every step. TARGET is a number as "
    "it is printed in the README's block of results (or, with --report, in another report), an artifact as "
    "'asset[partition]', or a file below the artifacts. Exit code 0: all verified; 1: something is not what was "
    "recorded; 2: there is no such target, or no release that it could be of."
)
Node = tuple[str, str]
"""An artifact: (asset, partition)."""


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
        return _name(self.node)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ta_assets.trace", description=DESCRIPTION)
    parser.add_argument("target", help="a number, asset[partition], or a file")
    parser.add_argument("--report", type=Path, help="the report that holds the number; the study's README by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    given = list(sys.argv[1:] if arguments is None else arguments)
    # a number may begin with a sign, which argparse takes for an option
    signed = [one for one in given if _signed(one)]
    options = parser.parse_args([*(one for one in given if one not in signed), *(["--", *signed] if signed else [])])
    try:
        world = _sources()
        target = resolve(world, options.target, options.report)
    except InputError as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    steps, faults = trace(world, target)
    if options.json:
        print(json.dumps(_json(target, steps, faults), indent=1, allow_nan=False))
    else:
        print("\n".join(_text(target, steps, faults)))
    return EXIT_UNVERIFIED if faults else 0


def trace(world: World, target: Target) -> tuple[list[Step], list[str]]:
    """Walk from a target to where it comes from.

    Returns:
        The artifacts that lead to it, each once, every one after what it was made from; and everything that is not
        what was recorded: empty when all is verified.
    """
    view, faults = _View(world), []
    study = target.block_of
    if study is not None and ("readme_block", study) not in target.roots:
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


def _signed(argument: str) -> bool:
    return argument[:1] in "+-" and NUMBER.fullmatch(argument) is not None


def _sources() -> World:
    instance = existing_instance(Path(os.environ.get("DAGSTER_HOME") or ".").resolve())
    studies = load_studies()
    from ta_assets.definitions import defs  # reads the studies when imported, whose faults have been named by now

    store = ArtifactStore(recovers=False)
    return World(studies, store, RolloutsResource(), LanguageModelResource(), Ledger(instance, lambda: defs))


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
        if asset == "readme_block":
            faults += _tried(lambda: block_faults(self.world, partition))
        return Step((asset, partition), record, faults, parents)

    def _recorded_files(self, partition: str, made: Materialization) -> dict[str, str]:
        place = release_folder(partition, self.world.store.base).relative_to(self.world.store.base)
        left_behind = (made.metadata.get(FILES) or {}).items()
        return {**(made.metadata.get("files") or {}), **{(place / name).as_posix(): one for name, one in left_behind}}

    def _changed_files(self, asset: str, partition: str, recorded: Mapping[str, str]) -> list[str]:
        store = self.world.store
        present, folder = store.hashes(asset, partition), release_folder(partition, store.base)
        if asset == VERDICT_ASSET and folder.is_dir():
            present |= {path.relative_to(store.base).as_posix(): sha256_of(path) for path in folder.iterdir()}
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

    def _stale(self, asset: str, partition: str, made: Materialization, parents: Sequence[Node]) -> list[str]:
        instance = self.world.ledger
        stale = instance.work(asset, partition, self._made_from_now(asset, partition))
        if stale is None and asset == "sweep_leaderboard":  # its combinations are no parents of it in the graph
            found = [(parent, instance.materialization(*parent)) for parent in parents]
            again = [_name(parent) for parent, one in found if one is None or one.storage_id > made.storage_id]
            stale = f"made again since: {', '.join(again)}" if again else None
        return [f"made from something else than there is now: {stale}"] if stale else []

    def _made_from_now(self, asset: str, partition: str) -> dict[str, Any]:
        world = self.world
        if asset == "sweep_metrics":
            return self._sweep.made_from(self._sweep_cells.get(partition) or cell_of(world.studies, partition))
        if asset == "sweep_leaderboard":
            study = world.studies.by_name[partition]
            return leaderboard_made_from(study, finished(study, world.store))
        return expected_made_from(world, asset, partition)

    def _parents(self, asset: str, partition: str, made_from: Mapping[str, Any]) -> list[Node]:
        """What an artifact is made from: by the graph, and what assets read through the store."""
        studies = self.world.studies
        if asset == "sweep_leaderboard":
            return [("sweep_metrics", key) for key in made_from.get("finished") or []]
        if asset == "sweep_metrics":
            setting = partition.rpartition("|")[2]
            return [("problem_ids", setting)] if setting in studies.by_setting else []
        parents = self.world.ledger.parents(asset, partition)
        if asset == "probe_metrics":  # its corpus, by way of the seed-free scores
            setting = Cell.from_key(partition).setting
            corpus = studies.by_setting[setting].settings[setting].corpus
            parents = [*parents, ("sentences", corpus), ("activations", corpus)]
        if asset == "readme_block":  # it counts the checks of every asset; these alone lead to nothing else of it
            parents = [*parents, *(("deferral_plan", setting) for setting in studies.by_name[partition].settings)]
        return sorted(set(parents))

    @cached_property
    def _sweep(self) -> SweepSource:
        world = self.world
        origins = Origins(world.studies, world.rollouts, world.language_model)
        return SweepSource(origins, world.store, lambda _: None)

    @cached_property
    def _sweep_cells(self) -> dict[str, Any]:
        return {cell.key: cell for study in self.world.studies.studies for cell in sweep_cells(study)}


def _tried(verify: Callable[[], list[str]]) -> list[str]:
    """The faults that a verification finds, or why it could not be made."""
    try:
        return verify()
    except InputError as error:
        return [str(error)]
    except Exception as error:  # what was tampered with may fail anywhere
        return [f"cannot be verified: {type(error).__name__}: {error}"]


def _name(node: Node) -> str:
    return f"{node[0]}[{node[1]}]"


def _json(target: Target, steps: Sequence[Step], faults: Sequence[str]) -> dict[str, Any]:
    return {
        "target": target.text,
        "found": [{"line": one.line, "what": one.what, "artifact": _name(one.node)} for one in target.found],
        "steps": [
            {
                "artifact": step.name,
                **step.record,
                "faults": step.faults,
                "made_from_artifacts": [_name(parent) for parent in step.parents],
            }
            for step in steps
        ],
        "faults": list(faults),
    }


def _text(target: Target, steps: Sequence[Step], faults: Sequence[str]) -> list[str]:
    lines = [f"{target.text} is {one.what}, of {_name(one.node)}" for one in target.found]
    lines += [] if target.found else [f"{target.text} is of {_name(root)}" for root in target.roots]
    for step in steps:
        record = step.record
        lines += ["", f"{step.name}  {'verified' if not step.faults else 'NOT VERIFIED'}"]
        if record:
            lines += [
                f"  made {record['made']} in run {record['run']}",
                f"  from {', '.join(map(_name, step.parents)) or 'no other artifact'}",
                f"  data version {record['data_version']}",
                f"  code version {record['code_version']}, code sha256 {record['code_sha256']}",
                *(f"  {name} = {value}" for name, value in _flat(record["made_from"])),
                *(f"  file {name} sha256 {value}" for name, value in sorted(record["files"].items())),
            ]
        lines += [f"  FAULT {fault}" for fault in step.faults]
    return [*lines, "", f"{len(steps)} artifacts, {len(faults)} faults", *(f"  {fault}" for fault in faults)]


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in sorted(value.items()):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value


if __name__ == "__main__":
    sys.exit(main())
