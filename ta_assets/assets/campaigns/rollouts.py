"""Rollouts from before each sentence of each trace: drawn where they are not stored, counted, and named."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.campaigns.drawing import Progress, files_of, hashed, judgement_of, source_of, tasks_of
from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.records import Outcome, Rollout
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.progress import also_around
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_resources.campaigns.run import Judgement, TraceTask, run_trace
from ta_resources.campaigns.source import BudgetSpentError, Source
from ta_resources.language_model.devices import GPU_POOL
from ta_resources.storage.campaigns import CampaignTable

COLUMNS = (
    "problem_id", "sentence", "key", "drawn", *map(str, Outcome), "prompt_tokens", "generated_tokens", "parts",
)  # fmt: skip
"""Of the table, one row a prefix; ``parts`` is a list as JSON."""


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``rollouts``."""
    return [dg.asset(partitions_def=partitions.generated, pool=GPU_POOL, code_version="1")(rollouts)]


def rollouts(
    context: dg.AssetExecutionContext, world: WorldResource, base_traces: CampaignTable
) -> dg.Output[CampaignTable]:
    """Which rollouts each sentence of each trace has, and what became of them; a killed run goes on where it was."""
    corpus = context.partition_key
    study = world.studies.by_corpus[corpus]
    record = made_from(world, "rollouts", corpus)
    tasks = [task for _, task in tasks_of(study, base_traces)]
    ids = base_traces.rows["problem_id"].tolist()
    progress = Progress(also_around(context.log.info), len(tasks))
    rows: list[dict[str, Any]] = []
    unfinished: list[int] = []
    with (
        world.engines.open(study.campaign.engine, study.extraction_spec(corpus)) as engine,
        judgement_of(study, engine.decode) as judgement,
    ):
        source = source_of(world, study, engine.identity(), engine)
        for done, (problem_id, task) in enumerate(zip(ids, tasks, strict=True), start=1):
            try:
                found = run_trace(source, task, study.campaign.rollouts, judgement).rollouts
            except BudgetSpentError as spent:
                context.log.warning(f"problem {problem_id}: {spent}")
                unfinished.append(problem_id)
                found = _stored(source, task, judgement, study.campaign.rollouts.rollouts)
            rows += [_row(problem_id, place, task, of, source, world.store.base) for place, of in found.items()]
            progress.tell(done, "traces", source.generated)
        generated = source.generated
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    names = [name for parts in table["parts"] for name in json.loads(parts)]
    unclear = [[int(row["problem_id"]), int(row["sentence"])] for row in rows if row["problem_id"] in unfinished]
    value = CampaignTable(table, {"parts": hashed(world.store.base, names), "unclear": unclear})
    return output(value, record, {**_facts(table), "generated_by_this_run": generated, "unfinished": len(unfinished)})


def _stored(source: Source, task: TraceTask, judgement: Judgement, most: int) -> dict[int, list[Rollout]]:
    """Sentence -> its rollouts that are stored in one piece from number 0 on, of a trace that is not done."""
    found = {}
    for place in task.prefixes:
        key = source.key(task.trace.prefix(place))
        gaps = source.parts.missing(key, 0, most)
        found[place] = judgement.rollouts(source.parts.read(key, 0, gaps[0][0] if gaps else most), task)
    return found


def _row(
    problem_id: int, place: int, task: TraceTask, found: Sequence[Rollout], source: Source, base: Path
) -> dict[str, Any]:
    """What there is of one prefix."""
    prefix, tally = task.trace.prefix(place), Tally.of(one.outcome for one in found)
    return {
        "problem_id": problem_id,
        "sentence": place,
        "key": source.key(prefix),
        "drawn": len(found),
        **{str(outcome): getattr(tally, outcome) for outcome in Outcome},
        "prompt_tokens": len(prefix),
        "generated_tokens": sum(one.completion.generated_tokens for one in found),
        "parts": json.dumps(files_of(source, base, prefix, 0, len(found))),
    }


def _facts(table: pd.DataFrame) -> dict[str, object]:
    return {
        "dagster/row_count": len(table),
        "rollouts": int(table["drawn"].sum()),
        "outcomes": {str(one): int(table[str(one)].sum()) for one in Outcome},
        "generated_tokens": int(table["generated_tokens"].sum()),
    }
