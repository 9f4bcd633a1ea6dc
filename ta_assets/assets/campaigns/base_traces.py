"""One trace of each question that is neither too easy nor too hard for its model."""

from typing import Any

import dagster as dg

from ta_assets.core.campaign.corpus.questions import Question
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.storage.campaigns import CampaignTable


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``base_traces``."""
    return [dg.asset(partitions_def=partitions.generated, pool=GPU_POOL, code_version="1")(base_traces)]


def base_traces(
    context: dg.AssetExecutionContext, world: WorldResource, problem_set: list[dict[str, Any]]
) -> dg.Output[CampaignTable]:
    """Traces with the tokens that they were drawn as, cut at their sentences; why the other questions have none."""
    from ta_assets.assets.campaigns.drawing import Progress, source_of
    from ta_assets.assets.campaigns.search import Search
    from ta_resources.campaigns.grading_process import Graders

    corpus = context.partition_key
    study = world.studies.by_corpus[corpus]
    record = made_from(world, "base_traces", corpus)
    questions = [Question(**one) for one in problem_set]
    progress = Progress(also_around(context.log.info), len(questions))
    with (
        world.engines.open(study.campaign.engine, study.extraction_spec(corpus)) as engine,
        Graders(study.campaign.answers) as graders,
    ):
        search = Search(world, study, source_of(world, study, engine.identity(), engine), engine, graders)
        value = search.run(questions, study.solutions_are_right(corpus), progress)
    value.record["language_model"] = record["language_model"]
    facts = {
        "traces": len(value.rows),
        "left_out": len(value.record["left_out"]),
        "generated_by_this_run": search.source.generated,
        "unfinished": search.unfinished,
    }
    return output(value, record, facts)
