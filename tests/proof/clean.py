"""Clean releases: other problems, other seeds, nothing planted; no ERROR check may fire.

Belongs here: drawing the problems and seeds. Stays out: faults.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

import ta_assets.core.comparison.compare
import ta_assets.core.results.cells
import ta_assets.core.results.lopo  # noqa: F401 - a child finds imported what every release imports
from tests.proof.world import CORPUS, OTHER, World, build, in_child, say

N_POOL = 40
"""Problems of each corpus that are drawn from."""
SMALLEST, LARGEST = 14, 22
"""Of one release: at least two problems to choose on and three to test on."""


def run(folder: Path, n_runs: int = 200, log: Callable[[str], None] = say, n_pool: int = N_POOL) -> dict[str, Any]:
    """Make clean releases.

    Each is of one corpus, with problems drawn without replacement (those with rollouts always among them) and with
    seeds of its own for the split, the permutations and the bootstrap; vectors come from the store.

    Returns:
        clean_runs, false_alarms, and rows: part, name, problems, alarms (ERROR checks that fired), warnings, error.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        world = build(folder / "pool", instance, n_pool)
        before = Path.cwd()
        os.chdir(world.folder)
        try:
            for corpus in (CORPUS, OTHER):
                for asset in ("problem_ids", "activations"):
                    world.make(asset, corpus)
        finally:
            os.chdir(before)
        rows = [_row(world, folder / "run", seed, log) for seed in range(n_runs)]
    return {"clean_runs": len(rows), "false_alarms": sum(bool(row["alarms"]) for row in rows), "rows": rows}


def _row(world: World, folder: Path, seed: int, log: Callable[[str], None]) -> dict[str, Any]:
    try:
        found = in_child(world, folder, lambda copy: _released(copy, seed))
    except RuntimeError as error:
        found = {"alarms": ["the release itself"], "warnings": [], "problems": 0, "error": str(error)}
    row = {"part": "clean", "name": f"clean release {seed}", **found}
    if row["alarms"]:
        log(f"FALSE ALARM      {row['name']}: {'; '.join(row['alarms'])}")
    elif seed % 10 == 9:
        log(f"quiet            {seed + 1} clean releases")
    return row


def _released(world: World, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    corpus = (CORPUS, OTHER)[seed % 2]
    folders = world.problems(corpus)
    kept = [path for path in folders if (path / "chunk_0").is_dir()]
    others = [path for path in folders if path not in kept]
    size = min(rng.randint(SMALLEST, LARGEST) - len(kept), len(others))
    for path in set(others) - set(rng.sample(others, size)):
        shutil.rmtree(path)
    content = world.studies.selected.settings[corpus]
    world.change_study(
        splits={"seed": seed},
        inference={"permutations": 200, "ceiling_draws": 20, "seed": seed},
        settings={corpus: content.model_dump(exclude_defaults=True)},
    )
    verdict = world.release()
    rows = [row for row in verdict["checks"] if row["status"] != "passed"]
    return {
        "problems": len(kept) + size,
        "alarms": [
            f"{row['name']}[{row['asset']}] {row['partition']} {row['status']}: {row['message']}"
            for row in rows
            if row["severity"] == "ERROR"
        ],
        "warnings": sorted({row["name"] for row in rows if row["severity"] == "WARN"}),
        "error": "",
    }
