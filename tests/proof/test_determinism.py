"""Equal bytes whatever the order of cells and the number of threads; all ways are tried by ``make prove``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets.conftest import build_world, write_model
from tests.proof.determinism import shuffled, torch_threads


@pytest.mark.slow
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
