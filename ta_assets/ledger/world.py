"""The studies, the resources and the ledger in one value: made once a run and passed whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import dagster as dg

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.progress import also_around
from ta_assets.studies.loading import Studies
from ta_assets.studies.sweep import SweepCell, sweep_cells
from ta_resources.engines.resource import EnginesResource
from ta_resources.interrupts import noticed
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.run_owners import own, watched
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.campaigns import unpacked


@dataclass(frozen=True)
class World:
    """Everything that an asset, a check or the release looks at beside its own partition."""

    studies: Studies
    store: ArtifactStore
    rollouts: RolloutsResource
    language_model: LanguageModelResource
    ledger: Ledger
    engines: EnginesResource = field(default_factory=EnginesResource)

    def fresh(self) -> World:
        """The same world with an empty ledger: what a ledger has read is out of date once a run made something."""
        return replace(self, ledger=Ledger(self.ledger.dagster, self.ledger.definitions))

    def source(self, corpus: str) -> CorpusSource:
        """Where the traces of a corpus lie: in its study's dataset, or in a copy of the artifact of its own rollouts.

        Raises:
            KeyError: no study has the corpus.
            InputError: its rollouts are to be made here, and its labels were not made yet, or were changed.
        """
        source = self.studies.by_corpus[corpus].source(corpus)
        if source.folder is not None or source.repo_id is not None:
            return source
        layout = self.store.load("labels", corpus).layout
        return replace(source, folder=str(unpacked(layout, self.store.local_folder)))

    def combination(self, key: str) -> SweepCell:
        """The combination of a sweep that a partition key stands for.

        Raises:
            InputError: no study of this instance has it (any more).
        """
        if key not in self._combinations:
            raise InputError("partition of sweep_metrics", "key", key, "a combination of some study's section sweep")
        return self._combinations[key]

    @cached_property
    def _combinations(self) -> dict[str, SweepCell]:
        return {cell.key: cell for study in self.studies.studies for cell in sweep_cells(study)}


WorldResource = dg.ResourceParam[World]
"""The type of an asset's or op's argument ``world``: the run's resource of that name."""


def world_resource(studies: Studies, definitions: Callable[[], dg.Definitions]) -> dg.ResourceDefinition:
    """The resource ``world``, made of a run's other resources when the run begins.

    Before any step of the run claims a slot of a pool, the run says which process drives it, and while it waits for a
    slot it is told for whom.

    When the run ends after a request to stop, it is marked as being canceled: Dagster does that for its button only,
    and would call a Ctrl-C a failure.

    Args:
        studies: all that the instance holds.
        definitions: the whole graph; a call, since assets and checks exist before the definitions do.
    """

    @dg.resource(required_resource_keys={"store", "rollouts", "language_model", "engines"})
    def world(context: dg.InitResourceContext) -> Iterator[World]:
        if context.instance is None:
            raise ValueError("a world needs an instance: its ledger reads what runs recorded")
        resources = context.resources
        made = World(
            studies,
            resources.store,
            resources.rollouts,
            resources.language_model,
            Ledger(context.instance, definitions),
            resources.engines,
        )
        if context.run is None or context.log is None:
            yield made
            return
        own(context.instance, context.run.run_id)
        waiting = watched(context.instance, context.run.run_id, also_around(context.log.warning))
        with noticed() as stopped, waiting:
            try:
                yield made
            finally:
                run = context.instance.get_run_by_id(context.run.run_id) if stopped() else None
                if run is not None and not run.is_finished and run.status is not dg.DagsterRunStatus.CANCELING:
                    context.instance.report_run_canceling(run)

    return world
