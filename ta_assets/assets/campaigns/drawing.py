"""What the assets of a campaign share: the store of rollouts, how they are judged, the traces of a table.

Belongs here: from a study to the arguments of ``ta_resources.campaigns``. Stays out: the assets themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ta_assets.core.campaign.corpus.base_trace import BaseTrace
from ta_assets.core.campaign.grading import judged, stated_answer
from ta_assets.core.campaign.options import opens_thought
from ta_assets.core.campaign.records import Drawn, FinishReason, Rollout
from ta_assets.core.errors import InputError
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import Differs, Judgement, TraceTask, different_text
from ta_resources.campaigns.source import Source
from ta_resources.storage.artifacts import ARTIFACTS_VARIABLE
from ta_resources.storage.atomic import sha256_of
from ta_resources.storage.campaigns import parts_folder
from ta_resources.storage.files import folder_of

if TYPE_CHECKING:
    from ta_resources.engines.protocol import Engine
    from ta_resources.storage.campaigns import CampaignTable

PROGRESS_SECONDS = 5.0


def source_of(world: World, study: Study, identity: Mapping[str, Any], engine: Engine | None) -> Source:
    """The store of rollouts of a study's sampling; without an engine it only reads.

    Raises:
        InputError: the folder may not be written, or artifacts lie in an object store.
    """
    asked = study.campaign
    if folder_of(world.store.base_dir) is None:
        expected = "a folder of this machine: files of rollouts need locks, which an object store does not have"
        raise InputError(f"environment variable {ARTIFACTS_VARIABLE}", "value", world.store.base_dir, expected)
    parts = Parts(parts_folder(world.store.local_folder))
    return Source(parts, dict(identity), asked.sampling, engine, asked.budget_tokens if engine else None)


@contextmanager
def judgement_of(study: Study, decode: Callable[[Sequence[int]], str]) -> Iterator[Judgement]:
    """What makes outcomes and differences of completions, with the processes of its graders.

    Raises:
        InputError: the embedding model cannot be loaded.
    """
    with Graders(study.campaign.answers) as graders:
        yield Judgement(graders, _differs(study), decode, study.campaign.reuse)


def _differs(study: Study) -> Differs:
    options = study.campaign.similarity
    if options.kind == "text":
        return different_text
    from ta_resources.language_model.sentence_similarity import SentenceSimilarity

    model = SentenceSimilarity(study.similarity_model)

    def differs(removed: str, resampled: Sequence[str]) -> np.ndarray:
        """[n] bool: the cosine of both sentences is below the threshold."""
        return np.asarray(model.cosines([(removed, one) for one in resampled])) < options.threshold

    return differs


def judged_draws(study: Study, graders: Graders, drawn: Sequence[Drawn], gold: str) -> list[Rollout]:
    """Completions of a question with their outcomes."""
    rule, thinking = study.campaign.answers, opens_thought(study.campaign.prompt)
    finished = [one for one in drawn if one.completion.finish_reason != FinishReason.ERROR]
    verdicts = graders.verdicts({stated_answer(one.completion.text, rule, thinking) for one in finished}, gold)
    return [judged(one, rule, thinking, verdicts) for one in drawn]


def tasks_of(study: Study, table: CampaignTable) -> list[tuple[BaseTrace, TraceTask]]:
    """Every trace of a table with what is to be done with it: all sentences get a label."""
    thinking = opens_thought(study.campaign.prompt)
    traces = [BaseTrace.from_row(row) for row in table.rows.to_dict("records")]
    return [
        (
            one,
            TraceTask(
                name=f"problem {one.question.problem_id}",
                trace=one.cut,
                gold=one.question.answer,
                thinking=thinking,
                sentences=tuple(range(len(one.cut.sentences))),
            ),
        )
        for one in traces
    ]


def files_of(source: Source, base: Path, prefix: Sequence[int], first: int, end: int) -> list[str]:
    """Files with rollouts of a prefix whose numbers are in [first, end), relative to the folder of artifacts."""
    parts = source.parts.parts(source.key(prefix))
    return [one.path.relative_to(base).as_posix() for one in parts if one.first < end and one.end > first]


def hashed(base: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """Files with their SHA-256, each once, sorted."""
    return [{"file": name, "sha256": sha256_of(base / name)} for name in sorted({*names})]


@dataclass
class Progress:
    """Lines of progress, not more than one in some seconds."""

    log: Callable[[str], None]
    total: int
    _said: float = field(default_factory=time.monotonic)

    def tell(self, done: int, what: str, generated: int) -> None:
        """Say how far it is, where it is time or the end."""
        now = time.monotonic()
        if now - self._said >= PROGRESS_SECONDS or done == self.total:
            self._said = now
            self.log(f"{done} of {self.total} {what}, {generated} tokens generated")
