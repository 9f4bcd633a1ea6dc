"""The same study gives the same bytes: with 1 and 2 threads, in any order of cells, in one process and in one a cell.

Belongs here: making a tiny study in several ways, comparing every artifact. Stays out: kills and restarts (``kills``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ta_assets.partitions import partitions_of
from ta_assets.studies import load_studies
from ta_checks import ASSETS
from tests.assets.conftest import TinyWorld, build_world, write_model
from tests.assets.made import materialized

PROCESSES = 2


def run(folder: Path) -> dict[str, Any]:
    """Make the study in every way below ``folder``; a difference is an artifact with other bytes than in the first."""
    model = folder / "model"
    write_model(model)
    expected: dict[str, str] = {}
    rows = []
    for name, make in WAYS.items():
        (folder / name).mkdir()
        world = build_world(folder / name, model)
        make(world)
        # the lock of a release is no artifact, and only a release has one
        found = {path: digest for path, digest in world.artifact_hashes().items() if path != ".release.lock"}
        expected = expected or found
        names = {*expected, *found}
        different = sorted(path for path in names if expected.get(path) != found.get(path))
        rows.append({"part": "determinism", "name": name, "artifacts": len(found), "different": different})
    return {
        "determinism_runs": len(rows),
        "determinism_differences": sum(len(row["different"]) for row in rows),
        "rows": rows,
    }


def released(world: TinyWorld, threads: int = 1) -> None:
    """By the README's command."""
    done = replace(world, threads=threads).release()
    if done.returncode:
        raise RuntimeError(f"the release failed:\n{done.stdout}\n{done.stderr}")


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
        first, *others = partitions_of(asset, studies.selected)
        make(asset, first)  # alone: the first of all makes the instance
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda partition, asset=asset: make(asset, partition), reversed(others)))


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


WAYS: dict[str, Callable[[TinyWorld], None]] = {
    "one thread": released,
    "two threads": lambda world: released(world, threads=2),
    "cells in another order": shuffled,
    "one process a cell": one_process_a_cell,
}
