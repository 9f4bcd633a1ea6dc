"""What a probe of a setting sees, put together from artifacts; assets use it, and checks for themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ta_assets.core.values import Split
from ta_resources.shards import read_shard
from ta_resources.storage import Activations

if TYPE_CHECKING:
    from ta_assets.core.probes import ProbeData

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


def probe_data(sentences: pd.DataFrame, activations: Activations, split: Split, base: Path) -> ProbeData:
    """Rows and vectors of the problems of a split that were extracted, sorted by problem and sentence.

    Args:
        sentences: labelled sentences of the corpus.
        activations: index of its vectors.
        split: the setting's problems.
        base: folder of all artifacts, where the vectors lie.

    Raises:
        InputError: a file with vectors is missing or is not the one that was recorded.
        ValueError: a part of the split has no rows, since all its problems were skipped.
    """
    from ta_assets.core.features import add_split
    from ta_assets.core.probes import ProbeData

    rows, vectors = _joined(sentences, activations, split.part_of(), base)
    return ProbeData.of(add_split(rows, split), vectors)


def fold_data(
    sentences: pd.DataFrame, activations: Activations, folds: Mapping[int, Split], base: Path
) -> dict[int, ProbeData]:
    """As ``probe_data`` for several splits of the same problems; they share one matrix of vectors.

    A fold whose test problem was skipped has nothing to be scored on and is left out; ``zero_skipped_problems`` is red
    then.

    Raises:
        InputError, ValueError: as ``probe_data``; or no fold is left.
    """
    from ta_assets.core.features import add_split
    from ta_assets.core.probes import ProbeData

    wanted = {problem_id for split in folds.values() for problem_id in split.part_of()}
    rows, vectors = _joined(sentences, activations, wanted, base)
    present = set(rows["problem_id"])
    kept = {fold: split for fold, split in folds.items() if present.intersection(split.test)}
    if not kept:
        raise ValueError("no fold is left: every problem was skipped")
    return {fold: ProbeData.of(add_split(rows, split), vectors) for fold, split in kept.items()}


def _joined(
    sentences: pd.DataFrame, activations: Activations, wanted: Collection[int], base: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the wanted problems that were extracted, and their vectors [n_rows, d_model] float32."""
    from ta_assets.core.features import add_spans, stack_vectors

    pooled = [read_shard(base, shard) for problem_id, shard in activations.shards.items() if problem_id in wanted]
    rows = add_spans(sentences, pooled)
    return rows, stack_vectors(rows, pooled)
