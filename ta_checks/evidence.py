"""What a check may look at: the stored artifacts of its own cell and, through the store, of any other.

Belongs here: reading. Stays out: judging (one rule a file) and Dagster's check machinery (``factory.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ta_assets.ledger.partitions import Cell
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_assets.vectors.probe_data import fold_data, folds_of, probe_data, split_of
from ta_resources.storage.artifacts import Activations

if TYPE_CHECKING:
    from ta_assets.core.probes.models import ProbeData


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
        """The setting of a partition that is one, with or without a seed."""
        return self.partition.rpartition("|")[2]

    @property
    def cell(self) -> Cell:
        """The setting and the seed of a cell's partition."""
        return Cell.from_key(self.partition)

    @cached_property
    def study(self) -> Study:
        """The study that the partition belongs to."""
        name, studies = self.partition.rpartition("|")[2], self.world.studies
        for owners in (studies.by_setting, studies.by_corpus, studies.by_name):
            if name in owners:
                return owners[name]
        raise KeyError(name)

    @cached_property
    def probe_data(self) -> dict[int | None, ProbeData]:
        """Rows and vectors of the cell's setting, put together from sentences, activations and splits.

        One entry a fold, by the problem that is left out; a single split is the one entry under None.
        """
        store, setting = self.world.store, self.setting
        corpus = self.study.settings[setting].corpus
        activations: Activations = store.load("activations", corpus)
        sentences, splits = store.load("sentences", corpus), store.load("splits", setting)
        folds = folds_of(splits)
        if folds is None:
            return {None: probe_data(sentences, activations, split_of(splits), store.base)}
        return {**fold_data(sentences, activations, folds, store.base)}
