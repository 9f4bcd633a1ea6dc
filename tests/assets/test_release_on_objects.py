"""A whole release of a tiny study with its artifacts in an object store, against the same study in a folder."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ta_assets.definitions import build_definitions
from ta_assets.jobs import release, runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_assets.trace import walk as trace
from ta_assets.trace.targets import resolve
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from tests.assets.made import materialized

pytestmark = pytest.mark.slow
SETTING = "tiny_correct"
COMPARED = ("problem_ids", "splits", "sentences", "activations", "seed_free_scores")
"""A list, a dictionary, a table, vectors and a record; all kinds are compared where the store is tested."""
STORED_BEFORE = 2
"""Shards that are written before the connection is lost."""


@dataclass(frozen=True)
class Released:
    """An extraction that loses the connection in the middle, and a release that goes on."""

    study: Path
    world: World
    told: str
    """Why the extraction failed."""
    kept: dict[str, str | None]
    """Shards that it left behind."""
    release: dg.ExecuteInProcessResult
    written: list[str]
    """Shards that the release wrote."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_world: Callable) -> Iterator[Released]:
    folder = tmp_path_factory.mktemp("objects")
    tiny = make_world(folder, tiny_model)
    tiny.change_study(settings={SETTING: {"model": "tiny", "solutions": "correct"}})
    store = ArtifactStore(base_dir=f"memory://{uuid.uuid4().hex}", local_dir=str(folder / "local"))
    studies = load_studies(str(tiny.study))
    definitions = build_definitions(studies, resources={"store": store})
    healthy = MemoryFileSystem.pipe_file
    written: list[str] = []
    root = f"/{store.base_dir.removeprefix('memory://')}/shards/"

    def shards() -> list[str]:
        return [
            path.partition("/shards/")[2] for path in MemoryFileSystem.store if f"{store.base_dir[9:]}/shards/" in path
        ]

    def loses_it(self: MemoryFileSystem, path: str, value: bytes, **options: Any) -> None:
        if path.startswith(root) and len(shards()) >= STORED_BEFORE:
            raise ConnectionResetError("connection reset by peer")
        healthy(self, path, value, **options)

    def counts(self: MemoryFileSystem, path: str, value: bytes, **options: Any) -> None:
        written.extend([path.removeprefix(root)] if path.startswith(root) else [])
        healthy(self, path, value, **options)

    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as planted:
        planted.setattr(release.atexit, "register", lambda *_, **__: None)
        planted.setattr(MemoryFileSystem, "pipe_file", loses_it)
        ledger = Ledger(instance, lambda: definitions)
        assert runs.make(definitions, instance, "problem_ids", SETTING).success
        told = ledger.failure(runs.make(definitions, instance, "activations", SETTING).run_id, "activations")
        kept = store.files.hashes([f"shards/{name}" for name in shards()])
        planted.setattr(MemoryFileSystem, "pipe_file", counts)
        result = definitions.resolve_job_def(release.NAME).execute_in_process(instance=instance, raise_on_error=False)
        world = World(studies, store, RolloutsResource(), LanguageModelResource(), ledger)
        yield Released(tiny.study, world.fresh(), told, kept, result, written)


def test_a_connection_that_is_lost_in_the_middle_costs_what_was_not_written(released: Released) -> None:
    assert f"{released.world.store.base_dir}/shards/" in released.told
    assert "connection reset by peer" in released.told
    assert "a store that answers" in released.told
    assert released.release.success
    assert len(released.kept) == STORED_BEFORE
    assert not {f"shards/{name}" for name in released.written} & set(released.kept)
    assert released.world.store.files.hashes(list(released.kept)) == released.kept


def test_every_artifact_is_that_of_a_folder(released: Released) -> None:
    with materialized(released.study, assets=COMPARED) as compared:
        for asset in COMPARED:
            for partition in partitions_of(asset, compared.studies.selected):
                assert released.world.store.hashes(asset, partition) == compared.store.hashes(asset, partition)


def test_nothing_but_what_people_read_is_written_to_this_machine(released: Released) -> None:
    folder = released.world.store.local_folder
    files = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert files <= {"tiny", ".release.lock"}
    assert (folder / "tiny/report/index.html").is_file()
    assert "| verdict" in (folder / "tiny/README.md").read_text(encoding="utf-8")


def test_a_walk_back_verifies_every_object(released: Released) -> None:
    world = dataclasses.replace(released.world, store=released.world.store.model_copy(update={"recovers": False}))
    for target in ("readme_block[tiny]", f"{world.store.place('splits', SETTING)}/manifest.json"):
        steps, faults = trace.trace(world, resolve(world, target, None))
        assert faults == []
        assert steps
    shard = next(iter(world.store.load("activations", SETTING).shards.values()))
    content = world.store.files.read(shard.file)
    assert content is not None
    world.store.files.write(shard.file, content[:-1])
    _, faults = trace.trace(world, resolve(world, world.store.files.place(shard.file), None))
    world.store.files.write(shard.file, content)
    assert any(shard.file in fault for fault in faults)
