"""The partitions and the mappings between them; nothing else.

Corpora, settings and studies are static; a cell is a setting with a seed. Dagster sorts dimensions by name, so a
cell's key reads ``seed|setting``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from ta_assets.core.options import SEEDS
from ta_assets.studies.loading import Studies

COMBINATIONS = dg.DynamicPartitionsDefinition(name="sweep_cells")
"""One partition for each combination of a sweep and setting; the job ``sweep`` adds them."""


@dataclass(frozen=True)
class Cell:
    """One setting with one seed."""

    setting: str
    seed: int

    @property
    def key(self) -> str:
        """Partition key."""
        return f"{self.seed}|{self.setting}"

    @classmethod
    def from_key(cls, key: str) -> Cell:
        """The cell of a partition key such as ``3|qwen_correct``."""
        seed, _, setting = key.partition("|")
        return cls(setting, int(seed))


@dataclass(frozen=True)
class Partitions:
    """Every partitions definition of the graph and what maps one to another."""

    studies: Studies

    @cached_property
    def corpus(self) -> dg.StaticPartitionsDefinition:
        """The traces of one model with one correctness."""
        return dg.StaticPartitionsDefinition(list(self.studies.by_corpus))

    @cached_property
    def generated(self) -> dg.StaticPartitionsDefinition:
        """A corpus whose rollouts are made here."""
        return dg.StaticPartitionsDefinition([one for study in self.studies.studies for one in study.generated])

    @cached_property
    def setting(self) -> dg.StaticPartitionsDefinition:
        """A choice of problems of a corpus, and their split."""
        return dg.StaticPartitionsDefinition(list(self.studies.by_setting))

    @cached_property
    def cell(self) -> dg.MultiPartitionsDefinition:
        """A setting with a seed."""
        seeds = dg.StaticPartitionsDefinition([str(seed) for seed in range(SEEDS)])
        return dg.MultiPartitionsDefinition({"setting": self.setting, "seed": seeds})

    @cached_property
    def study(self) -> dg.StaticPartitionsDefinition:
        """A whole study."""
        return dg.StaticPartitionsDefinition(list(self.studies.by_name))

    @cached_property
    def setting_to_corpus(self) -> dg.StaticPartitionMapping:
        """The texts of a corpus are those that its settings ask for."""
        return dg.StaticPartitionMapping(
            {setting: study.settings[setting].corpus for setting, study in self.studies.by_setting.items()}
        )

    @cached_property
    def corpus_to_setting(self) -> dg.StaticPartitionMapping:
        """A setting reads the sentences and activations of its corpus."""
        return dg.StaticPartitionMapping(
            {corpus: list(study.settings_of(corpus)) for corpus, study in self.studies.by_corpus.items()}
        )

    @cached_property
    def generated_to_setting(self) -> dg.StaticPartitionMapping:
        """A setting lists the problems of its corpus, and of those that it shares them with."""
        found = {}
        for study in self.studies.studies:
            for corpus in study.generated:
                own = study.settings_of(corpus)
                sharing = [name for name, one in study.settings.items() if one.shared_problems]
                found[corpus] = [*own, *(sharing if {*own} & {*sharing} else [])]
        return dg.StaticPartitionMapping(found)

    def corpus_ins(self, *assets: str) -> dict[str, dg.AssetIn]:
        """Inputs of a setting's asset that are of its corpus."""
        return {asset: dg.AssetIn(partition_mapping=self.corpus_to_setting) for asset in assets}

    @cached_property
    def setting_to_study(self) -> dg.StaticPartitionMapping:
        """A study is summed up over its settings."""
        return dg.StaticPartitionMapping({setting: study.name for setting, study in self.studies.by_setting.items()})


def cells_of(setting: str) -> list[Cell]:
    """The cells of a setting, by seed."""
    return [Cell(setting, seed) for seed in range(SEEDS)]
