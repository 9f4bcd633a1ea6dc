"""Sweeps: ``sweep_metrics`` (one combination of factors in one setting) and ``sweep_leaderboard`` (all of a study).

Belongs here: the two assets, and the vectors that combinations share. Stays out: which combinations there are
(``studies.sweep``), scores (``core.results.sweep``), the job that drives them (``jobs.sweep``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.ledger.fingerprint import fingerprint, output
from ta_assets.ledger.made_from import extraction_options, finished
from ta_assets.ledger.partitions import COMBINATIONS, Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import World, WorldResource
from ta_assets.pages import plots
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import SweepCell, sweep_cells
from ta_assets.vectors.corpus_pass import CorpusExtraction, resolved_options
from ta_assets.vectors.probe_data import joined
from ta_resources.language_model.capture import resolve_blocks
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.storage.artifacts import Activations

VECTORS = "sweep_vectors"
"""Folder of the indices of vectors; a name says what decides them, so combinations that differ elsewhere share one."""


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``sweep_metrics`` and ``sweep_leaderboard``."""
    of_combination = dg.asset(partitions_def=COMBINATIONS, pool=GPU_POOL, code_version="3")
    of_study = dg.asset(partitions_def=partitions.study, code_version="3")
    return [of_combination(sweep_metrics), of_study(sweep_leaderboard)]


def sweep_metrics(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[dict[str, Any]]:
    """Leave-one-problem-out scores of one combination of factors, on the problems outside the test."""
    from ta_assets.core.results.sweep import cross_validated
    from ta_assets.core.traces.labels import label_usable
    from ta_assets.core.traces.splits import single_split

    cell = world.combination(context.partition_key)
    study, corpus = cell.study, cell.study.settings[cell.setting].corpus
    ids = world.store.load("problem_ids", cell.setting)
    activations = SweepVectors(world, also_around(context.log.info)).of(cell, ids)
    sentences, _ = label_usable(world.rollouts.read_problems(world.source(corpus), ids), study.labels)
    whole = joined(sentences, activations, ids, world.store.files, study.extraction.pooling)
    scores = cross_validated(whole.under(single_split(ids, study.splits)), study.probe_options, cell.probe)
    value = {
        "key": cell.key,
        "setting": cell.setting,
        "factors": dict(cell.factors),
        "target": study.labels.target,
        **scores,
    }
    facts = {"factors": dg.MetadataValue.json(value["factors"]), "problems": len(scores["problems"])}
    return output(value, made_from(world, "sweep_metrics", cell.key), facts)


def sweep_leaderboard(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[pd.DataFrame]:
    """Every finished combination, best first within its target, with p-values corrected for their number."""
    from ta_assets.core.results.sweep import leaderboard

    study = world.studies.by_name[context.partition_key]
    record = made_from(world, "sweep_leaderboard", study.name)
    keys = finished(study, world.store)
    table = leaderboard([world.store.load("sweep_metrics", key) for key in keys])
    facts = {
        "combinations": len(sweep_cells(study)),
        "finished": len(keys),
        "dagster/row_count": len(table),
        "table": dg.MetadataValue.md(plots.markdown_table(table)),
    }
    return output(table, record, facts)


@dataclass(frozen=True)
class SweepVectors:
    """The vectors that combinations read."""

    world: World
    log: Callable[[str], None]

    def of(self, cell: SweepCell, problem_ids: list[int]) -> Activations:
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
        spec, source = study.extraction_spec(corpus), self.world.source(corpus)
        options = extraction_options(spec)
        language_model = self.world.language_model.identity(spec)
        decides = {"extraction": options, "language_model": language_model}
        of_these = {**decides, "source": self.world.rollouts.identity(source), "problem_ids": problem_ids}
        name = fingerprint(of_these)[:32]
        if self.world.store.exists(VECTORS, name):
            return self.world.store.load(VECTORS, name)
        with self.world.language_model.open(spec) as extractor:
            resolved = resolved_options(options, language_model, extractor)
            extraction = CorpusExtraction.of(
                source, self.world.rollouts, self.world.store.files, resolved, reuse=True, log=self.log
            )
            value = extraction.run(extractor, extraction.plan(extractor, problem_ids), resolved)
        if not value.record["skipped"]:  # what was skipped for want of memory is tried again by the next combination
            self.world.store.save(VECTORS, name, value)
        return value


def _listed(layer: Any) -> tuple[Any, ...]:
    return layer if isinstance(layer, tuple) else (layer,)
