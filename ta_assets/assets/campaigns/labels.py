"""Labels of every sentence, in the layout of the published dataset: a pure function of the stored rollouts."""

import dagster as dg

from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_resources.storage.campaigns import CampaignTable, LabelledCorpus


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``labels``."""
    return [dg.asset(partitions_def=partitions.generated, code_version="1")(labels)]


def labels(
    context: dg.AssetExecutionContext, world: WorldResource, base_traces: CampaignTable, rollouts: CampaignTable
) -> dg.Output[LabelledCorpus]:
    """Problems as the published dataset has them, with counts and intervals beside each label; draws nothing."""
    from ta_assets.assets.campaigns.labelling import labelled_corpus

    corpus = context.partition_key
    value = labelled_corpus(world, corpus, base_traces)
    facts = {
        "dagster/row_count": len(value.rows),
        "problems": int(value.rows["problem_id"].nunique()),
        "left_out": len(value.record["left_out"]),
        "rollouts": int(rollouts.rows["drawn"].sum()),
        "reused": int(value.rows["reused"].sum()),
    }
    return output(value, made_from(world, "labels", corpus), facts)
