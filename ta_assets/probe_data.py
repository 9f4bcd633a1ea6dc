"""What a probe of a setting sees, put together from artifacts; assets use it, and checks for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ta_assets.core.values import Split
from ta_resources.shards import read_shard
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
        activations: index of its vectors.
        split: the setting's problems.
        base: folder of all artifacts, where the vectors lie.

    Raises:
        InputError: a file with vectors is missing or is not the one that was recorded.
        ValueError: a part of the split has no rows, since all its problems were skipped.
    """
    from ta_assets.core.features import add_spans, add_split, stack_vectors
    from ta_assets.core.probes import ProbeData

    wanted = split.part_of()
    pooled = [read_shard(base, shard) for problem_id, shard in activations.shards.items() if problem_id in wanted]
    rows = add_split(add_spans(sentences, pooled), split)
    vectors = stack_vectors(rows, pooled)
    return ProbeData.of(rows, vectors, {activations.record["block"]: vectors})
