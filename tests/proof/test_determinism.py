"""Equal bytes whatever the order of cells and the number of threads; all ways are tried by ``make prove``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.assets.conftest import TinyWorld, build_world, write_model
from tests.proof.determinism import Study, run, shuffled, torch_threads


@pytest.mark.prove
def test_order_of_cells_and_threads_change_no_byte(tmp_path: Path) -> None:
    found = []
    write_model(tmp_path / "model")
    for seed, threads in ((0, 1), (1, 2)):
        folder = tmp_path / str(threads)
        folder.mkdir()
        world = build_world(folder, tmp_path / "model")
        with torch_threads(threads):
            shuffled(world, seed)
        found.append(world.artifact_hashes())
    assert len(found[0]) > 50
    assert found[0] == found[1]


def wrote(content: str, observed: float | None = None) -> Callable[[TinyWorld], None]:
    """A way that leaves one artifact, and a verdict of one row when there is one."""

    def make(world: TinyWorld) -> None:
        release = world.folder / "artifacts/tiny/release"
        release.mkdir(parents=True)
        (world.folder / "artifacts/splits.json").write_text(content, encoding="utf-8")
        if observed is not None:
            row = {"name": "made", "asset": "splits", "partition": "a", "observed": observed}
            (release / "verdict.json").write_text(json.dumps({"checks": [row]}), encoding="utf-8")

    return make


def test_another_byte_and_another_row_of_the_verdict_are_differences(tmp_path: Path) -> None:
    ways = {"first": wrote("a", 1.0), "same": wrote("a", 1.0), "no release": wrote("a")}
    wrong = {"byte": wrote("b", 1.0), "row": wrote("a", 2.0)}
    found = run(tmp_path, {"study": Study(TinyWorld, {**ways, **wrong})})
    assert {row["name"]: row["different"] for row in found["rows"]} == {
        "study: first": [],
        "study: same": [],
        "study: no release": [],
        "study: byte": ["splits.json"],
        "study: row": ["verdict: made splits a"],
    }
    assert (found["determinism_runs"], found["determinism_differences"]) == (5, 2)
