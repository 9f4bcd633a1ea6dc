"""The probes of a setting: those that no seed changes once, the others and all metrics once a seed."""

from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.fold_runs import FoldRuns
from ta_assets.core.values import CellResult, SeedFreeScores
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Cell, Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import plots
from ta_assets.vectors.probe_data import fold_data, folds_of, probe_data, split_of
from ta_resources.storage.artifacts import Activations


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``seed_free_scores`` and ``probe_metrics``."""
    of_setting = dg.asset(
        partitions_def=partitions.setting,
        ins=partitions.corpus_ins("sentences", "activations"),
        code_version="1",
    )
    of_cell = dg.asset(partitions_def=partitions.cell, code_version="2")
    return [of_setting(seed_free_scores), of_cell(probe_metrics)]


def seed_free_scores(
    context: dg.AssetExecutionContext,
    world: WorldResource,
    sentences: pd.DataFrame,
    activations: Activations,
    splits: dict[str, Any],
) -> dg.Output[SeedFreeScores]:
    """Scores of the baselines and probes that do not depend on the seed, fitted once per setting (and fold)."""
    from ta_assets.core.results import cells

    name, files, folds = context.partition_key, world.store.files, folds_of(splits)
    options = world.studies.by_setting[name].probe_options
    if folds is None:
        value = cells.seed_free_scores(probe_data(sentences, activations, split_of(splits), files), options)
    else:
        data = fold_data(sentences, activations, folds, files)
        value = FoldRuns(data, options, world.store, also_around(context.log.info)).seed_free()
    facts = {"rows": len(value.scores), "dagster/row_count": len(value.scores), "details": {"fits": dict(value.fits)}}
    return output(value, made_from(world, "seed_free_scores", name), facts)


def probe_metrics(
    context: dg.AssetExecutionContext,
    world: WorldResource,
    splits: dict[str, Any],
    seed_free_scores: SeedFreeScores,
) -> dg.Output[CellResult]:
    """Metrics of every probe on val and test, position bins, bootstrap intervals, predictions, and a report.

    One setting with one seed. Made also of the sentences and activations of its corpus, which the graph does not show.
    """
    # They are read through the store: Dagster cannot validate a mapping from a corpus straight to cells. What changes
    # there reaches a cell through the seed-free scores, which carry a hash of all data they were fitted on.
    from ta_assets.core.results.cells import evaluate_cell
    from ta_assets.core.results.report import cell_report

    cell, store, folds = Cell.from_key(context.partition_key), world.store, folds_of(splits)
    study = world.studies.by_setting[cell.setting]
    corpus = study.settings[cell.setting].corpus
    sentences, activations = store.load("sentences", corpus), store.load("activations", corpus)
    if folds is None:
        data = probe_data(sentences, activations, split_of(splits), store.files)
        value = evaluate_cell(data, study.probe_options, cell.seed, seed_free_scores)
    else:
        data = fold_data(sentences, activations, folds, store.files)
        value = FoldRuns(data, study.probe_options, store, also_around(context.log.info)).cell(
            cell.seed, seed_free_scores
        )
    value = replace(value, report=cell_report(value, sentences, f"{cell.setting}, seed {cell.seed}"))
    title = plots.title_of(f"{cell.setting}, seed {cell.seed}", study.name)
    return output(value, made_from(world, "probe_metrics", cell.key), _facts(value, title))


def _facts(value: CellResult, title: str) -> dict[str, Any]:
    from ta_assets.core.probes.targets import TARGETS

    target = TARGETS[value.metrics["target"]]
    short = {"average_precision": "ap", "spearman_mean": "spearman"}[target.primary_metric]
    rows = [
        {"probe": model, "part": part, **parts[part]}
        for model, parts in value.metrics["models"].items()
        for part in ("val", "test")
    ]
    test = {f"test_{short}_{row['probe']}": row[target.primary_metric] for row in rows if row["part"] == "test"}
    curve = (
        {"scores_over_target": plots.scores_over_target(value.predictions, target.column, title)}
        if target.continuous
        else {"precision_recall": plots.precision_recall(value.predictions, title)}
    )
    return {
        "metrics": dg.MetadataValue.md(plots.markdown_table(pd.DataFrame(rows))),
        **curve,
        **{name: number for name, number in test.items() if number is not None},
        **plots.screens("report", value.report),
        "seed": value.metrics["seed"],
        "details": {"rows": value.metrics["rows"], "intervals": value.metrics["confidence_intervals"]},
    }
