"""A campaign in the layout of ``uzaymacar/math-rollouts``, which the dataset's own tools read.

Belongs here: traces, labels and draws -> JSON texts by path. Stays out: writing them, computing labels (``labels``).
Fields that only another model could fill (``summary``, ``forced_*``) are absent; so are tags, which nobody gives
behind one's back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ta_assets.core.campaign.corpus.base_trace import BaseTrace
from ta_assets.core.campaign.labels import replacements
from ta_assets.core.campaign.prefixes import Decode
from ta_assets.core.campaign.records import ANSWERED, Outcome
from ta_assets.core.campaign.reuse import Draw


def problem_files(trace: BaseTrace, entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The three files of a problem, by their names below its folder.

    Args:
        trace: the trace.
        entries: of ``chunks_labeled.json`` (``labels.label_sentences``).
    """
    problem = {
        "problem": trace.question.question,
        "gt_answer": trace.question.answer,
        "gt_solution": trace.question.answer,
        "nickname": trace.question.name,
    }
    base = {
        "prompt": trace.prompt,
        "solution": trace.solution,
        "full_cot": trace.prompt + trace.solution,
        "answer": trace.answer,
        "is_correct": trace.is_correct,
    }
    return {"problem.json": _json(problem), "base_solution.json": _json(base), "chunks_labeled.json": _json(entries)}


def rollout_files(trace: BaseTrace, draws: Mapping[int, Sequence[Draw]], decode: Decode) -> dict[str, str]:
    """``chunk_N/solutions.json`` of every sentence that has draws, by path below the problem's folder.

    A draw without an answer that could be judged has none here either, as the dataset has it.

    Args:
        trace: the trace.
        draws: sentence -> its draws.
        decode: the tokenizer's.
    """
    found = {}
    for place, group in draws.items():
        before = decode(trace.cut.prefix(place))
        found[f"chunk_{place}/solutions.json"] = _json(
            [
                {
                    "chunk_removed": trace.cut.sentences[place],
                    "prefix_without_chunk": before[len(trace.prompt) :],
                    "chunk_resampled": replacement,
                    "rollout": draw.rollout.completion.text,
                    "full_cot": before + draw.rollout.completion.text,
                    "answer": draw.rollout.answer if draw.rollout.outcome in ANSWERED else "",
                    "is_correct": draw.rollout.outcome == Outcome.RIGHT,
                    "outcome": str(draw.rollout.outcome),
                    "drawn_at": draw.drawn_at,
                }
                for draw, replacement in zip(group, replacements(group), strict=True)
            ]
        )
    return found


def replaced_by(draws: Sequence[Draw], most: int = 8) -> list[list[Any]]:
    """What stood in the place of a sentence: [text, times, right ones] of its answered draws, the most frequent first.

    Args:
        draws: of the sentence.
        most: how many texts.
    """
    answered = [draw for draw in draws if draw.rollout.outcome in ANSWERED]
    texts = replacements(answered)
    times = Counter(texts)
    right = Counter(text for text, one in zip(texts, answered, strict=True) if one.rollout.outcome == Outcome.RIGHT)
    ordered = sorted(times, key=lambda text: (-times[text], text))
    return [[text, times[text], right[text]] for text in ordered[:most]]


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
