"""What a setting says over its seeds, and a study over its settings."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.table_types import ScalingTable
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import output, study_options
from ta_assets.ledger.partitions import Partitions, cells_of
from ta_assets.pages import plots
from ta_assets.studies.study import Study
from ta_checks.gate import left_out_cells
from ta_resources.storage.artifacts import ArtifactStore


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[dg.AssetsDefinition]:
    """The assets ``aggregate_metrics`` and ``scaling_summary``."""
    studies = partitions.studies

    @dg.asset(
        partitions_def=partitions.setting,
        deps=["probe_metrics"],
        code_version="2",
        group_name="results",
    )
    def aggregate_metrics(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.Output[dict[str, Any]]:
        """Mean and standard deviation over the seeds of a setting, of the cells that may be believed.

        Loads its cells itself: one that may not be believed must not even be opened.
        """
        from ta_assets.core.markdown import results_table
        from ta_assets.core.probes.targets import TARGETS
        from ta_assets.core.results.aggregate import aggregate, interval_table, seed_table, summary_table

        name = context.partition_key
        study = studies.by_setting[name]
        left_out = left_out_cells(Ledger(context.instance, definitions), name)
        cells = {
            cell.seed: store.load("probe_metrics", cell.key).metrics
            for cell in cells_of(name)
            if str(cell.seed) not in left_out
        }
        if not cells:
            raise dg.Failure(f"no cell of {name} may be aggregated: {left_out}", allow_retries=False)
        primary = TARGETS[study.labels.target].primary_metric
        value = {
            **aggregate(cells, primary_metric=primary, best_of_k=study.probes.best_of_k),
            "left_out": left_out,
        }
        folds = fold_summary(cells, study)
        table = summary_table(value)
        facts = {
            "seeds": len(cells),
            "left_out": dg.MetadataValue.json(left_out),
            "best_model": value["best_model"],
            "best_seed": dg.MetadataValue.json(value["best_seed"]),
            "table": dg.MetadataValue.md(results_table(value)),
            "best_of_k": dg.MetadataValue.md(plots.markdown_table(pd.DataFrame(value["best_of_k_by_model"]))),
            "table_of_seeds": dg.MetadataValue.md(plots.markdown_table(seed_table(value))),
            primary: plots.bars(table, "model", f"{primary}_mean", f"{primary}_std"),
        }
        if value["ci_records"]:
            facts["table_of_intervals"] = dg.MetadataValue.md(plots.markdown_table(interval_table(value)))
        if "residual_by_model" in value:
            facts["beyond_position"] = dg.MetadataValue.md(
                plots.markdown_table(pd.DataFrame(value["residual_by_model"]))
            )
        return output({**value, **folds}, aggregate_made_from(study, left_out), {**facts, **fold_facts(folds)})

    @dg.asset(
        partitions_def=partitions.study,
        ins={
            name: dg.AssetIn(partition_mapping=partitions.setting_to_study, metadata={"collect": True})
            for name in ("probe_comparison", "aggregate_metrics")
        },
        dagster_type=ScalingTable,
        code_version="1",
        group_name="results",
    )
    def scaling_summary(
        context: dg.AssetExecutionContext,
        probe_comparison: dict[str, dict[str, Any]],
        aggregate_metrics: dict[str, dict[str, Any]],
    ) -> dg.Output[pd.DataFrame]:
        """Every probe of every setting in one table, led by the comparison with the baselines."""
        from ta_assets.core.markdown import comparison_table
        from ta_assets.core.results.aggregate import summary_table

        settings = studies.by_name[context.partition_key].settings
        frames = []
        for setting in (name for name in settings if name in aggregate_metrics):
            value = aggregate_metrics[setting]
            left_out = "; ".join(f"seed {seed}: {reason}" for seed, reason in sorted(value["left_out"].items()))
            table = summary_table(value)
            table.insert(0, "setting", setting)
            table.insert(2, "best", table["model"] == value["best_model"])
            table.insert(3, "seeds", len(value["seeds"]))
            frames.append(table.assign(left_out=left_out))
        table = pd.concat(frames, ignore_index=True)
        missing = [name for name in settings if name not in aggregate_metrics]
        facts = {
            "comparison": dg.MetadataValue.md(comparison_table(compared_rows(settings, probe_comparison), ["setting"])),
            "settings": len(aggregate_metrics),
            "missing_settings": ", ".join(missing) or "none",
            "table": dg.MetadataValue.md(plots.markdown_table(table)),
        }
        return output(table, {}, facts)

    return [aggregate_metrics, scaling_summary]


def compared_rows(settings: Iterable[str], comparisons: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all comparisons that there are, each with its ``setting``."""
    found = [name for name in settings if name in comparisons]
    return [{"setting": name, **row} for name in found for row in comparisons[name]["rows"]]


def fold_summary(cells: Mapping[int, Mapping[str, Any]], study: Study) -> dict[str, Any]:
    """The statistics over folds as the aggregate's entry ``lopo``; nothing for a single split."""
    if study.splits.scheme != "lopo":
        return {}
    from ta_assets.core.results.lopo import aggregate_folds

    options = study.probe_options
    return {"lopo": aggregate_folds(cells, best_of_k=options.best_of_k, bootstrap=options.bootstrap)}


def fold_facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of ``fold_summary`` for the metadata."""
    names = {"mean_seeds": "over_folds", "paired_deltas": "deltas_over_folds"}
    tables = {name: pd.DataFrame(summary["lopo"][key]) for key, name in names.items()} if summary else {}
    return {name: dg.MetadataValue.md(plots.markdown_table(table)) for name, table in tables.items()}


def aggregate_made_from(study: Study, left_out: Mapping[str, str]) -> dict[str, Any]:
    """A cell whose check turns green again was not changed, yet the mean over it must be made anew."""
    return {**study_options(study, "aggregate_metrics"), "left_out_seeds": sorted(left_out)}
