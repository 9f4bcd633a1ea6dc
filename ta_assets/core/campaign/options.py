"""The options of a campaign that are not those of one of its rules: what draws, which traces, what is another sentence.

Belongs here: what the science and the engines take. Stays out: how tokens are drawn (``records.Sampling``), how answers
are judged (``grading.AnswerRule``), how many rollouts there are (``stopping.StoppingRule``), where questions and model
lie (``ta_assets.studies``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ta_assets.core.option_values import Integer, Number, Share
from ta_assets.core.options import Options
from ta_assets.core.traces.spans import OPEN

QUESTION = "{question}"
"""Stands in a prompt where the question goes."""
PUBLISHED_PROMPT = (
    "Solve this math problem step by step. You MUST put your final answer in \\boxed{}. "
    "Problem: {question} Solution: \n<think>\n"
)
"""The prompt of the published rollouts."""


def checked_prompt(prompt: str) -> str:
    """The prompt itself.

    Raises:
        ValueError: it does not hold the place of the question exactly once.
    """
    if prompt.count(QUESTION) != 1:
        raise ValueError(f"must hold {QUESTION} exactly once, in the place of the question")
    return prompt


def prompt_of(prompt: str, question: str) -> str:
    """The prompt of a question; braces of the question stay what they are."""
    before, _, after = prompt.partition(QUESTION)
    return before + question + after


def opens_thought(prompt: str) -> bool:
    """Whether what is drawn behind the prompt begins inside a thought, so that an answer stands behind its end."""
    return OPEN in prompt


class EngineOptions(Options):
    """What draws the tokens."""

    kind: Literal["transformers", "server", "vllm"] = "transformers"
    """``transformers`` in this process; ``server``, which speaks OpenAI's protocol of completions (vLLM, SGLang,
    llama.cpp); or ``vllm`` in this process, which must be installed."""
    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+$")] | None = None
    """Of the server, as http://host:port. A key that it asks for is taken from the variable TA_SERVER_KEY."""
    served_name: Annotated[str, StringConstraints(min_length=1)] | None = None
    """The model's name on the server; by default that of the language model."""
    prompt: Literal["tokens", "text"] = "tokens"
    """How prefixes are sent to the server: as tokens, or as text where it takes no tokens."""
    concurrency: Integer = Field(default=16, ge=1, le=4096)
    """Requests to the server at a time."""
    timeout: Annotated[Number, Field(gt=0, le=86_400)] = 1200.0
    """Seconds for a whole rollout of the server; one that takes longer is an engine error, and is counted as that."""
    attempts: Integer = Field(default=6, ge=1, le=100)
    """How often a request is sent while the server does not answer; each wait is twice the one before."""

    @model_validator(mode="after")
    def _a_server_has_an_address(self) -> EngineOptions:
        if (self.kind == "server") != (self.address is not None):
            raise ValueError("must have an address exactly where kind is server")
        return self


class BaseTraces(Options):
    """The traces whose sentences are resampled: one of each question that is neither too easy nor too hard."""

    tries: Integer = Field(default=40, ge=1, le=100_000)
    """Rollouts of each question; they are also the first ones of its first sentence."""
    lowest: Share = 0.25
    """Share of right ones below which a question is left out."""
    highest: Share = 0.75
    """Share of right ones above which a question is left out."""
    fewest_sentences: Integer = Field(default=3, ge=2, le=1_000_000)
    """Traces of fewer are not taken."""
    most_sentences: Integer = Field(default=275, ge=2, le=1_000_000)
    """Traces of more are not taken."""

    @model_validator(mode="after")
    def _in_order(self) -> BaseTraces:
        if self.lowest > self.highest:
            raise ValueError(f"lowest must not be above highest, {self.highest}")
        if self.fewest_sentences > self.most_sentences:
            raise ValueError(f"fewest_sentences must not be above most_sentences, {self.most_sentences}")
        return self


class Similarity(Options):
    """When a resampled sentence is another one."""

    kind: Literal["embedding", "text"] = "embedding"
    """Its cosine is below ``threshold``, or its text differs."""
    embedding_model: Annotated[str, StringConstraints(min_length=1)] = "sentence-transformers/all-MiniLM-L6-v2"
    """A Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``."""
    threshold: Annotated[Number, Field(gt=-1, le=1)] = 0.8
    """A cosine."""
