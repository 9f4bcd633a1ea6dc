"""A tiny study made in this process, and the verbs of tests that plant faults in what it stored."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.definitions import build_definitions
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import ASSETS, Role, partitions_of, with_role
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.table import INVARIANTS
from ta_checks.verdict import Verdict
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

Order = Callable[[list[str]], list[str]]
EVERYTHING = (*ASSETS, *with_role(Role.VERDICT), *with_role(Role.PAGE))


@contextmanager
def materialized(study: Path, order: Order = list, assets: Sequence[str] = EVERYTHING) -> Iterator[World]:
    """Every cell of a study file, stored beside it, on an instance that ends with the block.

    Args:
        study: the file.
        order: in which to make the partitions of an asset.
        assets: those to make, in their order.
    """
    store = ArtifactStore(base_dir=str(study.parent / "artifacts"))
    studies = load_studies(str(study))
    definitions = build_definitions(studies, resources={"store": store})
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in assets:
            for partition in order(partitions_of(asset, studies.selected)):
                assert runs.made(runs.make(definitions, instance, asset, partition), asset), (asset, partition)
        view = Ledger(instance, lambda: definitions)
        yield World(studies, store, RolloutsResource(), LanguageModelResource(), view)


def copy_of(made: World, folder: Path) -> World:
    """The same world on a copy of its artifacts, for planting."""
    shutil.copytree(made.store.local_folder, folder / "artifacts")
    return dataclasses.replace(made, store=ArtifactStore(base_dir=str(folder / "artifacts")))


def verdict(world: World, name: str, asset: str, partition: str) -> Verdict:
    """What one check says of one cell."""
    (invariant,) = [row for row in INVARIANTS if (row.name, row.asset) == (name, asset)]
    return judge(invariant, Evidence(asset, partition, world))


def change(world: World, asset: str, partition: str, edit: Callable[[Any], Any]) -> None:
    """Store something else in place of an artifact, as its asset would have."""
    world.store.save(asset, partition, edit(world.store.load(asset, partition)))
