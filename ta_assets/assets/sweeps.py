"""Sweeps: ``sweep_metrics`` (one combination of factors in one setting) and ``sweep_leaderboard`` (all of a study).

Belongs here: the two assets, and the vectors that combinations share. Stays out: which combinations there are
(``sweep_plan``), scores (``core.sweep``), the job that drives them (``sweep_job``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.ledger.made_from import Origins, extraction_options, fingerprint, output, study_options
from ta_assets.ledger.partitions import Partitions
from ta_assets.pages import plots
from ta_assets.studies.loading import Studies
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import SweepCell, sweep_cells
from ta_assets.vectors.corpus_pass import CorpusExtraction, resolved_options
from ta_assets.vectors.probe_data import joined
from ta_resources.language_model.capture import resolve_blocks
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import Activations, ArtifactStore

CELLS = dg.DynamicPartitionsDefinition(name="sweep_cells")
"""One partition a combination and setting; the job ``sweep`` adds them."""
VECTORS = "sweep_vectors"
"""Folder of the indices of vectors; a name says what decides them, so combinations that differ elsewhere share one."""


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``sweep_metrics`` and ``sweep_leaderboard``."""
    studies = partitions.studies

    @dg.asset(partitions_def=CELLS, pool=GPU_POOL, code_version="2", group_name="sweeps")
    def sweep_metrics(
        context: dg.AssetExecutionContext,
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
        store: ArtifactStore,
    ) -> dg.Output[dict[str, Any]]:
        """Leave-one-problem-out scores of one combination of factors, on the problems outside the test."""
        from ta_assets.core.results.sweep import cross_validated
        from ta_assets.core.traces.labels import label_problems
        from ta_assets.core.traces.splits import single_split

        cell = cell_of(studies, context.partition_key)
        study, corpus = cell.study, cell.study.settings[cell.setting].corpus
        source = SweepSource(Origins(studies, rollouts, language_model), store, context.log.info)
        ids = source.problem_ids(cell)
        activations = source.vectors(cell, ids)
        sentences = label_problems(rollouts.load_problems(study.source(corpus), ids), study.labels)
        whole = joined(sentences, activations, ids, store.base, study.extraction.pooling)
        data = whole.under(single_split(ids, study.splits))
        scores = cross_validated(data, study.probe_options, cell.probe)
        value = {
            "key": cell.key,
            "setting": cell.setting,
            "factors": dict(cell.factors),
            "target": study.labels.target,
            **scores,
        }
        facts = {"factors": dg.MetadataValue.json(value["factors"]), "problems": len(scores["problems"])}
        return output(value, source.made_from(cell), facts)

    @dg.asset(partitions_def=partitions.study, code_version="3", group_name="sweeps")
    def sweep_leaderboard(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.Output[pd.DataFrame]:
        """Every finished combination, best first within its target, with p-values corrected for their number."""
        from ta_assets.core.results.sweep import leaderboard

        study = studies.by_name[context.partition_key]
        keys = finished(study, store)
        table = leaderboard([store.load("sweep_metrics", key) for key in keys])
        facts = {
            "combinations": len(sweep_cells(study)),
            "finished": len(keys),
            "table": dg.MetadataValue.md(plots.markdown_table(table)),
        }
        return output(table, leaderboard_made_from(study, keys), facts)

    return [sweep_metrics, sweep_leaderboard]


def finished(study: Study, store: ArtifactStore) -> list[str]:
    """Keys of the combinations of a study that are stored, in the order of the file."""
    return [cell.key for cell in sweep_cells(study) if store.exists("sweep_metrics", cell.key)]


def leaderboard_made_from(study: Study, keys: Iterable[str]) -> dict[str, Any]:
    """What a ranking of these combinations is made from."""
    return {"sweep": study.sweep, "finished": sorted(keys)}


def cell_of(studies: Studies, key: str) -> SweepCell:
    """The combination that a partition key stands for.

    Raises:
        InputError: no study of this instance has it (any more).
    """
    for study in studies.studies:
        for cell in sweep_cells(study):
            if cell.key == key:
                return cell
    raise InputError("partition of sweep_metrics", "key", key, "a combination of some study's section sweep")


@dataclass(frozen=True)
class SweepSource:
    """What a combination is computed from."""

    world: Origins
    store: ArtifactStore
    log: Callable[[str], None]

    def problem_ids(self, cell: SweepCell) -> list[int]:
        """The setting's problems, as its asset ``problem_ids`` has them; raises InputError before that was made."""
        return self.store.load("problem_ids", cell.setting)

    def made_from(self, cell: SweepCell) -> dict[str, Any]:
        """Everything that decides a combination's scores, for the comparison with what it was made from."""
        study, corpus = cell.study, cell.study.settings[cell.setting].corpus
        spec = study.extraction_spec(corpus)
        return {
            "factors": dict(cell.factors),
            "source": self.world.rollouts.identity(study.source(corpus)),
            "problem_ids": self.problem_ids(cell),
            "labels": study.labels.model_dump(),
            **study_options(study, "splits"),
            **study_options(study, "probe_metrics" if cell.probe in TOKEN_PROBES else "seed_free_scores"),
            "language_model": self.world.language_model.identity(spec),
            "extraction": extraction_options(spec),
        }

    def vectors(self, cell: SweepCell, problem_ids: list[int]) -> Activations:
        """Vectors of these problems as a combination reads them: a view of one pass for all combinations.

        The pass takes what any extraction has stored; the model is opened only where the index is not there yet.
        """
        corpus = cell.study.settings[cell.setting].corpus
        shared = self.shared_study(cell)
        value = self._extracted(shared, corpus, problem_ids)
        blocks = resolve_blocks(cell.study.extraction.layer, value.record["n_blocks"], str(cell.study.path))
        return replace(value, record={**value.record, "block": blocks[0], "blocks": list(blocks)})

    def shared_study(self, cell: SweepCell) -> Study:
        """The study with an extraction that serves all combinations which differ from this one in layer and pooling.

        All layers come out of one forward pass; with several poolings it keeps every token, and the others are made of
        them. Vertical attention is scored at the primary block, so then each layer is an extraction of its own.
        """
        mine = cell.study.extraction
        other = mine.model_dump(exclude={"layer", "pooling"})
        alike = [
            found.study.extraction
            for found in self._combinations[cell.setting]
            if found.study.extraction.model_dump(exclude={"layer", "pooling"}) == other
        ]
        if mine.vertical_attention.mode != "off":
            alike = [found for found in alike if found.layer == mine.layer]
        poolings = dict.fromkeys(found.pooling for found in alike)
        layers = dict.fromkeys(layer for found in alike for layer in _listed(found.layer))
        shared = mine.model_copy(
            update={
                "layer": "all" if "all" in layers else tuple(layers),
                "pooling": "tokens" if len(poolings) > 1 else mine.pooling,
            }
        )
        return cell.study.model_copy(update={"extraction": shared})

    @cached_property
    def _combinations(self) -> dict[str, list[SweepCell]]:
        cells: dict[str, list[SweepCell]] = {}
        for study in self.world.studies.studies:
            for cell in sweep_cells(study):
                cells.setdefault(cell.setting, []).append(cell)
        return cells

    def _extracted(self, study: Study, corpus: str, problem_ids: list[int]) -> Activations:
        spec, source = study.extraction_spec(corpus), study.source(corpus)
        options = extraction_options(spec)
        language_model = self.world.language_model.identity(spec)
        decides = {"extraction": options, "language_model": language_model}
        of_these = {**decides, "source": self.world.rollouts.identity(source), "problem_ids": problem_ids}
        name = fingerprint(of_these)[:32]
        if self.store.exists(VECTORS, name):
            return self.store.load(VECTORS, name)
        with self.world.language_model.open(spec) as extractor:
            resolved = resolved_options(options, language_model, extractor)
            extraction = CorpusExtraction.of(
                source, self.world.rollouts, self.store.base, resolved, reuse=True, log=self.log
            )
            value = extraction.run(extractor, extraction.plan(extractor, problem_ids), resolved)
        if not value.record["skipped"]:  # what was skipped for want of memory is tried again by the next combination
            self.store.save(VECTORS, name, value)
        return value


def _listed(layer: Any) -> tuple[Any, ...]:
    return layer if isinstance(layer, tuple) else (layer,)
