"""The section of a study file that says how its traces and rollouts are made.

Belongs here: where questions lie. Stays out: what is drawn, by what, and how it is graded
(``core/campaign/options.py``), how the section fits to the others (``study.py``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ta_assets.core.campaign.grading import AnswerRule
from ta_assets.core.campaign.options import PUBLISHED_PROMPT, BaseTraces, EngineOptions, Similarity, checked_prompt
from ta_assets.core.campaign.records import Sampling
from ta_assets.core.campaign.stopping import StoppingRule
from ta_assets.core.option_values import Integer, Number
from ta_assets.core.options import Options
from ta_assets.studies.fields import FolderPath, InnerPath, Revision

Key = Annotated[str, StringConstraints(min_length=1)]


class Questions(Options):
    """Questions with their answers: ``file`` (JSON lines, or parquet), or a file of a dataset on the Hub."""

    file: FolderPath | None = None
    """A file, relative to the study file; exactly one of it and ``repo_id``."""
    repo_id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """A dataset on the Hub, as owner/name."""
    revision: Revision = "main"
    """Branch, tag or commit on the Hub."""
    path: InnerPath = "test.jsonl"
    """Which file of the dataset on the Hub; JSON lines, or parquet."""
    id: Key = "id"
    """The key that names a question."""
    question: Key = "question"
    """The key of its text."""
    answer: Key = "answer"
    """The key of its right answer."""
    first: Integer | None = Field(default=None, ge=1, le=10_000_000)
    """Only the first so many; a larger number later keeps what was made of these."""

    @model_validator(mode="after")
    def _one_source(self) -> Questions:
        if (self.repo_id is None) == (self.file is None):
            raise ValueError("must have exactly one of file and repo_id")
        return self


class Generation(Options):
    """How traces and rollouts are made, where no dataset has them: by the study's own language models."""

    questions: Questions
    prompt: Annotated[str, AfterValidator(checked_prompt)] = PUBLISHED_PROMPT
    """What the model continues, with ``{question}`` in it; no chat template, no special tokens are put around it."""
    engine: EngineOptions = EngineOptions()
    sampling: Sampling = Sampling()
    base: BaseTraces = BaseTraces()
    rollouts: StoppingRule = StoppingRule()
    reuse: Annotated[bool, Field(strict=True)] = True
    """Count a rollout that repeats a sentence of the trace, token for token, as one of the next sentence, too."""
    answers: AnswerRule = AnswerRule()
    similarity: Similarity = Similarity()
    budget_tokens: Integer | None = Field(default=None, ge=1, le=10**15)
    """Tokens that a release generates at most of each corpus, traces and rollouts each; what they do not reach is red,
    and the next release goes on there."""
    tokens_per_second: Annotated[Number, Field(gt=0)] | None = None
    """Rate at which ``thought-anchors plan`` counts hours; without it, it says none."""
