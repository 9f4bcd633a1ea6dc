"""What an extraction keeps of each problem, and the artifact that this becomes.

Stays out: the order of reading, computing and storing (``extraction.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.probes.features import VERTICAL_MODE, VERTICAL_SCORE
from ta_assets.core.values import CorpusSource, PooledProblem, Skip, VerticalScores, Wanted
from ta_resources.language_model.extractor import Extractor
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import Shard


@dataclasses.dataclass(frozen=True)
class MissingNames:
    """Files of a problem that must be computed."""

    shards: dict[int, str]
    """Block -> name."""
    vertical: str | None = None
    """Name of the vertical scores; None when they are stored, or off."""

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.shards) or self.vertical is not None

    def wanted(self) -> Wanted:
        """What a forward pass must give."""
        return Wanted(tuple(self.shards), self.vertical is not None)


@dataclasses.dataclass(frozen=True)
class MissingTexts:
    """The problems that the language model must read, one at a time; it has a length, which progress needs."""

    rollouts: RolloutsResource
    source: CorpusSource
    problem_ids: list[int]

    def __len__(self) -> int:
        return len(self.problem_ids)

    def __iter__(self) -> Iterator[tuple[int, str, Sequence[str]]]:
        for problem in self.rollouts.load_problems(self.source, self.problem_ids):
            yield problem.problem_id, problem.trace_text, problem.sentences


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the index keeps of a problem: not its vectors."""

    shards: Mapping[int, Shard] = dataclasses.field(default_factory=dict)
    """Block -> its shard."""
    token_spans: np.ndarray | None = None
    """[n_sentences, 2] int64; None while no block is stored."""
    n_tokens: int = 0
    n_rows: int = 0
    """Vectors a block."""
    vertical: VerticalScores | None = None

    def with_block(self, shard: Shard, pooled: PooledProblem) -> Entry:
        """The entry with one more block."""
        return dataclasses.replace(
            self,
            shards={**self.shards, pooled.block: shard},
            token_spans=pooled.token_spans,
            n_tokens=pooled.n_tokens,
            n_rows=len(pooled.vectors),
        )

    def with_vertical(self, scores: VerticalScores | None) -> Entry:
        """The entry with its vertical scores, if there are any."""
        return dataclasses.replace(self, vertical=scores)


def indexed(
    entries: dict[int, Entry],
    skipped: list[Skip],
    extractor: Extractor,
    resolved: dict[str, Any],
) -> Activations:
    """The artifact: spans and vertical scores of every problem, and where its vectors lie."""
    ordered = sorted(entries)
    frames = [_rows(problem_id, entries[problem_id]) for problem_id in ordered]
    spans = pd.concat(frames or [_rows(0, Entry())], ignore_index=True)
    return Activations(
        spans=spans,
        record={
            "extraction": resolved,
            "block": extractor.block,
            "blocks": list(extractor.blocks),
            "n_blocks": extractor.n_blocks,
            "d_model": extractor.d_model,
            "shards": {
                str(problem_id): {
                    str(block): dataclasses.asdict(shard) for block, shard in sorted(entries[problem_id].shards.items())
                }
                for problem_id in ordered
            },
            "tokens": {str(problem_id): entries[problem_id].n_tokens for problem_id in ordered},
            "skipped": [dataclasses.asdict(skip) for skip in sorted(skipped, key=lambda skip: skip.problem_id)],
        },
    )


def _rows(problem_id: int, entry: Entry) -> pd.DataFrame:
    token_spans = np.zeros((0, 2)) if entry.token_spans is None else entry.token_spans
    starts, ends = token_spans.astype(np.int64).T
    rows = pd.DataFrame(
        {
            "problem_id": np.full(len(starts), problem_id, np.int64),
            "chunk_idx": np.arange(len(starts), dtype=np.int64),
            "token_start": starts,
            "token_end": ends,
            "token_count": ends - starts,
        }
    )
    if entry.vertical is None:
        return rows
    return rows.assign(**{VERTICAL_SCORE: entry.vertical.scores, VERTICAL_MODE: entry.vertical.mode_used})
