"""What probes and rivals see of the sentences of a setting, built a second time from texts, tags, positions, counts.

Belongs here: label-free matrices and how they are prepared. Stays out: fits (``own_fits``). scikit-learn is imported
inside functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.written_twice import POSITION_COLUMNS

DIRECTIONS = 200
"""Principal directions of texts."""
ROUNDING_OF_DIRECTIONS = 1e-5
"""Directions shorter than this share of the longest are those of no text."""
LONGEST_INDEXED = 30
"""Traces of at most so many sentences have a column for each index."""
KNOTS_OF_PLACE, KNOTS_OF_INDEX = 8, 6
AS_LONG_AS_THEY_ARE = ("text_tfidf", "text_normalised", "text_context")
"""Features whose short columns are noise and must stay short."""


def prepared(features: np.ndarray, problems: np.ndarray, *, scaled: bool = True) -> np.ndarray:
    """[n, d] float64: less the mean of the problem, each column in units of its deviation; constant columns are 0."""
    wide = np.asarray(features, dtype=np.float64)
    centred = centred_within(wide, problems)
    deviation = np.sqrt((centred**2).mean(axis=0))
    varies = (deviation > np.finfo(np.float32).eps * np.abs(wide).max(axis=0)) & (deviation > 0)
    return np.where(varies, centred, 0.0) / (np.where(varies, deviation, 1.0) if scaled else 1.0)


def centred_within(values: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """[n, ...] float64 values less the mean over their problem."""
    centred = np.array(values, dtype=np.float64)
    for problem in np.unique(problems):
        centred[problems == problem] -= centred[problems == problem].mean(axis=0)
    return centred


def rival_features(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of a score that is fitted without activations, on one set of features -> [n, d] as prepared.

    Args:
        rows: by problem and sentence, with label columns; without token_count there is nothing that needs it.
    """
    problems, text = rows["problem_id"].to_numpy(), rows["chunk_text"].tolist()
    words = _directions([_without_numbers(one) for one in text], 3, drop=True)
    raw: dict[str, np.ndarray] = {
        "position_spline": _places(rows),
        "function_tags": _indicators(rows.loc[:, "function_tag"]),
        "text_tfidf": _directions(text, 2, drop=False),
        "text_normalised": words,
        "text_context": _of_sentence_before(words, rows),
    }
    if "token_count" in rows:
        raw["sentence_length"] = np.log1p(rows[["token_count"]].to_numpy(np.float64))
        raw["position_linear"] = rows[list(POSITION_COLUMNS)].to_numpy(np.float32)
    count = np.asarray(rows["n_different"], np.float64) if "n_different" in rows else np.full(len(rows), np.nan)
    if not np.isnan(count).any():
        functions: list[Callable[[np.ndarray], Any]] = [
            lambda n: n == 0, np.log1p, lambda n: n, lambda n: n * n, lambda n: 1 / (1 + n),
        ]  # fmt: skip
        raw["support_trained"] = np.stack([np.asarray(of(count), np.float64) for of in functions], axis=1)
    return {
        name: prepared(features, problems, scaled=name not in AS_LONG_AS_THEY_ARE) for name, features in raw.items()
    }


def known_blocks(rows: pd.DataFrame, rivals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Block of what is known of a sentence without the language model -> [n, d] as prepared.

    Args:
        rows: as of ``rival_features``.
        rivals: what that gave.
    """
    problems = rows["problem_id"].to_numpy()
    tags = _indicators(rows.loc[:, "function_tag"])
    blocks = {
        "position": rivals["position_spline"],
        "length": prepared(np.log1p([[len(text)] for text in rows["chunk_text"]]), problems),
        "tags": prepared(np.hstack([tags, _of_sentence_before(tags, rows)]), problems),
        "text_normalised": rivals["text_normalised"],
        "text_context": rivals["text_context"],
    }
    if rows["chunk_idx"].max() < LONGEST_INDEXED:
        blocks["index"] = prepared(_indicators(rows.loc[:, "chunk_idx"]), problems)
    return blocks


def _places(rows: pd.DataFrame) -> np.ndarray:
    """Cubic splines of the relative position and of log(1 + index)."""
    from sklearn.preprocessing import SplineTransformer

    index = np.log1p(rows["chunk_idx"].to_numpy(np.float64))
    ends = (
        (rows["relative_position"].to_numpy(np.float64), 1.0, KNOTS_OF_PLACE),
        (index, max(index.max(), 1.0), KNOTS_OF_INDEX),
    )
    found = []
    for values, end, count in ends:
        knots: Any = np.linspace(0, end, count).reshape(-1, 1)
        spline = SplineTransformer(degree=3, knots=knots, extrapolation="linear")
        found.append(np.asarray(spline.fit_transform(values.reshape(-1, 1))))
    return np.hstack(found)


def _indicators(values: pd.Series) -> np.ndarray:
    """[n, n_distinct] of 0 and 1."""
    distinct = sorted(values.unique())
    return np.stack([(values == one).to_numpy(np.float64) for one in distinct], axis=1)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _directions(texts: list[str], longest: int, *, drop: bool) -> np.ndarray:
    """TF-IDF of runs of up to ``longest`` words in its principal directions; whether to ``drop`` those of no text."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    vectorizer = TfidfVectorizer(ngram_range=(1, longest), token_pattern=r"(?u)\S+")
    try:
        table: Any = vectorizer.fit_transform(texts)
    except ValueError:  # no words
        return np.zeros((len(texts), 1))
    table = table.astype(np.float64)
    rank = min(DIRECTIONS, *(side - 1 for side in table.shape))
    if rank < 1:
        return np.asarray(table.todense())
    found: Any = randomized_svd(table, n_components=rank, random_state=0)
    left, lengths, _ = found
    kept = lengths > ROUNDING_OF_DIRECTIONS * lengths.max(initial=0.0) if drop else slice(None)
    return (left * lengths)[:, kept]


def _of_sentence_before(features: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The features of the sentence before in the same problem; zeros where there is none."""
    place = {key: at for at, key in enumerate(zip(rows["problem_id"], rows["chunk_idx"], strict=True))}
    found = np.zeros_like(features, dtype=np.float64)
    for (problem, index), at in place.items():
        if (problem, index - 1) in place:
            found[at] = features[place[problem, index - 1]]
    return found
