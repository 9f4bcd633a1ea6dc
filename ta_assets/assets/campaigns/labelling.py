"""From stored rollouts to a corpus in the layout of the published dataset.

Belongs here: what is done with the traces one after another. Stays out: the asset (``labels``), formulas (``core``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.assets.campaigns.drawing import judgement_of, source_of, tasks_of
from ta_assets.core.campaign.corpus.base_trace import BaseTrace
from ta_assets.core.campaign.corpus.published import problem_files, replaced_by
from ta_assets.core.campaign.posterior import posterior_labels
from ta_assets.core.campaign.records import Outcome
from ta_assets.core.campaign.reuse import Draw
from ta_assets.core.errors import InputError
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS
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
    labelled: list[tuple[BaseTrace, list[dict[str, Any]]]] = []
    rows, verdicts, left_out = [], [], []
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
            labelled.append((trace, entries))
            rows += [_row(problem_id, entry, result.draws[entry["chunk_idx"]]) for entry in entries]
            verdicts += _verdicts(problem_id, result, judgement.graders)
    if not labelled:
        raise InputError(study.path, "generation", left_out, "at least one trace with all of its rollouts")
    _with_posterior(labelled, study.campaign.rollouts.threshold)
    layout = {
        f"{prefix}/{folder_name(trace.question.problem_id)}/{name}": content
        for trace, entries in labelled
        for name, content in problem_files(trace, entries).items()
    }
    return LabelledCorpus(pd.DataFrame(rows), {"verdicts": verdicts, "left_out": left_out}, layout)


def _with_posterior(labelled: Sequence[tuple[BaseTrace, list[dict[str, Any]]]], threshold: float) -> None:
    """Add to every entry what the rollouts of the whole corpus say of its importance; 0 for the last sentence."""
    entries = [(trace.question.problem_id, entry) for trace, of in labelled for entry in of]
    counts = np.array([[entry.get(name, 0) for name in COUNT_COLUMNS] for _, entry in entries])
    found = posterior_labels(counts, np.array([problem_id for problem_id, _ in entries]), threshold)
    for (_, entry), mean, chance in zip(entries, found.mean, found.anchor_chance, strict=True):
        entry |= {"importance_posterior": float(mean), "anchor_chance": float(chance)}


def _row(problem_id: int, entry: dict[str, Any], draws: Sequence[Draw]) -> dict[str, Any]:
    """What stands behind the label of one sentence."""
    low, high = entry.get("interval", (float("nan"), float("nan")))
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
