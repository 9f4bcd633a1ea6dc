"""What the baselines see, as label-free matrices over all sentences of a setting.

Belongs here: features that need no activations. Stays out: fitting; the four columns of the predecessor's position
baseline (``features``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.extmath import randomized_svd

from ta_assets.core.probes.features import position_features

RELATIVE_KNOTS, INDEX_KNOTS = 8, 6
TEXT_COMPONENTS = 200
DEGREE = 3


def position_splines(rows: pd.DataFrame) -> np.ndarray:
    """Cubic B-splines of the relative position and of log(1 + index): any smooth function of position.

    The second resolves the first sentences of long traces, where importance changes fastest. No label decides a knot.
    Those of the relative position are fixed; those of log(1 + index) end at the longest trace among ``rows``, the
    held-out ones included: its length is known without labels, and a basis that ended earlier would extrapolate.

    Returns:
        [n, RELATIVE_KNOTS + INDEX_KNOTS + 2 * (DEGREE - 1)] float64.
    """
    index = np.log1p(rows["chunk_idx"].to_numpy(np.float64))
    return np.hstack(
        [
            _splines(rows["relative_position"].to_numpy(np.float64), np.linspace(0, 1, RELATIVE_KNOTS)),
            _splines(index, np.linspace(0, max(float(index.max(initial=0.0)), 1.0), INDEX_KNOTS)),
        ]
    )


UNSCALED = ("text_tfidf",)
"""Principal directions: the short ones are noise and must stay short."""


def baseline_features(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of a trained baseline -> its features [n, d] float64."""
    tags = sorted(rows["function_tag"].unique())
    return {
        "sentence_length": np.log1p(rows[["token_count"]].to_numpy(np.float64)),
        "position_linear": position_features(rows).astype(np.float64),
        "position_spline": position_splines(rows),
        "function_tags": (rows["function_tag"].to_numpy()[:, None] == np.array(tags, dtype=object)).astype(np.float64),
        "text_tfidf": _text(rows["chunk_text"].tolist()),
    }


def _text(texts: list[str]) -> np.ndarray:
    """TF-IDF of words and pairs of words, in its first principal directions (latent semantic analysis).

    A word is what stands between spaces, so that signs and numbers count, too. No cap on their number: which of many
    equally rare words fall under a cap would depend on the processor's sort.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\S+")
    try:
        table = vectorizer.fit_transform(texts).astype(np.float64)
    except ValueError:  # no sentence has a word
        return np.zeros((len(texts), 1))
    rank = min(TEXT_COMPONENTS, min(table.shape) - 1)
    if rank < 1:
        return np.asarray(table.todense())
    left, strength, _ = randomized_svd(table, n_components=rank, random_state=0)
    return left * strength


def _splines(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    place: Any = knots[:, None]
    transformer = SplineTransformer(degree=DEGREE, knots=place, extrapolation="linear")
    return np.asarray(transformer.fit_transform(values[:, None]))
