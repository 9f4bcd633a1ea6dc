"""One pass of the language model over a corpus: what is stored is taken, the rest is computed, nothing is lost.

Belongs here: the order of reading, computing and storing. Stays out: Dagster, the language model itself.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.spans import UnalignedSentence
from ta_assets.core.storage_estimate import StorageEstimate, block_bytes, in_words
from ta_assets.core.values import CorpusSource, PooledProblem, Problem, Skip
from ta_resources.extractor import Extractor
from ta_resources.rollouts import RolloutsResource
from ta_resources.shards import Shard, ShardStore
from ta_resources.storage import Activations


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder that need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclasses.dataclass(frozen=True)
class CorpusExtraction:
    """One pass over a corpus: stored problems are taken, the others go through the language model."""

    source: CorpusSource
    rollouts: RolloutsResource
    shards: Mapping[int, ShardStore]
    """Block -> where its shards lie; the primary block first."""
    reuse: bool
    log: Callable[[str], None]
    free: Callable[[Path], int] = free_bytes

    def plan(self, extractor: Extractor, problem_ids: list[int]) -> Plan:
        """What is stored, what must be computed, and how much room that takes.

        Reads every problem once, so that a malformed one is reported before any forward pass.

        Raises:
            InputError: a malformed problem, or the disk has no room for what must be computed.
        """
        plan = Plan({}, {}, StorageEstimate(0, 0))
        total = missing = 0
        for problem in self.rollouts.load_problems(self.source, problem_ids):
            names = self._take_stored(problem, plan.entries)
            entry = plan.entries.get(problem.problem_id)
            n_rows = entry.n_rows if entry else rows_to_store(problem, extractor)
            one = block_bytes(len(problem.sentences), n_rows, extractor.d_model * extractor.storage_bytes)
            total, missing = total + one * len(self.shards), missing + one * len(names)
            if names:
                plan.missing[problem.problem_id] = names
        complete = len(problem_ids) - len(plan.missing)
        if complete:
            self.log(f"{complete} of {len(problem_ids)} problems taken from the store")
        self._require_room(missing)
        return dataclasses.replace(plan, estimate=StorageEstimate(total, missing))

    def run(self, extractor: Extractor, plan: Plan, resolved: dict[str, Any]) -> Activations:
        """Extract, store and index every problem; memory does not grow with their number but for the spans."""
        entries, skipped = dict(plan.entries), []
        texts = Missing(self.rollouts, self.source, list(plan.missing))
        blocks = {problem_id: list(names) for problem_id, names in plan.missing.items()}
        for result in extractor.extract(texts, blocks=blocks, log=self.log):
            if isinstance(result, Skip):
                self.log(f"problem {result.problem_id} skipped ({result.kind}): {result.reason}")
                skipped.append(result)
                entries.pop(result.problem_id, None)  # a problem has all of its blocks or none
                continue
            name = plan.missing[result.problem_id][result.block]
            entry = Entry.of(self.shards[result.block].write(name, result), result)
            entries[result.problem_id] = entry.with_others(entries.get(result.problem_id))
        return _indexed(entries, skipped, extractor, resolved)

    def _take_stored(self, problem: Problem, entries: dict[int, Entry]) -> dict[int, str]:
        """Enter the blocks of a problem that are stored; returns the names of the shards of the others."""
        names = {}
        for block, shards in self.shards.items():
            name = shards.name(problem.problem_id, problem.trace_text, problem.sentences)
            found = shards.find(name) if self.reuse else None
            if found is None:
                names[block] = name
            else:
                entries[problem.problem_id] = Entry.of(*found).with_others(entries.get(problem.problem_id))
        return names

    def _require_room(self, missing: int) -> None:
        base = next(iter(self.shards.values())).base
        free = self.free(base)
        if missing > free:
            expected = f"{in_words(missing)} for activations that are still to be written; free some, or extract less"
            raise InputError(base, "free space on the disk", in_words(free), expected)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an extraction will do."""

    entries: dict[int, Entry]
    """Problems of which a block or more is stored."""
    missing: dict[int, dict[int, str]]
    """Problem id -> block -> name of the shard to compute; problems without one are left out."""
    estimate: StorageEstimate


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

    shards: Mapping[int, Shard]
    """Block -> its shard."""
    spans: pd.DataFrame
    n_tokens: int
    n_rows: int
    """Vectors a block."""

    @classmethod
    def of(cls, shard: Shard, pooled: PooledProblem) -> Entry:
        """The entry of a stored problem at one block."""
        spans = _span_rows(pooled.problem_id, pooled.token_spans)
        return cls({pooled.block: shard}, spans, pooled.n_tokens, len(pooled.vectors))

    def with_others(self, other: Entry | None) -> Entry:
        """This entry with the blocks of another one of the same problem."""
        return self if other is None else dataclasses.replace(self, shards={**other.shards, **self.shards})


def rows_to_store(problem: Problem, extractor: Extractor) -> int:
    """Vectors that a problem will have at each block, by the tokenizer alone; none when it will be skipped."""
    if extractor.pooling != "tokens":
        return len(problem.sentences)
    if not problem.sentences:
        return 0
    try:
        spans = extractor.tokenizer.align(problem.trace_text, problem.sentences).token_spans
    except UnalignedSentence:
        return 0
    return int((spans[:, 1] - spans[:, 0]).sum())


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
            "blocks": list(extractor.blocks),
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
