"""Rollouts of every prefix of every trace: drawn where they are not stored, and counted.

Belongs here: what is done with the traces one after another. Stays out: the asset (``rollouts``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ta_assets.assets.campaigns.drawing import Progress, files_of, hashed, judgement_of, source_of, tasks_of
from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.records import Outcome, Rollout
from ta_assets.ledger.world import World
from ta_resources.campaigns.run import Judgement, TraceTask, run_trace
from ta_resources.campaigns.source import BudgetSpentError, Source
from ta_resources.engines.protocol import Engine
from ta_resources.storage.campaigns import CampaignTable

COLUMNS = (
    "problem_id", "sentence", "key", "drawn", *map(str, Outcome), "prompt_tokens", "generated_tokens", "parts",
)  # fmt: skip
"""Of the table, one row a prefix; ``parts`` is a list as JSON."""


def drawn_table(
    world: World, corpus: str, base_traces: CampaignTable, engine: Engine, progress: Progress
) -> tuple[CampaignTable, dict[str, object]]:
    """The table of a corpus, and what this run did: tokens that it generated, traces that they did not do for."""
    study, base = world.studies.by_corpus[corpus], world.store.local_folder
    rule, rows, unfinished = study.campaign.rollouts, [], []
    with judgement_of(study, engine.decode) as judgement:
        source = source_of(world, study, engine.identity(), engine)
        for done, (trace, task) in enumerate(tasks_of(study, base_traces), start=1):
            problem_id = trace.question.problem_id
            try:
                found = run_trace(source, task, rule, judgement).rollouts
            except BudgetSpentError as spent:
                progress.log(f"problem {problem_id}: {spent}")
                unfinished.append(problem_id)
                found = _stored(source, task, judgement, rule.rollouts)
            rows += [_row(problem_id, place, task, of, source, base) for place, of in found.items()]
            progress.tell(done, "traces", source.generated)
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    names = [name for parts in table["parts"] for name in json.loads(parts)]
    unclear = [[int(row["problem_id"]), int(row["sentence"])] for row in rows if row["problem_id"] in unfinished]
    value = CampaignTable(table, {"parts": hashed(base, names), "unclear": unclear})
    return value, {"generated_by_this_run": source.generated, "unfinished": len(unfinished)}


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
