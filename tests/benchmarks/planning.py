"""What it costs to find that nothing is to be made, in a study of few cells and of two thousand.

One setting of the tiny study is released by the real command. What was recorded of it is then reported for further
settings, so that each of their cells is fresh; the planner is timed on all of them. CPU seconds of this process.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.data_version import get_input_event_pointer_tag
from dagster._core.storage.tags import MULTIDIMENSIONAL_PARTITION_PREFIX

from ta_assets.assets.expected import why_left_out, why_made
from ta_assets.definitions import build_definitions
from ta_assets.ledger.fingerprint import MADE_FROM
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.records import Materialization
from ta_assets.ledger.table import ASSETS, FACTS, Scope, partitions_of, read_together
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_checks.table import invariants_of
from ta_resources.existing_instance import existing_instance
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from tests.assets.conftest import TinyWorld, build_world, write_model

FEW, MANY = 4, 167
"""Settings; each has twelve cells."""
MOST_SECONDS, MOST_GROWTH = 20.0, 1.2
FIRST = "s0000"
REPEATS = 3


def run() -> list[dict[str, Any]]:
    """Two records: CPU seconds for two thousand cells, and what one of them costs against one of fifty."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_model(folder / "model")
        (folder / "world").mkdir()
        tiny = build_world(folder / "world", folder / "model")
        _settings(tiny, 1)
        done = tiny.release()
        if done.returncode != 0:
            raise RuntimeError(f"the release of one setting failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        few, many = (_measured(TinyWorld(_copied(tiny.folder, number)), number) for number in (FEW, MANY))
    growth = (many[1] / many[0]) / (few[1] / few[0])
    detail = f"{many[0]} cells {many[1]:.2f} s, {few[0]} cells {few[1]:.3f} s, CPU"
    return [
        _record("planning two thousand fresh cells, CPU seconds", many[1], MOST_SECONDS, detail),
        _record("planning, a cell of two thousand against one of fifty", growth, MOST_GROWTH, detail),
    ]


def _record(claim: str, value: float, bar: float, detail: str) -> dict[str, Any]:
    return {"claim": claim, "value": value, "comparison": "<=", "bar": bar, "n": REPEATS, "detail": detail}


def _copied(folder: Path, number: int) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(f"{folder.name}{number}")))


def _settings(tiny: TinyWorld, number: int) -> None:
    names = [f"s{index:04d}" for index in range(number)]
    tiny.change_study(settings={name: {"model": "tiny", "solutions": "correct"} for name in names})


def _measured(tiny: TinyWorld, settings: int) -> tuple[int, float]:
    """Number of cells, and the median of the CPU seconds that it takes to plan all of them."""
    _settings(tiny, settings)
    with _world(tiny) as world:
        _report(world)
        seconds = sorted(_plan(dataclasses.replace(world)) for _ in range(REPEATS))
    return len(_cells(world)), seconds[REPEATS // 2]


def _plan(world: World) -> float:
    """CPU seconds of a planner that has read nothing yet.

    Raises:
        RuntimeError: a cell is not fresh, so something else would be measured.
    """
    world = world.fresh()
    started = time.process_time()
    read_together(world, world.studies.selected)
    for asset, partition in _cells(world):
        why = why_left_out(world, asset, partition) or why_made(world, asset, partition)
        states = [world.ledger.check(asset, one.name, partition) for one in invariants_of(asset)]
        if why or not all(state is not None and state.is_current for state in states):
            raise RuntimeError(f"{asset}[{partition}] is not fresh: {why}, {states}")
    return time.process_time() - started


def _cells(world: World) -> list[tuple[str, str]]:
    """Every cell but the page: what it is made from is what it says, and it says it of artifacts."""
    assets = [asset for asset in ASSETS if not FACTS[asset].tells_of_checks]
    return [(asset, partition) for asset in assets for partition in partitions_of(asset, world.studies.selected)]


@contextmanager
def _world(tiny: TinyWorld) -> Iterator[World]:
    os.environ["TA_STUDY"] = str(tiny.study)
    studies = load_studies(str(tiny.study))
    with chdir(tiny.folder), existing_instance(tiny.folder) as instance:
        definitions = build_definitions(studies)
        ledger = Ledger(instance, lambda: definitions)
        yield World(studies, ArtifactStore(), RolloutsResource(), LanguageModelResource(), ledger)


def _report(world: World) -> None:
    """Report of every cell what is recorded of that of the first setting; of cells above, with their parents of now."""
    study = world.studies.selected
    for asset in [asset for asset in ASSETS if not FACTS[asset].tells_of_checks]:
        for partition in partitions_of(asset, study):
            of_first = partition if FACTS[asset].scope in (Scope.CORPUS, Scope.STUDY) else _of_first(partition)
            made = world.ledger.materialization(asset, of_first)
            if made is None:
                raise RuntimeError(f"{asset}[{of_first}] was not made")
            _report_cell(world, asset, of_first, partition, made)


def _of_first(partition: str) -> str:
    seed, bar, _ = partition.rpartition("|")
    return f"{seed}{bar}{FIRST}"


def _key(partition: str) -> str:
    seed, bar, setting = partition.partition("|")
    return dg.MultiPartitionKey({"seed": seed, "setting": setting}) if bar else partition


def _report_cell(world: World, asset: str, of_first: str, partition: str, made: Materialization) -> None:
    ledger, instance = world.ledger, world.ledger.dagster
    made_from = dict(made.metadata[MADE_FROM])
    if "settings" in made_from:
        made_from["settings"] = len(world.studies.selected.settings)
    tags = {name: tag for name, tag in made.tags.items() if not name.startswith(MULTIDIMENSIONAL_PARTITION_PREFIX)}
    for parent, key in ledger.parents(asset, partition):
        of_parent, name = ledger.materialization(parent, key), get_input_event_pointer_tag(dg.AssetKey(parent))
        tags[name] = str(max(int(tags[name]), of_parent.storage_id if of_parent else 0))
    facts = {**made.metadata, MADE_FROM: made_from}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset, partition=_key(partition), metadata=facts, tags=tags),
    )
    states = {one.name: ledger.check(asset, one.name, of_first) for one in invariants_of(asset)}
    ledger.forget(asset, partition)
    new = ledger.materialization(asset, partition)
    if new is None:
        raise RuntimeError(f"{asset}[{partition}] was not reported")
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=new.storage_id, run_id=new.run_id, timestamp=new.timestamp
    )
    for name, state in states.items():
        if state is not None:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(asset),
                    check_name=name,
                    passed=state.passed,
                    metadata=state.metadata,
                    target_materialization_data=target,
                    partition=partition,
                )
            )
    ledger.forget(asset, partition)


if __name__ == "__main__":
    for one in run():
        print(f"{one['value']:12.4g} {one['comparison']} {one['bar']:<8} {one['claim']}: {one['detail']}")
