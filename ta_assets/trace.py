"""From a number or a file back to data, code and configuration: ``python -m ta_assets.trace --help``.

Belongs here: finding the artifact of a target, walking to what that was made from, verifying every step, printing it.
Stays out: whose a number is (``report_numbers``), what an artifact is made from (``provenance``), staleness itself
(``staleness``).

Run it where ``release`` ran: it reads ``dagster.yaml``, the artifacts and the study, and changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.partitions import Cell, partitions_of
from ta_assets.provenance import CODE, MADE_FROM, code_sha256, fingerprint
from ta_assets.report_numbers import NUMBER, Found, numbers_of
from ta_checks.evidence import Sources

EXIT_UNVERIFIED, EXIT_BAD_INPUT = 1, 2
NODE = re.compile(r"(?P<asset>[a-z_]+)\[(?P<partition>[^\]]+)\]")
DESCRIPTION = (
    "Walk from TARGET to the data, code and configuration that made it, and verify every step. TARGET is a number as "
    "it is printed in the README's block of results (or, with --report, in another report), an artifact as "
    "'asset[partition]', or a file below the artifacts. Exit code 0: all verified; 1: something is not what was "
    "recorded; 2: there is no such target."
)


@dataclass
class Step:
    """One artifact on the way, with what is recorded of it and what of that holds."""

    asset: str
    partition: str
    record: dict[str, Any]
    faults: list[str]
    parents: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the target is written."""
        return f"{self.asset}[{self.partition}]"


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
        sources = _sources()
        found, roots = _resolve(sources, options.target, options.report)
        faults = _reports_that_differ(sources, found, options.report)
        steps = walk(sources, roots)
    except InputError as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    unverified = [*faults, *(f"{step.name}: {fault}" for step in steps for fault in step.faults)]
    if options.json:
        answer = {
            "target": options.target,
            "found": [
                {"line": one.line, "what": one.what, "artifact": f"{one.node[0]}[{one.node[1]}]"} for one in found
            ],
            "steps": [
                {
                    "artifact": step.name,
                    **step.record,
                    "faults": step.faults,
                    "made_from_artifacts": _names(step.parents),
                }
                for step in steps
            ],
            "faults": unverified,
        }
        print(json.dumps(answer, indent=1, allow_nan=False))
    else:
        print("\n".join(_text(options.target, found, roots, steps, unverified)))
    return EXIT_UNVERIFIED if unverified else 0


def walk(sources: Sources, roots: Sequence[tuple[str, str]]) -> list[Step]:
    """The artifacts that lead to ``roots``, each once, every one after what it was made from."""
    seen: set[tuple[str, str]] = set()
    steps: list[Step] = []

    def visit(node: tuple[str, str]) -> None:
        if node in seen:
            return
        seen.add(node)
        step = _step(sources, *node)
        for parent in step.parents:
            visit(parent)
        steps.append(step)

    for root in roots:
        visit(root)
    return steps


def _signed(argument: str) -> bool:
    return argument[:1] in "+-" and NUMBER.fullmatch(argument) is not None


def _sources() -> Sources:
    import dagster as dg

    from ta_assets.definitions import defs
    from ta_assets.staleness import Instance
    from ta_assets.studies import load_studies
    from ta_resources.language_model import LanguageModelResource
    from ta_resources.rollouts import RolloutsResource
    from ta_resources.storage import ArtifactStore

    home = Path(os.environ.get("DAGSTER_HOME") or ".").resolve()
    if not (home / "dagster.yaml").is_file():
        raise InputError(home, "dagster.yaml", None, "the folder in which the release ran")
    instance = Instance(dg.DagsterInstance.from_config(str(home)), lambda: defs)
    return Sources(load_studies(), ArtifactStore(), RolloutsResource(), LanguageModelResource(), instance)


def _resolve(sources: Sources, target: str, report: Path | None) -> tuple[list[Found], list[tuple[str, str]]]:
    """Where the target stands, and the artifacts to begin at."""
    node = NODE.fullmatch(target)
    if node:
        return [], [_known(sources, node["asset"], node["partition"], target)]
    if Path(target).is_file():
        return [], [_owner(sources, Path(target).resolve())]
    if not NUMBER.fullmatch(target):
        raise InputError("command line", "TARGET", target, "a number, asset[partition] or a file")
    if report is not None:
        text = _read(report)
        lines = [line for line in text.splitlines() if target in NUMBER.findall(line)]
        owner = _owner(sources, report.resolve())
        found = [Found(line, report.name, owner) for line in lines]
    else:
        study = sources.studies.selected
        found = [one for number, one in numbers_of(_block(sources), study) if number == target]
    if not found:
        raise InputError(report or _readme(sources), "number", target, "a number that is printed there")
    return found, list(dict.fromkeys(one.node for one in found))


def _known(sources: Sources, asset: str, partition: str, target: str) -> tuple[str, str]:
    from ta_checks import ASSETS

    if asset not in ASSETS:
        raise InputError("command line", "TARGET", target, f"an asset among {', '.join(ASSETS)}")
    partitions = [one for study in sources.studies.studies for one in partitions_of(asset, study)]
    if partition not in partitions:
        raise InputError("command line", "TARGET", target, f"a partition among {', '.join(partitions)}")
    return asset, partition


