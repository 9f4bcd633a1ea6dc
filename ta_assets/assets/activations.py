"""The activations of a corpus: every sentence's pooled vector, written problem by problem."""

from collections import Counter

import dagster as dg
from pydantic import Field

from ta_assets.assets.problems import skip_facts, union
from ta_assets.core.probes.features import VERTICAL_MODE
from ta_assets.core.traces.storage_estimate import in_words
from ta_assets.core.values import Skip
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import plots
from ta_assets.vectors.corpus_pass import CorpusExtraction, Plan, resolved_options
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.storage.artifacts import Activations


class ActivationsConfig(dg.Config):
    """How a corpus is extracted."""

    reuse: bool = Field(
        default=True,
        description="Take vectors that an earlier run already stored for the same model, block, dtype and text. "
        "Turn it off to compute everything again, for example after activations_match_text failed.",
    )


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``activations``."""
    as_asset = dg.asset(
        partitions_def=partitions.corpus,
        ins={"problem_ids": dg.AssetIn(partition_mapping=partitions.setting_to_corpus, metadata={"collect": True})},
        pool=GPU_POOL,
        code_version="2",
    )
    return [as_asset(activations)]


def activations(
    context: dg.AssetExecutionContext,
    config: ActivationsConfig,
    world: WorldResource,
    problem_ids: dict[str, list[int]],
) -> dg.Output[Activations]:
    """The residual stream after each chosen block, pooled over sentences, of all sentences of a corpus.

    Depends on texts and extraction options only, never on labels or splits. Written problem by problem, so a killed
    run goes on where it stopped; what could not be extracted is recorded as skipped.
    """
    corpus = context.partition_key
    study = world.studies.by_corpus[corpus]
    record = made_from(world, "activations", corpus)
    with world.language_model.open(study.extraction_spec(corpus)) as extractor:
        resolved = resolved_options(record["extraction"], record["language_model"], extractor)
        extraction = CorpusExtraction.of(
            world.source(corpus),
            world.rollouts,
            world.store.files,
            resolved,
            reuse=config.reuse,
            log=also_around(context.log.info),
        )
        plan = extraction.plan(extractor, union(problem_ids))
        value = extraction.run(extractor, plan, resolved)
        device = extractor.device_name
    facts = _facts(value, plots.title_of(corpus, study.name))
    return output(value, record, {"device": device, **facts, **_vertical_facts(value), **_room(plan)})


def _facts(value: Activations, title: str) -> dict[str, object]:
    tokens = value.record["tokens"]
    return {
        "problems": len(value.record["shards"]),
        "sentences": len(value.spans),
        "block": value.record["block"],
        "blocks": str(value.record["blocks"]),
        "d_model": value.record["d_model"],
        "tokens": sum(tokens.values()),
        "tokens_of_problems": plots.tokens(tokens, title),
        **skip_facts([Skip(**skip) for skip in value.record["skipped"]]),
    }


def _vertical_facts(value: Activations) -> dict[str, object]:
    if VERTICAL_MODE not in value.spans:
        return {}
    return {"vertical_attention_modes": dict(Counter(value.spans.groupby("problem_id")[VERTICAL_MODE].first()))}


def _room(plan: Plan) -> dict[str, object]:
    return {
        "estimated_bytes": plan.estimate.total,
        "estimated_storage": in_words(plan.estimate.total),
        "estimated_storage_to_write": in_words(plan.estimate.missing),
    }
