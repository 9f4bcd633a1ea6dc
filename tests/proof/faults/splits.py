"""Faults in which problems a setting has, and how they are split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.probes import features
from ta_assets.core.probes import models as probes
from ta_assets.core.values import Split
from ta_checks.rules.shuffles import random_label
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace
from tests.proof.world import CORPUS, World

UNKNOWN_PROBLEM = 10**6


def _drop_problems(world: World) -> None:
    make_wrong(world, "problem_ids", CORPUS, lambda ids: ids[: len(ids) // 2])


def _list_twice(world: World) -> None:
    make_wrong(world, "problem_ids", CORPUS, lambda ids: sorted([*ids, ids[0]]))


def _split(world: World, edit: Any) -> None:
    make_wrong(world, "splits", CORPUS, lambda split: {**split, **edit(split)})


def _test_in_train(world: World) -> None:
    _split(world, lambda split: {"train": sorted([*split["train"], split["test"][0]])})


def _in_no_part(world: World) -> None:
    _split(world, lambda split: {"train": split["train"][1:]})


def _foreign_problem(world: World) -> None:
    _split(world, lambda split: {"test": [*split["test"], UNKNOWN_PROBLEM]})


def _empty_val(world: World) -> None:
    _split(world, lambda split: {"train": sorted([*split["train"], *split["val"]]), "val": []})


def _split_sentences(world: World) -> None:
    """Rows are dealt out one by one, so sentences of one problem are in all parts."""

    def dealt(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
        kept = rows[rows["problem_id"].isin(list(split.part_of()))].reset_index(drop=True)
        parts = np.random.default_rng(0).choice(["train", "val", "test"], size=len(kept), p=[0.7, 0.15, 0.15])
        return kept.assign(split=parts)

    replace(features, "add_split", dealt)
    world.make("seed_free_scores", CORPUS)


def _fit_on_everything(world: World) -> None:
    """The split is right, but fits take all rows."""

    def of(rows: pd.DataFrame, vectors: Any, by_block: Any = None, tokens: Any = None) -> probes.ProbeData:
        return probes.ProbeData(rows, vectors, np.ones(len(rows), dtype=bool), by_block or {}, tokens)

    replace(probes.ProbeData, "of", staticmethod(of))
    world.make("seed_free_scores", CORPUS)


def _fit_on_val_too(world: World) -> None:
    """Whoever chose nothing on val may think that its rows are free to train on."""

    def of(rows: pd.DataFrame, vectors: Any, by_block: Any = None, tokens: Any = None) -> probes.ProbeData:
        return probes.ProbeData(rows, vectors, (rows["split"] != "test").to_numpy(), by_block or {}, tokens)

    replace(probes.ProbeData, "of", staticmethod(of))
    world.make("seed_free_scores", CORPUS)


def _labels_not_shuffled(world: World) -> None:
    def identity(data: Any, rng: Any, permutations: int) -> np.ndarray:
        return np.repeat(data.target[:, None], permutations, axis=1)

    (random_label.random_label.__kwdefaults__ or {})["permute"] = identity
    world.make("probe_metrics", f"0|{CORPUS}")


FAULTS = (
    Fault("half of the problems are quietly dropped", "problems_as_asked", "problem_ids", _drop_problems),
    Fault("a problem is listed twice", "problems_as_asked", "problem_ids", _list_twice),
    Fault("a test problem is also a training problem", "split_is_disjoint", "splits", _test_in_train),
    Fault("a problem is in no part of the split", "split_is_disjoint", "splits", _in_no_part),
    Fault("the split names a problem that the setting does not have", "split_is_disjoint", "splits", _foreign_problem),
    Fault("the validation part is empty", "split_is_disjoint", "splits", _empty_val),
    Fault("sentences are split, not problems", "scores_refit", "seed_free_scores", _split_sentences),
    Fault("probes are fitted on test sentences too", "scores_refit", "seed_free_scores", _fit_on_everything),
    Fault("probes are fitted on validation sentences too", "scores_refit", "seed_free_scores", _fit_on_val_too),
    Fault("the shuffled labels were not shuffled", "random_label", "probe_metrics", _labels_not_shuffled),
)
