"""From stored rollouts to a corpus in the layout of the published dataset.

Belongs here: what is done with the traces one after another. Stays out: the asset (``labels``), formulas (``core``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ta_assets.assets.campaigns.drawing import judgement_of, source_of, tasks_of
from ta_assets.core.campaign.corpus.published import problem_files, replaced_by
from ta_assets.core.campaign.records import Outcome
from ta_assets.core.campaign.reuse import Draw
from ta_assets.core.errors import InputError
from ta_assets.ledger.world import World
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.run import TraceResult, run_trace
from ta_resources.campaigns.source import MissingRolloutsError
from ta_resources.rollouts.problem_files import folder_name
from ta_resources.storage.campaigns import CampaignTable, LabelledCorpus


def labelled_corpus(world: World, corpus: str, base_traces: CampaignTable) -> LabelledCorpus:
    """The corpus of all traces whose rollouts are stored; the others are named with what they lack.

    Raises:
        InputError: none has all of its rollouts.
    """
    study = world.studies.by_corpus[corpus]
    tokenizer = world.language_model.tokenizer(study.extraction_spec(corpus))
    source = source_of(world, study, base_traces.record["engine"], None)
    layout, rows, verdicts, left_out = {}, [], [], []
    prefix = study.source(corpus).prefix
    with judgement_of(study, tokenizer.decode) as judgement:
        for trace, task in tasks_of(study, base_traces):
            problem_id = trace.question.problem_id
            try:
                result = run_trace(source, task, study.campaign.rollouts, judgement)
            except MissingRolloutsError as missing:
                left_out.append({"problem_id": problem_id, "why": str(missing)})
                continue
            entries = result.labels()
            for name, content in problem_files(trace, entries).items():
                layout[f"{prefix}/{folder_name(problem_id)}/{name}"] = content
            rows += [_row(problem_id, entry, result.draws[entry["chunk_idx"]]) for entry in entries]
            verdicts += _verdicts(problem_id, result, judgement.graders)
    if not layout:
        raise InputError(study.path, "generation", left_out, "at least one trace with all of its rollouts")
    return LabelledCorpus(pd.DataFrame(rows), {"verdicts": verdicts, "left_out": left_out}, layout)


def _row(problem_id: int, entry: dict[str, Any], draws: Sequence[Draw]) -> dict[str, Any]:
    """What stands behind the label of one sentence."""
    low, high = entry.get("importance_interval", (float("nan"), float("nan")))
    return {
        "problem_id": problem_id,
        "chunk_idx": entry["chunk_idx"],
        **{str(outcome): entry["outcomes"][outcome] for outcome in Outcome},
        "reused": entry["reused"],
        "accuracy_low": entry["accuracy_bounds"][0],
        "accuracy_high": entry["accuracy_bounds"][1],
        "importance_low": low,
        "importance_high": high,
        "replaced": json.dumps(replaced_by(draws), ensure_ascii=False),
    }


def _verdicts(problem_id: int, result: TraceResult, graders: Graders) -> list[dict[str, Any]]:
    """Every distinct answer of a trace's rollouts, how often it was given, and what both graders say of it."""
    times = Counter(one.answer for group in result.rollouts.values() for one in group if one.answer)
    found = []
    for answer in sorted(times):
        first, second = graders.both(answer, result.task.gold)
        (verdict,) = graders.verdicts([answer], result.task.gold).values()
        found.append(
            {
                "problem_id": problem_id,
                "answer": answer,
                "times": times[answer],
                "verdict": verdict,
                "first": first,
                "second": second,
            }
        )
    return found
