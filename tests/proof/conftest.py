"""One world whose releases are killed and starved, and a healthy one, for all tests that use them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from tests.assets.conftest import TinyWorld
from tests.proof import kills, matrix, releases
from tests.proof.releases import Attempt, Starter
from tests.proof.world import World, build


@dataclass(frozen=True)
class Killable:
    """A world, what starts its releases, and what an undisturbed one gives."""

    world: TinyWorld
    starter: Starter
    expected: kills.Undisturbed

    def finish(self, before: list[Attempt]) -> Attempt:
        """Let a release end; it must give what an undisturbed one gives and repeat at most one unit of work."""
        last = self.starter.start()
        assert last.wait() == 0, last.output.read_text(encoding="utf-8")[-2000:]
        assert releases.results(self.world) == self.expected.results
        assert not releases.open_runs(self.world)
        assert not releases.slot_holders(self.world)
        earlier = {unit for attempt in before for unit in attempt.begun()}
        assert len(earlier.intersection(last.begun())) <= 1
        return last


@pytest.fixture(scope="session")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    """Made once: starting the warm interpreter and the undisturbed release take their time."""
    with kills.killable_world(tmp_path_factory.mktemp("kills"), compute_logs=False) as (world, starter):
        yield Killable(world, starter, kills.undisturbed(world, starter))


@dataclass(frozen=True)
class Halfway:
    """A release that was killed when half of its cells were made, and a copy of what it left."""

    killable: Killable
    first: Attempt
    copy: Path

    def restore(self, name: str) -> None:
        """Put the content of ``artifacts`` or ``.dagster`` back, into the folder if there is one."""
        shutil.copytree(self.copy / name, self.killable.world.folder / name, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def kept_halfway(killable: Killable) -> Halfway:
    """Killed in the middle of storing the third cell of the probes."""
    world = killable.world
    releases.empty(world)
    first = killable.starter.start({"TA_PROOF_KILL": "fitting:half written:16"})
    assert first.wait() < 0
    copy = world.folder / "halfway"
    for name in ("artifacts", ".dagster"):
        shutil.copytree(world.folder / name, copy / name)
    return Halfway(killable, first, copy)


@pytest.fixture
def halfway(kept_halfway: Halfway) -> Halfway:
    """The world as it was then."""
    releases.empty(kept_halfway.killable.world)
    for name in ("artifacts", ".dagster"):
        kept_halfway.restore(name)
    return kept_halfway


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, set[str]]]:
    """A small release to plant faults in, and the checks that warn nevertheless."""
    folder = tmp_path_factory.mktemp("proof")
    with dg.DagsterInstance.ephemeral() as instance:
        world = build(folder / "healthy", instance)
        yield world, matrix.in_place(world)
