"""Which sentences of a setting a probe may decide, and which are left to a person."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.expected import without_cells
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Cell, Partitions, cells_of
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import plots
from ta_checks.gate import left_out_cells

RATES = ("deferral_rate", "accepted_error")


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``deferral_plan``."""
    as_asset = dg.asset(partitions_def=partitions.setting, deps=["probe_metrics"], code_version="2")
    return [as_asset(deferral_plan)]


def deferral_plan(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[dict[str, Any]]:
    """Two thresholds of one probe, chosen on val rows and reported on test rows, of cells that may be believed."""
    # Tags of sentences come from the corpus through the store: a changed tag changes the hash of what the cells were
    # fitted on, so it reaches this plan through them.
    from ta_assets.core.results.deferral_cells import grouped, plan_cells, seeds_to_plan

    name, store = context.partition_key, world.store
    study = world.studies.by_setting[name]
    left_out = left_out_cells(world.ledger, name)
    believed = [cell.seed for cell in cells_of(name) if str(cell.seed) not in left_out]
    if not believed:
        raise dg.Failure(f"no cell of {name} may be planned on: {left_out}", allow_retries=False)
    sentences = store.load("sentences", study.settings[name].corpus)
    cells = {seed: Cell(name, seed) for seed in seeds_to_plan(study.deferral_probe, believed)}
    tables = {
        seed: grouped(store.load("probe_metrics", cell.key).predictions, sentences) for seed, cell in cells.items()
    }
    value = {**plan_cells(tables, study.deferral_options), "left_out": left_out}
    return output(
        value, without_cells(world, "deferral_plan", name, left_out), _facts(value, plots.title_of(name, study.name))
    )


def _facts(value: Mapping[str, Any], title: str) -> dict[str, Any]:
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
            value["trade_off"], (test["deferral_rate"], test["accepted_error"]), title
        ),
        **rates,
    }
