"""Faults in the vectors of one problem of a corpus, which is none of those that are extracted again as a whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np

from ta_assets.core.values import PooledProblem
from ta_checks.rules.vectors.fresh_vectors import sample
from ta_resources.storage.shards import ShardStore, read_shard
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong
from tests.proof.faults.vectors import MATCH, Pooled, next_problem
from tests.proof.world import CORPUS, World


def _in_one_problem(
    edit: Callable[[World, Pooled, int], np.ndarray],
) -> Callable[[World], None]:
    """``edit`` gives the vectors of one problem, which is none of those that the check reads whole."""

    def plant(world: World) -> None:
        files, value = world.store.files, world.store.load("activations", CORPUS)
        shards, pooled = ShardStore(files, "f" * 64), {p: read_shard(files, one) for p, one in value.shards.items()}
        for victim, one in sorted(pooled.items()):
            wrong = dataclasses.replace(one, vectors=edit(world, pooled, victim).copy())
            record = json.loads(json.dumps(value.record))
            shard = shards.write(f"shards/planted/{victim}.safetensors", wrong)
            record["shards"][str(victim)] = {str(one.block): dataclasses.asdict(shard)}
            planted = dataclasses.replace(value, record=record)
            if victim not in sample(planted).whole:  # which are drawn by the stored vectors, planted ones too
                make_wrong(world, "activations", CORPUS, lambda _, planted=planted: planted)
                return
        raise LookupError("every problem is read whole")

    return plant


def _shuffled(_: World, pooled: Pooled, victim: int) -> np.ndarray:
    """All rows but the first, which stays in its place."""
    vectors = pooled[victim].vectors
    return vectors[[0, *(1 + np.random.default_rng(0).permutation(len(vectors) - 1))]]


def _of_another(_: World, pooled: Pooled, victim: int) -> np.ndarray:
    return next_problem(pooled[victim], pooled).vectors


def _of_another_layer(world: World, pooled: Pooled, victim: int) -> np.ndarray:
    """Those after the block below."""
    study = world.studies.selected
    spec = study.extraction_spec(CORPUS).model_copy(update={"layer": pooled[victim].block - 1})
    (problem,) = world.rollouts.load_problems(study.source(CORPUS), [victim])
    with world.language_model.open(spec) as opened:
        texts = [(victim, problem.trace_text, problem.sentences)]
        (found,) = opened.extract(texts, log=lambda _: None)
    assert isinstance(found, PooledProblem)
    return found.vectors


FAULTS = tuple(
    Fault(name, MATCH, "activations", _in_one_problem(edit))
    for name, edit in (
        ("rows are shuffled in one problem", _shuffled),
        ("one problem has the vectors of another", _of_another),
        ("one shard is of another layer", _of_another_layer),
    )
)
