"""The table of assets: every fact about an asset that is needed outside of its own module.

Belongs here: one row for each asset, in the order in which they are made. Stays out: what the facts are computed with
(``made_from``), the assets' bodies (``ta_assets.assets``). A new asset is its module and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ta_assets.ledger import made_from as how
from ta_assets.ledger.partitions import COMBINATIONS, cells_of
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import sweep_cells

Node = tuple[str, str]
"""An artifact: (asset, partition)."""


class Scope(Enum):
    """What one partition of an asset is about."""

    GENERATED = auto()
    """A corpus whose rollouts are made here; a study with a dataset has none."""
    CORPUS = auto()
    SETTING = auto()
    CELL = auto()
    STUDY = auto()
    COMBINATION = auto()

    def keys(self, study: Study) -> list[str]:
        """The partition keys that belong to a study, in its order."""
        return _KEYS[self](study)

    def study(self, studies: Studies, partition: str) -> Study:
        """The study that a partition key belongs to.

        Raises:
            KeyError: none has it; those of combinations are not asked here, see ``World.combination``.
        """
        return _OWNERS[self](studies)[partition.rpartition("|")[2]]


_KEYS: Mapping[Scope, Callable[[Study], list[str]]] = {
    Scope.GENERATED: lambda study: list(study.generated),
    Scope.CORPUS: lambda study: list(study.corpora),
    Scope.SETTING: lambda study: list(study.settings),
    Scope.CELL: lambda study: [cell.key for setting in study.settings for cell in cells_of(setting)],
    Scope.STUDY: lambda study: [study.name],
    Scope.COMBINATION: lambda study: [cell.key for cell in sweep_cells(study)],
}
_OWNERS: Mapping[Scope, Callable[[Studies], Mapping[str, Study]]] = {
    Scope.GENERATED: lambda studies: studies.by_corpus,
    Scope.CORPUS: lambda studies: studies.by_corpus,
    Scope.SETTING: lambda studies: studies.by_setting,
    Scope.CELL: lambda studies: studies.by_setting,
    Scope.STUDY: lambda studies: studies.by_name,
    Scope.COMBINATION: lambda studies: studies.by_setting,
}


class Role(Enum):
    """Which job makes an asset."""

    RESULT = auto()
    """The release, one stage for each; what its checks say is in the verdict."""
    VERDICT = auto()
    """The release, at its end."""
    PAGE = auto()
    """The release, after the verdict, which it shows and which therefore does not judge it."""
    SWEEP = auto()
    """The sweep."""


def no_options(_study: Study) -> Mapping[str, Any]:
    """Of an asset that depends on no option directly."""
    return {}


def no_identity(_world: World, _partition: str) -> Mapping[str, Any]:
    """Of an asset that reads no data and no model directly."""
    return {}


def no_reads(_world: World, _partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    """Of an asset that loads nothing beside its parents in the graph."""
    return []


def nothing_owed(_metadata: Mapping[str, Any]) -> None:
    """Of an asset that only changes make old."""


@dataclass(frozen=True)
class AssetFacts:
    """One row of the table."""

    scope: Scope
    role: Role = Role.RESULT
    options: Callable[[Study], Mapping[str, Any]] = no_options
    """What of the study decides it, beyond what its parents were made from."""
    identity: Callable[[World, str], Mapping[str, Any]] = no_identity
    """What of data and models decides a partition. Raises InputError when they cannot be identified."""
    some_are_enough: frozenset[str] = frozenset()
    """Parents of which some cells will do; what is left out is recorded and red."""
    reads: Callable[[World, str, Mapping[str, Any]], list[Node]] = no_reads
    """What a partition, made from this record, loads beside its parents in the graph."""
    owed: Callable[[Mapping[str, Any]], str | None] = nothing_owed
    """Why a partition with this metadata must be made again although nothing changed."""
    light: bool = False
    """Whether it is made in a moment, so that a process of its own would cost more."""
    ages_with_reads: bool = False
    """Whether it is old as soon as something that it ``reads`` was made again; Dagster knows that of parents only."""
    leaves_out_cells: bool = False
    """Whether cells that checks forbid to build on are left out: these seeds are part of what it is made from."""
    tells_of_checks: bool = False
    """Whether its content counts the results of checks, which change without any parent: it is made from what it says.
    """


def _corpus_of_cell(world: World, partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    setting = partition.rpartition("|")[2]
    corpus = world.studies.by_setting[setting].settings[setting].corpus
    return [("sentences", corpus), ("activations", corpus)]


def _corpora_of_study(world: World, partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    settings = world.studies.by_name[partition].settings
    summed_up = [one.corpus for name, one in settings.items() if world.store.exists("aggregate_metrics", name)]
    return [("activations", corpus) for corpus in dict.fromkeys(summed_up)]


def _shown(world: World, partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    study = world.studies.by_name[partition]
    of_settings = [(asset, one) for asset in ("probe_comparison", "cv_scores") for one in study.settings]
    return [*of_settings, *(("sentences", corpus) for corpus in study.corpora)]


def _plans_of_study(world: World, partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    return [("deferral_plan", setting) for setting in world.studies.by_name[partition].settings]


def _problems_of_combination(world: World, partition: str, _made_from: Mapping[str, Any]) -> list[Node]:
    setting = partition.rpartition("|")[2]
    return [("problem_ids", setting)] if setting in world.studies.by_setting else []


def _ranked_combinations(_world: World, _partition: str, made_from: Mapping[str, Any]) -> list[Node]:
    return [("sweep_metrics", key) for key in made_from.get("finished") or []]


FACTS: Mapping[str, AssetFacts] = {
    "problem_set": AssetFacts(Scope.GENERATED, identity=how.questions_identity, light=True),
    "base_traces": AssetFacts(Scope.GENERATED, identity=how.base_identity, owed=how.rollouts_owed, light=True),
    "rollouts": AssetFacts(Scope.GENERATED, options=how.rollout_options, owed=how.rollouts_owed, light=True),
    "labels": AssetFacts(Scope.GENERATED, options=how.grading_options, light=True),
    "problem_ids": AssetFacts(Scope.SETTING, identity=how.problems_identity, light=True),
    "splits": AssetFacts(Scope.SETTING, options=how.split_options, light=True),
    "sentences": AssetFacts(
        Scope.CORPUS, identity=how.labels_identity, some_are_enough=frozenset({"problem_ids"}), light=True
    ),
    "activations": AssetFacts(
        Scope.CORPUS,
        identity=how.extraction_identity,
        some_are_enough=frozenset({"problem_ids"}),
        owed=how.memory_owed,
    ),
    "cv_scores": AssetFacts(Scope.SETTING, options=how.score_options),
    "probe_comparison": AssetFacts(Scope.SETTING, options=how.comparison_options),
    "seed_free_scores": AssetFacts(Scope.SETTING, options=how.probe_options),
    # Dagster cannot validate a mapping from a corpus straight to cells
    "probe_metrics": AssetFacts(Scope.CELL, options=how.cell_options, reads=_corpus_of_cell),
    "aggregate_metrics": AssetFacts(
        Scope.SETTING,
        options=how.aggregate_options,
        some_are_enough=frozenset({"probe_metrics"}),
        leaves_out_cells=True,
    ),
    "deferral_plan": AssetFacts(
        Scope.SETTING,
        options=how.deferral_options,
        some_are_enough=frozenset({"probe_metrics"}),
        leaves_out_cells=True,
    ),
    "scaling_summary": AssetFacts(
        Scope.STUDY,
        some_are_enough=frozenset({"aggregate_metrics", "probe_comparison"}),
        reads=_corpora_of_study,
    ),
    # it counts the checks of every asset; those of the plans alone lead to nothing else of it
    "readme_block": AssetFacts(Scope.STUDY, reads=_plans_of_study, tells_of_checks=True),
    "release_verdict": AssetFacts(Scope.STUDY, Role.VERDICT),
    "report": AssetFacts(Scope.STUDY, Role.PAGE, reads=_shown, ages_with_reads=True),
    "sweep_metrics": AssetFacts(
        Scope.COMBINATION, Role.SWEEP, identity=how.combination_identity, reads=_problems_of_combination
    ),
    "sweep_leaderboard": AssetFacts(
        Scope.STUDY, Role.SWEEP, identity=how.leaderboard_identity, reads=_ranked_combinations, ages_with_reads=True
    ),
}
"""Every asset of which a run records what it made, in the order in which they are made."""


def with_role(role: Role) -> tuple[str, ...]:
    """The assets that a job makes, in their order."""
    return tuple(asset for asset, facts in FACTS.items() if facts.role is role)


ASSETS = with_role(Role.RESULT)
"""The assets of a study in the order in which they are made; the verdict judges them and comes last."""


def partitions_of(asset: str, study: Study) -> list[str]:
    """The partition keys of an asset that belong to a study."""
    return FACTS[asset].scope.keys(study)


def read_together(world: World, study: Study) -> None:
    """Let the ledger read the cells of a study an asset at a time: whoever looks at one looks at all."""
    world.ledger.together({asset: partitions_of(asset, study) for asset in ASSETS})


def recorded_partitions(world: World, asset: str) -> list[str]:
    """The partitions that an asset can have been made of."""
    scope = FACTS[asset].scope
    if scope is Scope.COMBINATION:  # also those that no study asks for any more
        return list(world.ledger.dagster.get_dynamic_partitions(str(COMBINATIONS.name)))
    return [partition for study in world.studies.studies for partition in scope.keys(study)]


def made_from(world: World, asset: str, partition: str) -> dict[str, Any]:
    """What a partition would be made from now beyond its parents and the results of checks; JSON-able.

    Raises:
        InputError: data or model cannot be identified.
    """
    facts = FACTS[asset]
    options = {} if facts.options is no_options else facts.options(facts.scope.study(world.studies, partition))
    return {**facts.identity(world, partition), **options}
