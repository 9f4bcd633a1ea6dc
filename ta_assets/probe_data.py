"""What a probe of a setting sees, put together from artifacts; assets use it, and checks for themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ta_assets.core.pooling import sentence_means
from ta_assets.core.values import PooledProblem, Split
from ta_resources.shards import StoredTokens, read_shard
from ta_resources.storage import Activations

if TYPE_CHECKING:
    from ta_assets.core.probes import ProbeData


def split_of(value: Mapping[str, list[int]]) -> Split:
    """The stored form of a split as a value."""
    return Split(**{part: tuple(value[part]) for part in ("train", "val", "test")})


def probe_data(sentences: pd.DataFrame, activations: Activations, split: Split, base: Path) -> ProbeData:
    """Rows and vectors of the problems of a split that were extracted, sorted by problem and sentence.

    Args:
        sentences: labelled sentences of the corpus.
        activations: index of its vectors; ``vectors`` are those of its primary block, ``by_block`` reads the others
            when they are asked for. Stored tokens become the mean of their sentence.
        split: the setting's problems.
        base: folder of all artifacts, where the vectors lie.

    Raises:
        InputError: a file with vectors is missing or is not the one that was recorded.
        ValueError: a part of the split has no rows, since all its problems were skipped.
    """
    from ta_assets.core.features import add_spans, add_split, add_vertical, stack_vectors
    from ta_assets.core.probes import ProbeData

    wanted = split.part_of()

    def pooled_at(block: int) -> list[PooledProblem]:
        shards = activations.shards_of(block).items()
        # one problem at a time: all tokens of a corpus may not fit into memory, their means do
        return [sentence_means(read_shard(base, shard)) for problem_id, shard in shards if problem_id in wanted]

    primary = activations.record["block"]
    pooled = pooled_at(primary)
    rows = add_split(add_vertical(add_spans(sentences, pooled), activations.spans), split)
    vectors = stack_vectors(rows, pooled)

    def at(block: int) -> np.ndarray:
        return vectors if block == primary else stack_vectors(rows, pooled_at(block))

    by_block = ByBlock(sorted(activations.record["blocks"]), at)
    if activations.record["extraction"]["pooling"] != "tokens":
        return ProbeData.of(rows, vectors, by_block)
    keys = list(zip(rows["problem_id"].tolist(), rows["chunk_idx"].tolist(), strict=True))
    return ProbeData.of(rows, vectors, by_block, StoredTokens(base, activations.shards, keys))


class ByBlock(Mapping[int, np.ndarray]):
    """Block -> [n_rows, d_model] float32, read whenever it is asked for: all blocks at once may not fit into memory."""

    def __init__(self, blocks: list[int], load: Callable[[int], np.ndarray]) -> None:
        """``load`` gives the vectors of one of the ``blocks``."""
        self._blocks, self._load = blocks, load

    def __getitem__(self, block: int) -> np.ndarray:
        if block not in self._blocks:
            raise KeyError(block)
        return self._load(block)

    def __iter__(self) -> Iterator[int]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)
