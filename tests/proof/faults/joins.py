"""Faults in the code that lays vectors beside labels: what every probe reads, and no check uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.probes import features
from tests.proof.faults import Fault
from tests.proof.faults.planting import replace
from tests.proof.world import CORPUS, World


def _vectors(edit: Callable[[Any], Any], asset: str) -> Callable[[World], None]:
    """Probes of one asset, and of what is made after it, read other vectors than their sentences'."""

    def plant(world: World) -> None:
        right = features.stack_vectors
        replace(features, "stack_vectors", lambda *given: edit(right(*given)))
        world.make(asset, CORPUS)

    return plant


def _rows(edit: Callable[[Any], Any], asset: str) -> Callable[[World], None]:
    def plant(world: World) -> None:
        right = features.add_spans
        replace(features, "add_spans", lambda *given: edit(right(*given)))
        world.make(asset, CORPUS)

    return plant


def _without_last_sentences(rows: pd.DataFrame) -> pd.DataFrame:
    kept = np.flatnonzero(rows["chunk_idx"] < rows["num_chunks"] - 1)
    return rows.take(kept).reset_index(drop=True)


def _shifted(vectors: np.ndarray) -> np.ndarray:
    return np.roll(vectors, 1, axis=0)


def _truncated(vectors: np.ndarray) -> np.ndarray:
    """Half of the columns are lost."""
    cut = vectors.copy()
    cut[:, cut.shape[1] // 2 :] = 0
    return cut


def _other_counts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(token_count=np.roll(rows["token_count"], 1))


OUT_OF_FOLD, REFIT = ("scores_out_of_fold", "cv_scores"), ("scores_refit", "seed_free_scores")
FAULTS = tuple(
    Fault(name, *check, planted(edit, check[1]))
    for name, check, planted, edit in (
        ("vectors are those of the sentence before", OUT_OF_FOLD, _vectors, _shifted),
        ("half of the columns of all vectors are zero", OUT_OF_FOLD, _vectors, _truncated),
        ("last sentences are lost when vectors are joined", OUT_OF_FOLD, _rows, _without_last_sentences),
        ("a cell's vectors are those of the sentence before", REFIT, _vectors, _shifted),
        ("token counts are those of the sentence before", REFIT, _rows, _other_counts),
    )
)
