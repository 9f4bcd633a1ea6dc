"""The traces that a campaign resamples: which of a question's draws is taken, and a trace as a row of a table.

Belongs here: choosing and laying out. Stays out: drawing (``ta_resources``), cutting (``prefixes``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.corpus.questions import Question
from ta_assets.core.campaign.options import BaseTraces
from ta_assets.core.campaign.prefixes import CutTrace
from ta_assets.core.campaign.records import FinishReason, Outcome, Rollout

COLUMNS = (
    "problem_id", "name", "question", "gold", "prompt", "solution", "answer", "is_correct", "draw", "tries", "right",
    "prompt_tokens", "token_ids", "boundaries", "sentences", "inside", "thought_end",
)  # fmt: skip
"""Of a table of traces; lists are JSON."""


@dataclass(frozen=True)
class BaseTrace:
    """One trace of one question."""

    question: Question
    prompt: str
    solution: str
    """What was drawn behind the prompt."""
    answer: str
    is_correct: bool
    draw: int
    """Number of the draw that it is."""
    screened: Tally
    """Outcomes of the draws by which its question was chosen."""
    cut: CutTrace

    def row(self) -> dict[str, Any]:
        """It as a row, under ``COLUMNS``."""
        cut = self.cut
        return {
            "problem_id": self.question.problem_id,
            "name": self.question.name,
            "question": self.question.question,
            "gold": self.question.answer,
            "prompt": self.prompt,
            "solution": self.solution,
            "answer": self.answer,
            "is_correct": self.is_correct,
            "draw": self.draw,
            "tries": self.screened.total,
            "right": self.screened.right,
            "prompt_tokens": cut.boundaries[0],
            "thought_end": cut.thought_end,
            **{
                name: json.dumps(list(values), ensure_ascii=False)
                for name, values in (
                    ("token_ids", cut.token_ids),
                    ("boundaries", cut.boundaries),
                    ("sentences", cut.sentences),
                    ("inside", cut.inside),
                )
            },
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> BaseTrace:
        """The trace of a row."""
        token_ids, boundaries, sentences, inside = (
            tuple(json.loads(row[name])) for name in ("token_ids", "boundaries", "sentences", "inside")
        )
        return cls(
            question=Question(int(row["problem_id"]), row["name"], row["question"], row["gold"]),
            prompt=row["prompt"],
            solution=row["solution"],
            answer=row["answer"],
            is_correct=bool(row["is_correct"]),
            draw=int(row["draw"]),
            screened=Tally(right=int(row["right"]), wrong=int(row["tries"]) - int(row["right"])),
            cut=CutTrace(token_ids, boundaries, sentences, inside, int(row["thought_end"])),
        )


def why_not_screened(tally: Tally, rule: BaseTraces) -> str | None:
    """Why a question is left out, by the outcomes of its first draws; None where it is kept.

    The share is of all draws: one that did not answer is not right, whatever it would have become.
    """
    if not tally.total:
        return "nothing was drawn"
    share = tally.right / tally.total
    if share < rule.lowest:
        return f"right in {tally.right} of {tally.total} draws, below {rule.lowest:g}"
    if share > rule.highest:
        return f"right in {tally.right} of {tally.total} draws, above {rule.highest:g}"
    return None


def fit_draws(draws: Sequence[Rollout], right: bool) -> list[Rollout]:
    """Draws that may become a trace: they ended by themselves, with a right (or wrong) answer; in their order."""
    wanted = Outcome.RIGHT if right else Outcome.WRONG
    return [
        one
        for one in sorted(draws, key=lambda one: one.index)
        if one.outcome == wanted and one.completion.finish_reason == FinishReason.STOP and one.completion.token_ids
    ]


def has_fit_length(cut: CutTrace, rule: BaseTraces) -> bool:
    """Whether a trace has as many sentences as the rule asks for."""
    return rule.fewest_sentences <= len(cut.sentences) <= rule.most_sentences
