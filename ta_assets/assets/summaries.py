"""What a setting says over its seeds, and a study over its settings."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.expected import without_cells
from ta_assets.assets.table_types import ScalingTable
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions, cells_of
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import comparison_plots as inference_plots
from ta_assets.pages import plots
from ta_assets.studies.study import Study
from ta_checks.gate import left_out_cells
from ta_resources.storage.artifacts import ArtifactStore


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``aggregate_metrics`` and ``scaling_summary``."""
    of_setting = dg.asset(partitions_def=partitions.setting, deps=["probe_metrics"], code_version="2")
    of_study = dg.asset(
        partitions_def=partitions.study,
        ins={
            name: dg.AssetIn(partition_mapping=partitions.setting_to_study, metadata={"collect": True})
            for name in ("probe_comparison", "aggregate_metrics")
        },
        dagster_type=ScalingTable,
        code_version="2",
    )
    return [of_setting(aggregate_metrics), of_study(scaling_summary)]


def aggregate_metrics(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[dict[str, Any]]:
    """Mean and standard deviation over the seeds of a setting, of the cells that may be believed."""
    # it loads its cells itself: one that may not be believed must not even be opened
    from ta_assets.core.probes.targets import TARGETS
    from ta_assets.core.results.aggregate import aggregate

    name = context.partition_key
    study = world.studies.by_setting[name]
    left_out = left_out_cells(world.ledger, name)
    cells = {
        cell.seed: world.store.load("probe_metrics", cell.key).metrics
        for cell in cells_of(name)
        if str(cell.seed) not in left_out
    }
    if not cells:
        raise dg.Failure(f"no cell of {name} may be aggregated: {left_out}", allow_retries=False)
    primary = TARGETS[study.labels.target].primary_metric
    value = {
        **aggregate(cells, primary_metric=primary, best_of_k=study.probes.best_of_k),
        "left_out": left_out,
        **fold_summary(cells, study),
    }
    return output(
        value,
        without_cells(world, "aggregate_metrics", name, left_out),
        _facts(value, plots.title_of(name, study.name)),
    )


def scaling_summary(
    context: dg.AssetExecutionContext,
    world: WorldResource,
    probe_comparison: dict[str, dict[str, Any]],
    aggregate_metrics: dict[str, dict[str, Any]],
) -> dg.Output[pd.DataFrame]:
    """Every probe of every setting in one table, led by the comparison with the baselines.

    Beside the metrics: its lead over what it is compared with in a cell, with the 95 % t interval over the test
    problems of the smallest seed, and the bytes that the vectors of the setting's corpus take on the disk.
    """
    from ta_assets.core.comparison.compare import compared_rows
    from ta_assets.core.markdown import comparison_table

    settings = world.studies.by_name[context.partition_key].settings
    frames = [
        _of_setting(name, aggregate_metrics[name]).assign(storage_bytes=_stored_bytes(world.store, setting.corpus))
        for name, setting in settings.items()
        if name in aggregate_metrics
    ]
    if not frames:
        raise dg.Failure(f"no setting of {context.partition_key} has metrics to sum up", allow_retries=False)
    table = pd.concat(frames, ignore_index=True)
    missing = [name for name in settings if name not in aggregate_metrics]
    study = context.partition_key
    facts = {
        "settings": len(aggregate_metrics),
        "missing_settings": ", ".join(missing) or "none",
        "dagster/row_count": len(table),
        "comparison": dg.MetadataValue.md(comparison_table(compared_rows(settings, probe_comparison), ["setting"])),
        **{
            f"effects of {name}": inference_plots.effects(probe_comparison[name], plots.title_of(name, study))
            for name in settings
            if name in probe_comparison
        },
        "table": dg.MetadataValue.md(plots.markdown_table(_model_first(table))),
    }
    return output(table, {}, facts)


def _model_first(table: pd.DataFrame) -> pd.DataFrame:
    """For a page, on which the last columns may lie beyond the edge: names, then what is compared, then the rest."""
    first = ["model", "setting", "best"]
    means = [name for name in table.columns if name.endswith("_mean")]
    return table.reindex(columns=[*first, *means, *(one for one in table.columns if one not in {*first, *means})])


def _of_setting(setting: str, value: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each model of a setting, as ``ScalingTable`` has it."""
    from ta_assets.core.results.aggregate import summary_table, with_leads

    table = with_leads(summary_table(value), value)
    table.insert(0, "setting", setting)
    table.insert(2, "best", table["model"] == value["best_model"])
    table.insert(3, "seeds", len(value["seeds"]))
    left_out = "; ".join(f"seed {seed}: {reason}" for seed, reason in sorted(value["left_out"].items()))
    return table.assign(left_out=left_out)


def _stored_bytes(store: ArtifactStore, corpus: str) -> int:
    """Bytes of every stored vector of a corpus, all blocks together."""
    names = [shard.file for shard in store.load("activations", corpus).files()]
    return sum(store.files.sizes(names).values())


def _facts(value: Mapping[str, Any], title: str) -> dict[str, Any]:
    from ta_assets.core.markdown import results_table
    from ta_assets.core.results.aggregate import interval_table, seed_table, summary_table

    primary = value["primary_metric"]
    tables = {
        "best_of_k": pd.DataFrame(value["best_of_k_by_model"]),
        "table_of_seeds": seed_table(value),
    }
    if value["ci_records"]:
        tables["table_of_intervals"] = interval_table(value)
    if "residual_by_model" in value:
        tables["beyond_position"] = pd.DataFrame(value["residual_by_model"])
    return {
        "best_model": value["best_model"],
        "seeds": len(value["seeds"]),
        "left_out": dg.MetadataValue.json(value["left_out"]),
        "table": dg.MetadataValue.md(results_table(value)),
        **{name: dg.MetadataValue.md(plots.markdown_table(table)) for name, table in tables.items()},
        "plot": plots.bars(summary_table(value), "model", f"{primary}_mean", f"{primary}_std", title),
        **fold_facts(value),
        "details": {"best_seed": value["best_seed"]},
    }


def fold_summary(cells: Mapping[int, Mapping[str, Any]], study: Study) -> dict[str, Any]:
    """The statistics over folds as the aggregate's entry ``lopo``; nothing for a single split."""
    if study.splits.scheme != "lopo":
        return {}
    from ta_assets.core.results.lopo import aggregate_folds

    options = study.probe_options
    return {"lopo": aggregate_folds(cells, best_of_k=options.best_of_k, bootstrap=options.bootstrap)}


def fold_facts(value: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of ``fold_summary`` for the metadata."""
    names = {"mean_seeds": "over_folds", "paired_deltas": "deltas_over_folds"} if "lopo" in value else {}
    tables = {name: pd.DataFrame(value["lopo"][key]) for key, name in names.items()}
    return {name: dg.MetadataValue.md(plots.markdown_table(table)) for name, table in tables.items()}
