"""Rollouts from before each sentence of each trace."""

import dagster as dg
import pandas as pd

from ta_assets.core.campaign.records import Outcome
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.storage.campaigns import CampaignTable


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``rollouts``."""
    return [dg.asset(partitions_def=partitions.generated, pool=GPU_POOL, code_version="1")(rollouts)]


def rollouts(
    context: dg.AssetExecutionContext, world: WorldResource, base_traces: CampaignTable
) -> dg.Output[CampaignTable]:
    """Which rollouts each sentence of each trace has, and what became of them; a killed run goes on where it was."""
    from ta_assets.assets.campaigns.counting import drawn_table
    from ta_assets.assets.campaigns.drawing import Progress

    corpus = context.partition_key
    study = world.studies.by_corpus[corpus]
    record = made_from(world, "rollouts", corpus)
    progress = Progress(also_around(context.log.info), len(base_traces.rows))
    with world.engines.open(study.campaign.engine, study.extraction_spec(corpus)) as engine:
        value, facts = drawn_table(world, corpus, base_traces, engine, progress)
    return output(value, record, {**_facts(value.rows), **facts})


def _facts(table: pd.DataFrame) -> dict[str, object]:
    return {
        "dagster/row_count": len(table),
        "rollouts": int(table["drawn"].sum()),
        "outcomes": {str(one): int(table[str(one)].sum()) for one in Outcome},
        "generated_tokens": int(table["generated_tokens"].sum()),
    }
