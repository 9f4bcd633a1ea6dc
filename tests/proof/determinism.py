"""The same study gives the same bytes: with 1 and 2 threads, in any order of cells, in one process and in one a cell.

Belongs here: making a study in several ways, comparing every artifact and every row of the verdict. Stays out: kills
and restarts (``kills``).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.studies.loading import load_studies
from tests.assets.conftest import ROOT, TinyWorld, build_world, write_model
from tests.assets.made import materialized
from tests.proof.world import build

PROCESSES = 2
N_EMBEDDED = 14
"""Problems of each corpus of the embedded study."""
NO_ARTIFACT = ".release.lock"
"""Lies beside the artifacts after a release, and only then."""
VERDICT = "verdict: "
"""In front of the name of a row of the verdict."""


@dataclass(frozen=True)
class Study:
    """One study and the ways in which it is made; the first one says what is expected of the others."""

    build: Callable[[Path], TinyWorld]
    """Puts it into an empty folder."""
    ways: Mapping[str, Callable[[TinyWorld], None]]


def run(folder: Path, studies: Mapping[str, Study] | None = None) -> dict[str, Any]:
    """Make every study in every way below ``folder``.

    Returns:
        determinism_runs, determinism_differences, and rows: part, name, artifacts, verdict_rows (0 where the way is no
        release), different (artifacts with other bytes, and rows of the verdict that say something else).
    """
    rows = []
    for title, study in (STUDIES if studies is None else studies).items():
        expected: dict[str, str] = {}
        for way, make in study.ways.items():
            world = study.build(folder / title / way)
            make(world)
            artifacts, verdict = artifacts_of(world), verdict_of(world)
            found = {**artifacts, **verdict}
            expected = expected or found
            names = {name for name in {*expected, *found} if verdict or not name.startswith(VERDICT)}
            different = sorted(name for name in names if expected.get(name) != found.get(name))
            rows.append(
                {
                    "part": "determinism",
                    "name": f"{title}: {way}",
                    "artifacts": len(artifacts),
                    "verdict_rows": len(verdict),
                    "different": different,
                }
            )
    return {
        "determinism_runs": len(rows),
        "determinism_differences": sum(len(row["different"]) for row in rows),
        "rows": rows,
    }


def artifacts_of(world: TinyWorld) -> dict[str, str]:
    """File -> SHA-256."""
    return {path: digest for path, digest in world.artifact_hashes().items() if path != NO_ARTIFACT}


def verdict_of(world: TinyWorld) -> dict[str, str]:
    """Row of the verdict -> SHA-256 of all that it says; empty when there was no release."""
    found = {}
    for path in world.folder.glob("artifacts/*/release/verdict.json"):
        for row in json.loads(path.read_text(encoding="utf-8"))["checks"]:
            said = json.dumps(row, sort_keys=True).replace(str(world.folder), "…")
            name = f"{VERDICT}{row['name']} {row['asset']} {row['partition']}"
            found[name] = hashlib.sha256(said.encode()).hexdigest()
    return found


def tiny(folder: Path) -> TinyWorld:
    """Two corpora of six short problems, and a random model that is 32 wide."""
    folder.mkdir(parents=True)
    write_model(folder / "model")
    return build_world(folder, folder / "model")


def embedded(folder: Path) -> TinyWorld:
    """A part of the embedded study."""
    with dg.DagsterInstance.ephemeral() as instance:
        world = build(folder, instance, N_EMBEDDED)
    made = TinyWorld(folder)
    world.study_file.rename(made.study)
    for name in ("dagster.yaml", "workspace.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return made


def released(world: TinyWorld, threads: int = 1) -> None:
    """By the README's command, with so many threads of torch, OpenMP and BLAS; NOT OK is an answer as well."""
    done = replace(world, threads=threads).release()
    if not verdict_of(world):
        raise RuntimeError(f"the release left no verdict:\n{done.stdout}\n{done.stderr}")


def shuffled(world: TinyWorld, seed: int = 0) -> None:
    """In this process, the partitions of every asset in another order."""
    rng = random.Random(seed)
    with materialized(world.study, lambda partitions: rng.sample(partitions, len(partitions))):
        pass


def one_process_a_cell(world: TinyWorld) -> None:
    """By ``dagster asset materialize``, two at a time; Dagster's pools and the release's lock are not needed for it."""
    studies = load_studies(str(world.study))

    def make(asset: str, partition: str) -> None:
        done = world.run("asset", "materialize", "--select", asset, "--partition", partition)
        if done.returncode:
            raise RuntimeError(f"{asset}[{partition}] was not made:\n{done.stderr}")

    for asset in ASSETS:
        partitions = partitions_of(asset, studies.selected)  # none of what a study with a dataset does not make
        for first in partitions[:1]:  # alone: the first of all makes the instance
            make(asset, first)
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda partition, asset=asset: make(asset, partition), reversed(partitions[1:])))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """That many threads of torch within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


RELEASES: Mapping[str, Callable[[TinyWorld], None]] = {
    "a release, one thread": released,
    "a release, two threads": lambda world: released(world, threads=2),
}
STUDIES: Mapping[str, Study] = {
    "tiny study": Study(
        tiny,
        {
            **RELEASES,
            "cells in another order, all in one process": shuffled,
            "one process a cell (dagster asset materialize)": one_process_a_cell,
        },
    ),
    "embedded study": Study(embedded, RELEASES),
}
