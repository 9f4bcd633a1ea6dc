"""Faults in stored files, planted behind Dagster's back after a healthy release."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ta_assets.ledger.table import ASSETS, FACTS, Scope, partitions_of
from ta_resources.storage.manifest import MANIFEST
from ta_resources.storage.shards import read_shard
from tests.proof.faults import REFUSED, Fault
from tests.proof.faults.planting import edit_json
from tests.proof.world import CORPUS, NAME, World

INTACT, CURRENT = "artifacts_intact", "readme_is_current"
CELL = f"3|{CORPUS}"


def _one_byte(asset: str) -> Callable[[World], None]:
    """One byte is added to a file of the asset's first cell."""

    def plant(world: World) -> None:
        folder = Path(world.store.place(asset, partitions_of(asset, world.studies.selected)[0]))
        (path, *_) = sorted(one for one in folder.iterdir() if one.name != MANIFEST)
        path.write_bytes(path.read_bytes() + b" ")

    return plant


def _shard(world: World) -> Path:
    return world.store.local_folder / next(iter(world.store.load("activations", CORPUS).shards.values())).file


def _truncate_shard(world: World) -> None:
    path = _shard(world)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_bit(world: World) -> None:
    path = _shard(world)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def _lose_shard(world: World) -> None:
    _shard(world).unlink()


def _swap_shards(world: World) -> None:
    shards = list(world.store.load("activations", CORPUS).files())[:2]
    first, second = (Path(world.store.files.place(one.file)) for one in shards)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def _rewrite(world: World, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Rewrite a cell's predictions and the hash in the manifest beside them, as a thorough hand would."""
    folder = Path(world.store.place("probe_metrics", CELL))
    path = folder / "predictions.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_json(folder / MANIFEST, lambda value: {**value, "files": {**value["files"], path.name: digest}})


def _swap_columns(world: World) -> None:
    names = {"score_linear_probe": "score_mlp_probe", "score_mlp_probe": "score_linear_probe"}
    _rewrite(world, lambda table: table.rename(columns=names))


def _double_precision(world: World) -> None:
    _rewrite(world, lambda table: table.astype({"score_linear_probe": "float64", "anchor": "float64"}))


def _lose_artifact(world: World) -> None:
    folder = Path(world.store.place("aggregate_metrics", CORPUS))
    folder.rename(folder.with_name("elsewhere"))


def _older_readme(world: World) -> None:
    """The file is put back to what it said before the study changed."""
    old = world.readme.read_text(encoding="utf-8")
    world.change_study(inference={"permutations": 200, "ceiling_draws": 40, "margin": 0.1})
    world.release()
    world.readme.write_text(old, encoding="utf-8")


def _readme(edit: Callable[[str], str]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.readme.write_text(edit(world.readme.read_text(encoding="utf-8")), encoding="utf-8")

    return plant


def _read_shards(world: World) -> None:
    activations = world.store.load("activations", CORPUS)
    for shard in activations.files():
        read_shard(world.store.files, shard)


def _cut_table(world: World) -> None:
    path = Path(world.store.place("probe_metrics", CELL)) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-1])


def _foreign_class(world: World) -> None:
    edit_json(Path(world.store.place("probe_metrics", CELL)) / MANIFEST, lambda value: {**value, "kind": "Exploit"})


def _file_outside(world: World) -> None:
    path = Path(world.store.place("problem_ids", CORPUS)) / MANIFEST
    edit_json(path, lambda value: {**value, "files": {"../../study.yaml": "0" * 64}})


def _half_manifest(world: World) -> None:
    path = Path(world.store.place("splits", CORPUS)) / MANIFEST
    path.write_text(json.dumps({"kind": "value"})[:8], encoding="utf-8")


def _load(asset: str, partition: str) -> Callable[[World], object]:
    return lambda world: world.store.load(asset, partition)


def _two_markers(world: World) -> None:
    marker = f"<!-- TA_RESULTS_START {NAME} -->"
    world.readme.write_text(marker + world.readme.read_text(encoding="utf-8"), encoding="utf-8")


OF_DATASETS = [one for one in ASSETS if FACTS[one].scope is not Scope.GENERATED]
"""Assets of a study with a dataset, as that of the world is."""
FAULTS = (
    *(Fault(f"a file of {asset} has one byte more", INTACT, asset, _one_byte(asset)) for asset in OF_DATASETS),
    Fault("a shard is truncated", INTACT, "activations", _truncate_shard),
    Fault("one bit of a shard is flipped", INTACT, "activations", _flip_bit),
    Fault("a shard is missing", INTACT, "activations", _lose_shard),
    Fault("two shards are swapped", INTACT, "activations", _swap_shards),
    Fault("two columns of a table are swapped, its manifest too", INTACT, "probe_metrics", _swap_columns),
    Fault("columns of a table have another type, its manifest too", INTACT, "probe_metrics", _double_precision),
    Fault("an artifact is gone", INTACT, "aggregate_metrics", _lose_artifact),
    Fault("the README is of an older run", CURRENT, "readme_block", _older_readme),
    Fault(
        "a number of the README was edited by hand",
        CURRENT,
        "readme_block",
        _readme(lambda text: text.replace("0.", "0.9", 1)),
    ),
    Fault("the README has lost its block", CURRENT, "readme_block", _readme(lambda _: "# Results\n")),
    Fault("the README has its marker twice", CURRENT, "readme_block", _two_markers),
    Fault(
        "a truncated shard is read",
        REFUSED,
        "activations",
        _truncate_shard,
        judge=_read_shards,
        expected=("/shards/", ".safetensors: sha256: "),
    ),
    *(
        Fault(name, REFUSED, asset, plant, judge=_load(asset, partition), expected=(f"/{asset}/{place}",))
        for name, asset, partition, plant, place in (
            (
                "a table that was changed is read",
                *("probe_metrics", CELL, _cut_table),
                f"{CORPUS}/3/predictions.parquet: sha256: ",
            ),
            (
                "a manifest names a class that is none of ours",
                *("probe_metrics", CELL, _foreign_class),
                f"{CORPUS}/3/{MANIFEST}: kind: found 'Exploit'",
            ),
            (
                "a manifest names a file outside its folder",
                *("problem_ids", CORPUS, _file_outside),
                f"{CORPUS}/{MANIFEST}: files: found ['../../study.yaml']",
            ),
            ("half a manifest is read", "splits", CORPUS, _half_manifest, f"{CORPUS}/{MANIFEST}: content: "),
        )
    ),
)
