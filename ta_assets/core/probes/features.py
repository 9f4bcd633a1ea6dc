"""Joining what is known of each sentence: labels, token spans, split and vectors.

Belongs here: aligning rows by (problem_id, chunk_idx), and the position features. Stays out: models, metrics, files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ta_assets.core.score_columns import KEYS
from ta_assets.core.values import PooledProblem, Split

VERTICAL_SCORE, VERTICAL_MODE = "vertical_score", "vertical_attention_mode_used"
POSITION_FEATURES: tuple[str, ...] = ("chunk_idx", "num_chunks", "relative_position", "token_count")


def position_features(rows: pd.DataFrame) -> np.ndarray:
    """What is known of a sentence without reading it: [n_rows, 4] float32, columns ``POSITION_FEATURES``."""
    return rows[list(POSITION_FEATURES)].to_numpy(dtype=np.float32)


def add_spans(labels: pd.DataFrame, pooled: Iterable[PooledProblem]) -> pd.DataFrame:
    """Append ``token_start``, ``token_end`` (half-open) and ``token_count``, all int64, to the labelled sentences.

    Rows of problems that were not pooled (recorded skips) are left out; the order of the others is kept.

    Raises:
        ValueError: labels and pooling disagree about the number of sentences of a problem; all such problems named.
    """
    spans = {one.problem_id: np.asarray(one.token_spans, dtype=np.int64) for one in pooled}
    rows = labels.take(np.flatnonzero(labels["problem_id"].isin(list(spans)))).reset_index(drop=True)
    _require_same_sentences(rows, {problem_id: len(span) for problem_id, span in spans.items()})
    joined = np.zeros((len(rows), 2), dtype=np.int64)
    for problem_id, at in rows.groupby("problem_id").indices.items():
        joined[at] = spans[problem_id][rows["chunk_idx"].to_numpy()[at]]  # type: ignore[index]
    return rows.assign(token_start=joined[:, 0], token_end=joined[:, 1], token_count=joined[:, 1] - joined[:, 0])


def add_vertical(rows: pd.DataFrame, spans: pd.DataFrame) -> pd.DataFrame:
    """Append ``vertical_score`` (float32) and ``vertical_attention_mode_used`` where the extraction has made them.

    Args:
        rows: labelled sentences of problems that were extracted.
        spans: one row a sentence: problem_id, chunk_idx, and perhaps the two columns.
    """
    if VERTICAL_SCORE not in spans:
        return rows
    return rows.merge(spans[[*KEYS, VERTICAL_SCORE, VERTICAL_MODE]], on=KEYS, how="left", validate="one_to_one")


def vertical_features(rows: pd.DataFrame) -> np.ndarray:
    """[n_rows, 1] float32.

    Raises:
        ValueError: there are no scores, or not of every sentence.
    """
    absent = int(rows[VERTICAL_SCORE].isna().sum()) if VERTICAL_SCORE in rows else len(rows)
    if absent:
        raise ValueError(f"{absent} of {len(rows)} sentences have no {VERTICAL_SCORE}")
    return rows[[VERTICAL_SCORE]].to_numpy(dtype=np.float32)


def add_split(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Append ``split`` (train, val or test); rows of problems outside the setting are left out.

    Raises:
        ValueError: one of the three parts has no rows at all.
    """
    part_of = split.part_of()
    kept = rows.take(np.flatnonzero(rows["problem_id"].isin(list(part_of)))).reset_index(drop=True)
    kept = kept.assign(split=[part_of[problem_id] for problem_id in kept["problem_id"]])
    present = set(kept["split"])
    empty = [
        f"{name} (problems {list(getattr(split, name))})" for name in ("train", "val", "test") if name not in present
    ]
    if empty:
        raise ValueError("no sentences are left in " + ", ".join(empty) + ": every problem of that part was skipped")
    return kept


def stack_vectors(rows: pd.DataFrame, pooled: Iterable[PooledProblem]) -> np.ndarray:
    """Gather the vector of every row, [n_rows, d_model] float32.

    Raises:
        ValueError: a problem of the rows was not pooled, sentence counts disagree, or d_model differs over problems.
    """
    vectors = {one.problem_id: one.vectors for one in pooled}
    absent = sorted(set(rows["problem_id"].tolist()) - set(vectors))
    if absent:
        raise ValueError(f"problems {absent} have labels but no activations")
    _require_same_sentences(rows, {problem_id: len(matrix) for problem_id, matrix in vectors.items()})
    groups = rows.groupby("problem_id").indices
    widths = sorted({vectors[problem_id].shape[1] for problem_id in groups})  # type: ignore[index]
    if len(widths) > 1:
        raise ValueError(f"activations of one corpus have several widths: {widths}")
    stacked = np.zeros((len(rows), widths[0] if widths else 0), dtype=np.float32)
    for problem_id, at in groups.items():
        stacked[at] = vectors[problem_id][rows["chunk_idx"].to_numpy()[at]]  # type: ignore[index]
    return stacked


def _require_same_sentences(rows: pd.DataFrame, n_pooled: dict[int, int]) -> None:
    """The trace has as many sentences as labels, or one more: the dropped last one."""
    labelled = rows.groupby("problem_id")["num_chunks"].first()
    faults = [
        f"problem {problem_id}: {n} labelled, {n_pooled[problem_id]} pooled"  # type: ignore[index]
        for problem_id, n in labelled.items()
        if n_pooled[problem_id] - n not in (0, 1)  # type: ignore[index]
    ]
    if faults:
        raise ValueError("labels and activations disagree about the sentences: " + "; ".join(faults))
