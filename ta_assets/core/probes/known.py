"""Everything that is known of a sentence without running the language model, in blocks.

Belongs here: label-free features of position, tags and words, of a sentence and of the one before it. Stays out:
fitting (``crossfit``), features that a single older baseline has to itself (``feature_sets``).
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from ta_assets.core.crossfit.spectrum import prepare
from ta_assets.core.probes.feature_sets import TEXT_COMPONENTS, position_splines

SHORT = 30
"""Traces of at most so many sentences have a column for each index."""
DIGITS = re.compile(r"\d+")
ROUNDING = 1e-5
"""Principal directions of less than this share of the longest are those of no text."""
UNSCALED_BLOCKS = ("text_normalised", "text_context")
"""Principal directions: the short ones are noise and must stay short."""


def known_blocks(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Block -> features [n, d] float64 of rows sorted by problem and index.

    position: splines; index: one column each where no trace is longer than ``SHORT``; length, in characters; tags: of
    this sentence and of the one before; text_normalised: words with every number as one sign, singly, in pairs and in
    threes;
    text_context: the same of the sentence before.
    """
    index = rows["chunk_idx"].to_numpy(np.int64)
    before = _before(rows)
    text = normalised_text(rows["chunk_text"].tolist())
    tags = _columns(rows["function_tag"].to_numpy())
    blocks = {
        "position": position_splines(rows),
        "length": np.log1p(np.array([[len(text)] for text in rows["chunk_text"]], dtype=np.float64)),
        "tags": np.hstack([tags, _shifted(tags, before)]),
        "text_normalised": text,
        "text_context": _shifted(text, before),
    }
    if int(index.max(initial=0)) < SHORT:
        blocks["index"] = _columns(index)
    return blocks


def known_features(rows: pd.DataFrame) -> np.ndarray:
    """[n, d] float64: all blocks side by side, centred within problems, each with rows of mean squared length 1."""
    problems = rows["problem_id"].to_numpy()
    found = []
    for name, block in known_blocks(rows).items():
        ready = prepare(block, problems, scaled=name not in UNSCALED_BLOCKS)
        found.append(ready / (np.sqrt(np.square(ready).sum() / len(ready)) or 1.0))
    return np.hstack(found)


def support_transforms(rows: pd.DataFrame) -> np.ndarray | None:
    """Functions of the number of dissimilar rollouts, [n, 5] float64; None where a sentence has none known.

    A sentence without dissimilar rollouts cannot be an anchor, few make a noisy label, many a sure one: what labels owe
    to the campaign is not monotone in it.
    """
    if "n_different" not in rows or bool(rows["n_different"].isna().any()):
        return None
    count = rows["n_different"].to_numpy(np.float64)
    return np.column_stack([count == 0, np.log1p(count), count, np.square(count), 1 / (1 + count)]).astype(np.float64)


def normalised_text(texts: list[str]) -> np.ndarray:
    """TF-IDF of words, pairs and triples with every number as one sign, in its first principal directions.

    As a word of its own each number would be seen once, and tell nothing of the next one.

    Returns:
        [n, at most ``TEXT_COMPONENTS``] float64.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"(?u)\S+")
    try:
        table = vectorizer.fit_transform([DIGITS.sub("#", text) for text in texts]).astype(np.float64)
    except ValueError:  # no sentence has a word
        return np.zeros((len(texts), 1))
    rank = min(TEXT_COMPONENTS, min(table.shape) - 1)
    if rank < 1:
        return np.asarray(table.todense())
    left, strength, _ = randomized_svd(table, n_components=rank, random_state=0)
    kept = strength > ROUNDING * strength.max(initial=0.0)
    return (left * strength)[:, kept]


def _before(rows: pd.DataFrame) -> np.ndarray:
    """[n] position of the row before in the same problem, -1 where there is none."""
    problems, index = rows["problem_id"].to_numpy(), rows["chunk_idx"].to_numpy()
    place = np.arange(len(rows)) - 1
    follows = np.zeros(len(rows), dtype=bool)
    follows[1:] = (problems[1:] == problems[:-1]) & (index[1:] == index[:-1] + 1)
    return np.where(follows, place, -1)


def _shifted(features: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The features of the sentence before; zeros where there is none."""
    return np.where((before >= 0)[:, None], features[before], 0.0)


def _columns(values: np.ndarray) -> np.ndarray:
    """[n, n_distinct] of 0 and 1."""
    distinct = np.array(sorted(set(values.tolist())), dtype=values.dtype)
    return (values[:, None] == distinct).astype(np.float64)
