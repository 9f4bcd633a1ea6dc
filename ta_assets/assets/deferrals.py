"""Which sentences of a setting a probe may decide, and which are left to a person."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import output, study_options
from ta_assets.ledger.partitions import Cell, Partitions, cells_of
from ta_assets.pages import plots
from ta_assets.studies.study import Study
from ta_checks.gate import left_out_cells
from ta_resources.storage.artifacts import ArtifactStore

RATES = ("deferral_rate", "accepted_error")


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[dg.AssetsDefinition]:
    """The asset ``deferral_plan``."""
    studies = partitions.studies

    @dg.asset(partitions_def=partitions.setting, deps=["probe_metrics"], code_version="1", group_name="results")
    def deferral_plan(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.Output[dict[str, Any]]:
        """Two thresholds of one probe, chosen on val rows and reported on test rows, of cells that may be believed."""
        from ta_assets.core.results.deferral_cells import plan_cells, seeds_to_plan

        name = context.partition_key
        study = studies.by_setting[name]
        left_out = left_out_cells(Ledger(context.instance, definitions), name)
        believed = [cell.seed for cell in cells_of(name) if str(cell.seed) not in left_out]
        if not believed:
            raise dg.Failure(f"no cell of {name} may be planned on: {left_out}", allow_retries=False)
        seeds = seeds_to_plan(study.deferral_probe, believed)
        tables = {seed: grouped_predictions(store, study, Cell(name, seed)) for seed in seeds}
        value = {**plan_cells(tables, study.deferral_options), "left_out": left_out}
        return output(value, deferral_made_from(study, left_out), _facts(value))

    return [deferral_plan]


def grouped_predictions(store: ArtifactStore, study: Study, cell: Cell) -> pd.DataFrame:
    """The predictions of a cell with ``function_tag`` of their sentences.

    Tags come from the corpus through the store: a changed tag changes the hash of what the cells were fitted on, so
    it reaches this plan through them.
    """
    from ta_assets.core.results.deferral_cells import grouped

    sentences = store.load("sentences", study.settings[cell.setting].corpus)
    return grouped(store.load("probe_metrics", cell.key).predictions, sentences)


def deferral_made_from(study: Study, left_out: Mapping[str, str]) -> dict[str, Any]:
    """A plan is made anew when its options change or other cells may be in it."""
    return {**study_options(study, "deferral_plan"), "left_out_seeds": sorted(left_out)}


def _facts(value: Mapping[str, Any]) -> dict[str, Any]:
    test = value["summary"]["test"]
    rows = [
        {name: one[name] for name in ("seed", "group", "t_neg", "t_pos", "meets_objective")}
        | {f"{part}_{rate}": one[part][rate] for part in ("val", "test") for rate in RATES}
        for one in value["plans"]
    ]
    rates = {f"test_{name}": test[name] for name in RATES if test[name] is not None}
    return {
        "probe": value["probe"],
        "objective": f"{value['objective']} of at most {value['limit']}",
        "meets_objective_on_val": value["summary"]["meets_objective"],
        "left_out": dg.MetadataValue.json(value["left_out"]),
        "plans": dg.MetadataValue.md(plots.markdown_table(pd.DataFrame(rows))),
        "errors_over_deferral": plots.errors_over_deferral(
            value["trade_off"], (test["deferral_rate"], test["accepted_error"])
        ),
        **rates,
    }
