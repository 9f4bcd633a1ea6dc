"""The frozen values of a campaign: how it samples, what an engine gave, and what became of it.

Belongs here: records that check themselves. Stays out: computation, files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from ta_assets.core.option_values import Integer
from ta_assets.core.options import Options

MAX_TOKENS = 10_000_000


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """The model wrote a token that ends a text."""
    LENGTH = "length"
    """The limit of tokens was reached."""
    ERROR = "error"
    """The engine failed; ``Completion.error`` says how."""


class Outcome(StrEnum):
    """What became of a rollout: exactly one of these."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """It ended by itself without an answer that can be judged."""
    TRUNCATED = "truncated"
    """The limit of tokens came before an answer."""
    ENGINE_ERROR = "engine_error"


ANSWERED = (Outcome.RIGHT, Outcome.WRONG)
"""What accuracies are shares of."""
UNFINISHED = (Outcome.TRUNCATED, Outcome.ENGINE_ERROR)
"""What nobody knows the answer of, so that an accuracy has bounds."""


class Sampling(Options):
    """How tokens are drawn."""

    temperature: float = Field(default=0.6, gt=0, le=10)
    """By which logits are divided before the softmax."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Tokens are drawn from the fewest that have this share of the probability together."""
    max_total_tokens: Integer = Field(default=16_384, ge=2, le=MAX_TOKENS)
    """Limit of prompt, prefix and rollout together: it lies at the same place of a trace wherever a rollout begins, so
    that a rollout which repeats a sentence is one of the next prefix."""

    def room(self, prefix_tokens: int) -> int:
        """Tokens that a rollout behind so many may have; 0 or less for none."""
        return self.max_total_tokens - prefix_tokens


@dataclass(frozen=True)
class Completion:
    """What an engine gave for one prefix and one seed."""

    token_ids: tuple[int, ...]
    """Generated tokens without the one that ended the text; empty where the engine does not tell them."""
    text: str
    """What they decode to."""
    finish_reason: FinishReason
    prompt_tokens: int
    """Tokens of the prefix, as the engine counted them."""
    generated_tokens: int
    """Tokens that were sampled, as the engine counted them, with the one that ended the text."""
    error: str = ""
    """What failed, for a person; empty unless ``finish_reason`` is ``error``."""

    @classmethod
    def failed(cls, error: str, prompt_tokens: int) -> Completion:
        """A completion that an engine could not give."""
        return cls((), "", FinishReason.ERROR, prompt_tokens, 0, error)


@dataclass(frozen=True)
class Drawn:
    """A stored completion: its number within its prefix, from 0, and the seed that follows from it."""

    index: int
    seed: int
    completion: Completion


@dataclass(frozen=True)
class Rollout:
    """A stored completion and what it amounts to; a pure function of the completion, the task and the grader."""

    index: int
    seed: int
    completion: Completion
    answer: str
    """The stated answer, or empty."""
    outcome: Outcome


def key_of(identity: Mapping[str, Any], prefix_token_ids: Sequence[int], sampling: Sampling) -> str:
    """Hex SHA-256 of everything that decides the distribution of rollouts of one prefix.

    Args:
        identity: what decides the model and its tokenizer (``Engine.identity``).
        prefix_token_ids: prompt and beginning of the trace.
        sampling: how tokens are drawn.
    """
    content = [dict(identity), [int(one) for one in prefix_token_ids], sampling.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
