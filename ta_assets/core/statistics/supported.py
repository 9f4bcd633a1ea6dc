"""Sentences that could be anchors, and permutations that keep how well a label is supported.

Belongs here: strata of the number of dissimilar rollouts. Stays out: label noise (``label_noise``), refits (``nulls``).

A sentence without dissimilar rollouts has importance 0 by construction, and one with few has a label of mere noise. So
a score that only tells how sure the model is of its next sentence ranks anchors, without knowing what matters.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

LEAST_DIFFERENT = 4
"""Dissimilar rollouts that a sentence needs to be graded as one that could be an anchor."""
EDGES = (1, LEAST_DIFFERENT, 11, 31)
"""Lower ends of the strata of dissimilar rollouts; below the first are the sentences with none."""


def could_be_anchors(rows: pd.DataFrame) -> np.ndarray | None:
    """[n] bool: at least ``LEAST_DIFFERENT`` dissimilar rollouts; None where a sentence has none known."""
    if "n_different" not in rows or bool(rows["n_different"].isna().any()):
        return None
    return rows["n_different"].to_numpy(np.float64) >= LEAST_DIFFERENT


def support_strata(rows: pd.DataFrame) -> np.ndarray | None:
    """[n] int64 stratum of each sentence by ``EDGES``; None where a sentence has no known count."""
    if "n_different" not in rows or bool(rows["n_different"].isna().any()):
        return None
    return np.digitize(rows["n_different"].to_numpy(np.float64), EDGES).astype(np.int64)


def permuted_in_strata(
    labels: np.ndarray, problems: np.ndarray, strata: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """The labels, and permutations within each stratum of each problem.

    Args:
        labels: [n] of 0 and 1.
        problems: [n] problem ids.
        strata: [n] of any kind that sorts.
        permutations: how many.
        rng: the order of draws is by problem, then stratum.

    Returns:
        [n, 1 + permutations] int8; column 0 as it is.
    """
    found = np.repeat(labels[:, None].astype(np.int8), 1 + permutations, axis=1)
    for problem in np.unique(problems):
        for stratum in np.unique(strata[problems == problem]):
            rows = np.flatnonzero((problems == problem) & (strata == stratum))
            order = rng.random((permutations, len(rows))).argsort(axis=1)
            found[rows, 1:] = labels[rows][order].T
    return found


def permutable(labels: np.ndarray, problems: np.ndarray, strata: np.ndarray) -> int:
    """How many problems have a stratum with both classes: of the others a permutation changes nothing."""
    mixed = set()
    for problem in np.unique(problems):
        for stratum in np.unique(strata[problems == problem]):
            inside = labels[(problems == problem) & (strata == stratum)]
            if 0 < inside.sum() < len(inside):
                mixed.add(problem)
    return len(mixed)


def shifted(labels: np.ndarray, problems: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """The labels, and circular shifts of every trace by a step of its own, which keep what neighbours share.

    Labels that come in runs make shuffled ones too smooth a null: vectors of neighbours are alike, too. A shift moves
    the runs as they are (Chung and Fraser 1958; for autocorrelated series Harris 2020, Nonsense correlations in
    neuroscience).

    Returns:
        [n, 1 + permutations] int8; column 0 as it is. Steps are drawn from 0 to the trace's length less one.
    """
    found = np.repeat(labels[:, None].astype(np.int8), 1 + permutations, axis=1)
    for problem in np.unique(problems):
        rows = np.flatnonzero(problems == problem)
        steps = rng.integers(0, len(rows), permutations)
        place = (np.arange(len(rows))[:, None] + steps) % len(rows)
        found[rows, 1:] = labels[rows][place]
    return found