def _owner(sources: Sources, path: Path) -> tuple[str, str]:
    """The artifact that a file belongs to."""
    from ta_checks import ASSETS

    base, study = sources.store.base, sources.studies.selected
    if path == _readme(sources):
        return "readme_block", study.name
    inside = path.relative_to(base).as_posix() if path.is_relative_to(base) else None
    if inside is None:
        raise InputError(path, "place", str(path), f"a file below {base}, or {_readme(sources)}")
    for asset in ASSETS:
        for partition in (one for other in sources.studies.studies for one in partitions_of(asset, other)):
            if path.is_relative_to(sources.store.folder(asset, partition)):
                return asset, partition
            if asset == "activations" and inside in _shards(sources, partition):
                return asset, partition
    raise InputError(path, "artifact", inside, "a file of an asset; releases, folds and sweeps have none")


def _shards(sources: Sources, corpus: str) -> set[str]:
    store = sources.store
    if not store.exists("activations", corpus):
        return set()
    return {shard.file for shard in store.load("activations", corpus).files()}


def _step(sources: Sources, asset: str, partition: str) -> Step:
    from ta_assets.release import expected_made_from

    instance = sources.instance
    made = instance.materialization(asset, partition)
    if made is None:
        raise InputError(f"{asset}[{partition}]", "materialization", None, "one; run the release first")
    recorded = made.metadata.get("files") or {}
    present = sources.store.hashes(asset, partition)
    faults = [
        f"{name}: sha256 is {present.get(name)}, recorded {expected}"
        for name, expected in sorted(recorded.items())
        if present.get(name) != expected
    ]
    faults += [f"{name}: not among the recorded files" for name in sorted({*present} - {*recorded})]
    if not faults and fingerprint(sources.store.load(asset, partition)) != made.data_version:
        faults.append(f"content: its fingerprint is not the recorded data version {made.data_version}")
    stale = instance.work(asset, partition, expected_made_from(sources, asset, partition))
    faults += [f"made from something else than there is now: {stale}"] if stale else []
    code = made.metadata.get(CODE)
    faults += [f"code: sha256 is now {code_sha256()}, recorded {code}"] if code != code_sha256() else []
    record = {
        "made": datetime.fromtimestamp(made.timestamp, UTC).isoformat(timespec="seconds"),
        "run": made.run_id,
        "data_version": made.data_version,
        "code_version": instance.code_version(asset),
        "code_sha256": code,
        "made_from": dict(made.metadata.get(MADE_FROM) or {}),
        "files": dict(recorded),
    }
    parents = instance.parents(asset, partition)
    if asset == "probe_metrics":  # it reads its corpus through the store, by way of the seed-free scores
        study = sources.studies.by_setting[Cell.from_key(partition).setting]
        corpus = study.settings[Cell.from_key(partition).setting].corpus
        parents = sorted({*parents, ("sentences", corpus), ("activations", corpus)})
    return Step(asset, partition, record, faults, parents)


def _reports_that_differ(sources: Sources, found: Sequence[Found], report: Path | None) -> list[str]:
    """A number of the README is only worth as much as the whole block: it must be what the artifacts give now."""
    from ta_assets.readme import current_block

    if not found or report is not None:
        return []
    current = current_block(sources, sources.studies.selected.name)
    if _block(sources) == current.strip("\n"):
        return []
    lines = set(current.splitlines())
    return [
        f"{_readme(sources)}: the artifacts do not give this line now: {one.line}"
        for one in found
        if one.line not in lines
    ]


def _readme(sources: Sources) -> Path:
    from ta_assets.readme import readme_path

    return readme_path(sources.studies.selected, sources.store.base)


def _block(sources: Sources) -> str:
    from ta_assets.readme import stored_block

    block = stored_block(sources.studies.selected, sources.store.base)
    if block is None:
        raise InputError(_readme(sources), "block of results", None, "one; run the release first")
    return block


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "file", type(error).__name__, f"a readable UTF-8 file ({error})") from None


def _names(nodes: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{asset}[{partition}]" for asset, partition in nodes]


def _text(
    target: str, found: Sequence[Found], roots: Sequence[tuple[str, str]], steps: Sequence[Step], faults: Sequence[str]
) -> list[str]:
    lines = [f"{target} is {one.what}, of {one.node[0]}[{one.node[1]}]" for one in found]
    lines += [] if found else [f"{target} is of {name}" for name in _names(roots)]
    for step in steps:
        record = step.record
        lines += [
            "",
            f"{step.name}  {'verified' if not step.faults else 'NOT VERIFIED'}",
            f"  made {record['made']} in run {record['run']}",
            f"  from {', '.join(_names(step.parents)) or 'no other artifact'}",
            f"  data version {record['data_version']}",
            f"  code version {record['code_version']}, code sha256 {record['code_sha256']}",
            *(f"  {name} = {value}" for name, value in _flat(record["made_from"])),
            *(f"  file {name} sha256 {value}" for name, value in sorted(record["files"].items())),
            *(f"  FAULT {fault}" for fault in step.faults),
        ]
    lines += ["", f"{len(steps)} artifacts, {len(faults)} faults", *(f"  {fault}" for fault in faults)]
    return lines


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in sorted(value.items()):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value


if __name__ == "__main__":
    sys.exit(main())
