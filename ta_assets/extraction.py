"""One pass of the language model over a corpus: what is stored is taken, the rest is computed, nothing is lost.

Belongs here: the order of reading, computing and storing. Stays out: Dagster, the language model itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.values import CorpusSource, PooledProblem, Skip
from ta_resources.extractor import Extractor
from ta_resources.rollouts import RolloutsResource
from ta_resources.shards import Shard, ShardStore
from ta_resources.storage import Activations


@dataclasses.dataclass(frozen=True)
class CorpusExtraction:
    """One pass over a corpus: stored problems are taken, the others go through the language model."""

    source: CorpusSource
    rollouts: RolloutsResource
    shards: ShardStore
    reuse: bool
    log: Callable[[str], None]

    def run(self, extractor: Extractor, problem_ids: list[int], resolved: dict[str, Any]) -> Activations:
        """Extract, store and index every problem; memory does not grow with their number but for the spans."""
        names, entries = self._stored(problem_ids)
        if entries:
            self.log(f"{len(entries)} of {len(problem_ids)} problems taken from the store")
        skipped: list[Skip] = []
        for result in extractor.extract(Missing(self.rollouts, self.source, list(names)), log=self.log):
            if isinstance(result, Skip):
                self.log(f"problem {result.problem_id} skipped ({result.kind}): {result.reason}")
                skipped.append(result)
            else:
                entries[result.problem_id] = Entry.of(self.shards.write(names[result.problem_id], result), result)
        return _indexed(entries, skipped, extractor, resolved)

    def _stored(self, problem_ids: list[int]) -> tuple[dict[int, str], dict[int, Entry]]:
        """Names of the shards that are missing, and the entries of those that are there.

        Reads every problem once, so that a malformed one is reported before any forward pass.
        """
        names, entries = {}, {}
        for problem in self.rollouts.load_problems(self.source, problem_ids):
            name = self.shards.name(problem.problem_id, problem.trace_text, problem.sentences)
            found = self.shards.find(name) if self.reuse else None
            if found is None:
                names[problem.problem_id] = name
            else:
                entries[problem.problem_id] = Entry.of(*found)
        return names, entries


@dataclasses.dataclass(frozen=True)
class Missing:
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

    shard: Shard
    spans: pd.DataFrame
    n_tokens: int

    @classmethod
    def of(cls, shard: Shard, pooled: PooledProblem) -> Entry:
        """The entry of a stored problem."""
        return cls(shard, _span_rows(pooled.problem_id, pooled.token_spans), pooled.n_tokens)


def _indexed(
    entries: dict[int, Entry],
    skipped: list[Skip],
    extractor: Extractor,
    resolved: dict[str, Any],
) -> Activations:
    ordered = sorted(entries)
    frames = [entries[problem_id].spans for problem_id in ordered]
    spans = pd.concat(frames, ignore_index=True) if frames else _span_rows(0, np.zeros((0, 2), np.int64))
    return Activations(
        spans=spans,
        record={
            "extraction": resolved,
            "block": extractor.block,
            "d_model": extractor.d_model,
            "shards": {str(problem_id): dataclasses.asdict(entries[problem_id].shard) for problem_id in ordered},
            "tokens": {str(problem_id): entries[problem_id].n_tokens for problem_id in ordered},
            "skipped": [dataclasses.asdict(skip) for skip in sorted(skipped, key=lambda skip: skip.problem_id)],
        },
    )


def _span_rows(problem_id: int, token_spans: np.ndarray) -> pd.DataFrame:
    starts, ends = token_spans.astype(np.int64).T
    return pd.DataFrame(
        {
            "problem_id": np.full(len(starts), problem_id, np.int64),
            "chunk_idx": np.arange(len(starts), dtype=np.int64),
            "token_start": starts,
            "token_end": ends,
            "token_count": ends - starts,
        }
    )
