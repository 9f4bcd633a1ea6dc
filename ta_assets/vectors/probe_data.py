"""What a probe of a setting sees, put together from artifacts; assets use it, and checks for themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ta_assets.core.traces.pooling import one_vector_a_sentence
from ta_assets.core.values import PooledProblem, Split
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.files import Files
from ta_resources.storage.shards import StoredTokens, read_shard

if TYPE_CHECKING:
    from ta_assets.core.probes.models import ProbeData

PARTS = ("train", "val", "test")
FOLDS = "folds"


def stored_split(split: Split) -> dict[str, list[int]]:
    """A split as it is stored."""
    return {part: list(getattr(split, part)) for part in PARTS}


def split_of(value: Mapping[str, list[int]]) -> Split:
    """The stored form of a split as a value."""
    return Split(**{part: tuple(value[part]) for part in PARTS})


def stored_folds(folds: Mapping[int, Split]) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Folds as they are stored."""
    return {FOLDS: {str(fold): stored_split(split) for fold, split in folds.items()}}


def folds_of(value: Mapping[str, Any]) -> dict[int, Split] | None:
    """The folds of what ``splits`` stores, by the problem that is left out; None when it is a single split."""
    if FOLDS not in value:
        return None
    return {int(fold): split_of(split) for fold, split in sorted(value[FOLDS].items(), key=lambda one: int(one[0]))}


def problems_of(value: Mapping[str, Any]) -> frozenset[int]:
    """All problems of what ``splits`` stores."""
    folds = folds_of(value)
    splits = [split_of(value)] if folds is None else list(folds.values())
    return frozenset(problem_id for split in splits for problem_id in split.part_of())


def probe_data(sentences: pd.DataFrame, activations: Activations, split: Split, files: Files) -> ProbeData:
    """Rows and vectors of the problems of a split that were extracted, sorted by problem and sentence.

    Args:
        sentences: labelled sentences of the corpus.
        activations: index of its vectors; ``vectors`` are those of its primary block, ``by_block`` reads the others
            when they are asked for. Stored tokens become the mean of their sentence.
        split: the setting's problems.
        files: where all artifacts lie, vectors among them.

    Raises:
        InputError: a file with vectors is missing or is not the one that was recorded.
        ValueError: a part of the split has no rows, since all its problems were skipped.
    """
    return joined(sentences, activations, split.part_of(), files).under(split)


def fold_data(
    sentences: pd.DataFrame, activations: Activations, folds: Mapping[int, Split], files: Files
) -> dict[int, ProbeData]:
    """As ``probe_data`` for several splits of the same problems; they share one matrix of vectors.

    A fold whose test problem was skipped has nothing to be scored on and is left out; ``zero_skipped_problems`` is red
    then.

    Raises:
        InputError, ValueError: as ``probe_data``; or no fold is left.
    """
    whole = joined(sentences, activations, problems_of(stored_folds(folds)), files)
    present = set(whole.rows["problem_id"])
    kept = {fold: split for fold, split in folds.items() if present.intersection(split.test)}
    if not kept:
        raise ValueError("no fold is left: every problem was skipped")
    return {fold: whole.under(split) for fold, split in kept.items()}


@dataclass(frozen=True)
class Joined:
    """Extracted sentences of some problems, whatever their part in a split."""

    rows: pd.DataFrame
    by_block: ByBlock
    primary: int
    tokens: StoredTokens | None

    def under(self, split: Split) -> ProbeData:
        """The data of a probe, when ``split`` has the same problems.

        Raises:
            ValueError: a part of the split has no rows, since all its problems were skipped.
        """
        from ta_assets.core.probes.features import add_split
        from ta_assets.core.probes.models import ProbeData

        return ProbeData.of(add_split(self.rows, split), self.by_block[self.primary], self.by_block, self.tokens)


def joined(
    sentences: pd.DataFrame, activations: Activations, wanted: Collection[int], files: Files, pooling: str | None = None
) -> Joined:
    """Rows and vectors of the wanted problems that were extracted, sorted by problem and sentence.

    Args:
        sentences: labelled sentences of the corpus.
        activations: index of its vectors.
        wanted: ids of the problems.
        files: where all artifacts lie, vectors among them.
        pooling: what to make of stored tokens: ``tokens`` keeps them beside their means; by default as extracted.

    Raises:
        InputError: a file with vectors is missing or is not the one that was recorded.
    """
    from ta_assets.core.probes.features import add_spans, add_vertical, stack_vectors

    kept: str = pooling or activations.record["extraction"]["pooling"]

    def pooled_at(block: int) -> list[PooledProblem]:
        shards = activations.shards_of(block).items()
        # one problem at a time: all tokens of a corpus may not fit into memory, their means do
        read = (read_shard(files, shard) for problem_id, shard in shards if problem_id in wanted)
        return [one_vector_a_sentence(one, kept) for one in read]

    primary = activations.record["block"]
    pooled = pooled_at(primary)
    rows = add_vertical(add_spans(sentences, pooled), activations.spans)
    vectors = stack_vectors(rows, pooled)

    def at(block: int) -> np.ndarray:
        return vectors if block == primary else stack_vectors(rows, pooled_at(block))

    tokens = None
    if kept == "tokens":
        keys = list(zip(rows["problem_id"].tolist(), rows["chunk_idx"].tolist(), strict=True))
        tokens = StoredTokens(files, activations.shards, keys)
    return Joined(rows, ByBlock(sorted(activations.record["blocks"]), at), primary, tokens)


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
