"""What a check may look at: the stored artifacts of its own cell and, through the store, of any other.

Belongs here: reading that several checks share. Stays out: what one check alone reads, and judging (``rules``), Dagster
(``checks``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ta_assets.ledger.partitions import Cell
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_assets.vectors.probe_data import fold_data, folds_of, probe_data, split_of
from ta_resources.storage.artifacts import Activations

if TYPE_CHECKING:
    from ta_assets.core.probes.models import ProbeData
    from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

KEYS = ["problem_id", "chunk_idx"]
"""Columns that together name a sentence."""
FOLD = "fold_id"
"""Column of predictions with the problem that their fold leaves out; absent for a single split."""


@dataclass(frozen=True)
class Evidence:
    """One partition of one asset, and what belongs to it."""

    asset: str
    partition: str
    world: World

    @cached_property
    def value(self) -> Any:
        """The stored artifact itself; raises InputError when it is missing or damaged."""
        return self.world.store.load(self.asset, self.partition)

    @property
    def setting(self) -> str:
        """The setting of a partition that is a setting or a cell."""
        return self.partition.rpartition("|")[2]

    @property
    def corpus(self) -> str:
        """The corpus of the setting."""
        return self.study.settings[self.setting].corpus

    @property
    def cell(self) -> Cell:
        """The setting and the seed of a cell's partition."""
        return Cell.from_key(self.partition)

    @cached_property
    def study(self) -> Study:
        """The study of the partition."""
        name, studies = self.partition.rpartition("|")[2], self.world.studies
        for owners in (studies.by_setting, studies.by_corpus, studies.by_name):
            if name in owners:
                return owners[name]
        raise KeyError(name)

    def problems_of_corpus(self) -> list[int]:
        """Ids of the problems of all settings of the corpus whose ids are stored, sorted."""
        store = self.world.store
        settings = [name for name in self.study.settings_of(self.partition) if store.exists("problem_ids", name)]
        return sorted({problem_id for name in settings for problem_id in store.load("problem_ids", name)})

    def sentences(self) -> pd.DataFrame:
        """Labelled sentences of the setting's problems."""
        store = self.world.store
        sentences = store.load("sentences", self.corpus)
        inside = sentences["problem_id"].isin(store.load("problem_ids", self.setting)).to_numpy()
        return sentences.take(np.flatnonzero(inside)).reset_index(drop=True)

    @cached_property
    def cross_fitted(self) -> Any:
        """The out-of-fold scores of the setting and their record, ``CrossFitted``."""
        return self.world.store.load("cv_scores", self.setting)

    def aggregated_cells(self) -> dict[int, Any]:
        """Seed -> stored cell of every seed that an aggregate names."""
        keys = {seed: Cell(self.setting, seed).key for seed in self.value["seeds"]}
        return {seed: self.world.store.load("probe_metrics", key) for seed, key in keys.items()}

    @cached_property
    def probe_data(self) -> dict[int | None, ProbeData]:
        """Rows and vectors of the cell's setting, put together from sentences, activations and splits.

        One entry per fold, by the problem that is left out; a single split is the one entry under None.
        """
        store = self.world.store
        activations: Activations = store.load("activations", self.corpus)
        sentences, splits = store.load("sentences", self.corpus), store.load("splits", self.setting)
        folds = folds_of(splits)
        if folds is None:
            return {None: probe_data(sentences, activations, split_of(splits), store.base)}
        return {**fold_data(sentences, activations, folds, store.base)}

    def labelled_vectors(self) -> dict[int | None, LabelledVectors]:
        """Vectors, labels and parts of the split, under the keys of ``probe_data``.

        Raises:
            ValueError: the setting has no activations.
        """
        from ta_assets.core.probes.targets import TARGETS
        from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

        target = TARGETS[self.study.labels.target]
        folds = {}
        for fold, data in self.probe_data.items():
            if data.vectors is None:
                raise ValueError("the setting has no activations")
            folds[fold] = LabelledVectors(
                vectors=data.vectors,
                anchors=data.rows["anchor"].to_numpy(),
                problems=data.rows["problem_id"].to_numpy(),
                train=(data.rows["split"] == "train").to_numpy(),
                test=(data.rows["split"] == "test").to_numpy(),
                importance=target.values(data.rows) if target.continuous else None,
            )
        return folds
