"""How many rollouts stand behind an importance, recovered from the fractions that the dataset stores.

Belongs here: fractions of one trace -> counts. Stays out: what follows from the counts (``label_noise``).

The dataset keeps accuracies and shares, not counts. Both are fractions of one number of answered rollouts, which is
therefore the largest number up to the campaign's size of which all three are whole multiples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COUNT_COLUMNS = ("n_different", "k_different", "n_next", "k_next")
"""Answered rollouts with a dissimilar sentence, how many of them are right; the same of the next sentence's."""
TOLERANCE = 1e-6
ACCURACY, SHARE, IMPORTANCE = "accuracy", "different_trajectories_fraction", "counterfactual_importance_accuracy"


def rollout_counts(chunks: Sequence[Mapping[str, Any]], rollouts: int) -> dict[str, np.ndarray]:
    """Counts behind the counterfactual importance of every sentence of a trace.

    The importance is k_different/n_different - k_next/n_next where both groups exist (Bogdan et al. 2025, section 3,
    as the dataset stores it), so a candidate number must make k_different whole, too.

    Args:
        chunks: entries of ``chunks_labeled.json``, all of them.
        rollouts: sampled per sentence; the most that can be answered.

    Returns:
        For each of ``COUNT_COLUMNS`` [n_chunks] float64; NaN where the entries do not tell, and for the last sentence.
    """
    n_chunks = len(chunks)
    counts = {name: np.full(n_chunks, np.nan) for name in COUNT_COLUMNS}
    fractions = np.array([[_number(chunk.get(key)) for key in (ACCURACY, SHARE, IMPORTANCE)] for chunk in chunks])
    answered = [_answered(fractions, index, rollouts) for index in range(n_chunks)]
    for index in range(n_chunks - 1):
        here, following = answered[index], answered[index + 1]
        _, share, importance = fractions[index]
        # without an importance there is nothing that the right answers of the dissimilar group could be told from
        if here is None or following is None or np.isnan(importance):
            continue
        n_different, following_accuracy = round(share * here), fractions[index + 1][0]
        counts["n_different"][index], counts["n_next"][index] = n_different, following
        counts["k_next"][index] = round(following_accuracy * following)
        counts["k_different"][index] = round((importance + following_accuracy) * n_different)
    return counts


def _answered(fractions: np.ndarray, index: int, rollouts: int) -> int | None:
    """Answered rollouts of a sentence: the largest number that makes every count whole."""
    accuracy, share, importance = fractions[index]
    following = fractions[index + 1][0] if index + 1 < len(fractions) else np.nan
    if np.isnan(accuracy) or np.isnan(share):
        return None
    for n in range(rollouts, 0, -1):
        if not (_whole(accuracy * n) and _whole(share * n)):
            continue
        n_different = round(share * n)
        right = (importance + following) * n_different
        known = n_different > 0 and not np.isnan(right)
        if not known or (_whole(right) and -0.5 < right < n_different + 0.5):
            return n
    return None


def _whole(value: float) -> bool:
    return abs(value - round(value)) <= TOLERANCE * max(1.0, abs(value))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
