"""What a check may look at: the stored artifacts of its own cell and, through the store, of any other.

Belongs here: reading that several checks share. Stays out: what one check alone reads, and judging (``rules``), Dagster
(``checks``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ta_assets.ledger.partitions import Cell
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.own_join import PARTS, OwnJoin
from ta_checks.written_twice import CONTINUOUS, TARGET_COLUMN

if TYPE_CHECKING:
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

    def joined(self, wanted: Collection[int]) -> OwnJoin:
        """Labelled sentences of the wanted problems of the setting's corpus, with their vectors."""
        store = self.world.store
        activations, sentences = store.load("activations", self.corpus), store.load("sentences", self.corpus)
        inside = np.flatnonzero(sentences["problem_id"].isin(list(wanted)).to_numpy())
        return OwnJoin(store.files, activations.record, sentences.take(inside), activations.spans)

    @cached_property
    def fold_rows(self) -> dict[int | None, FoldRows]:
        """Rows and vectors of the cell's setting by the checks' own join.

        One entry per fold, by the problem that is left out, where that was extracted; a single split is the one entry
        under None.
        """
        splits = self.world.store.load("splits", self.setting)
        folds = {int(fold): split for fold, split in splits["folds"].items()} if "folds" in splits else {None: splits}
        wanted = {problem for split in folds.values() for part in PARTS for problem in split[part]}
        whole = self.joined(wanted)
        rows, vectors = whole.rows, whole.vectors
        present = set(rows["problem_id"].tolist())
        kept = {fold: split for fold, split in folds.items() if fold is None or present & set(split["test"])}
        order = sorted(kept, key=lambda fold: -1 if fold is None else fold)
        return {fold: FoldRows(rows.assign(split=whole.parts(kept[fold])), vectors) for fold in order}

    def labelled_vectors(self) -> dict[int | None, LabelledVectors]:
        """Vectors, labels and parts of the split, under the keys of ``fold_rows``."""
        from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

        target = self.study.labels.target
        return {
            fold: LabelledVectors(
                vectors=data.vectors,
                anchors=data.rows["anchor"].to_numpy(),
                problems=data.rows["problem_id"].to_numpy(),
                train=(data.rows["split"] == "train").to_numpy(),
                test=(data.rows["split"] == "test").to_numpy(),
                importance=data.rows[TARGET_COLUMN[target]].to_numpy(np.float64) if target in CONTINUOUS else None,
            )
            for fold, data in self.fold_rows.items()
        }


@dataclass(frozen=True)
class FoldRows:
    """The sentences of a split, or of one fold."""

    rows: pd.DataFrame
    """Label columns, token spans and ``split``."""
    vectors: np.ndarray
    """[n_rows, d_model] float32 of the primary block."""
