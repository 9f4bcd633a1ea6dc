"""How many rollouts stand behind an importance, recovered from the fractions that the dataset stores.

Belongs here: fractions of one trace -> counts. Stays out: what follows from the counts (``label_noise``).

The dataset keeps accuracies and shares, not counts. Both are fractions of one number of answered rollouts, which is
therefore the largest number up to the campaign's size of which all three are whole multiples. A campaign of one's own
writes the counts beside the fractions, and then nothing is told from anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError

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

    Raises:
        InputError: an entry with counts that cannot be: no whole number, negative, or more right ones than there are.
    """
    n_chunks = len(chunks)
    if any(name in chunk for chunk in chunks for name in COUNT_COLUMNS):
        return _stored(chunks)
    counts = {name: np.full(n_chunks, np.nan) for name in COUNT_COLUMNS}
    fractions = fractions_of(chunks)
    answered = [_answered(own, rollouts) for own in fractions]
    for index in range(n_chunks - 1):
        here, following = answered[index], answered[index + 1]
        share, importance, following_accuracy = fractions[index, 1:]
        # without an importance there is nothing that the right answers of the dissimilar group could be told from
        if here is None or following is None or np.isnan(importance):
            continue
        n_different = round(share * here)
        counts["n_different"][index], counts["n_next"][index] = n_different, following
        counts["k_next"][index] = round(following_accuracy * following)
        counts["k_different"][index] = round((importance + following_accuracy) * n_different)
    return counts


def _stored(chunks: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The counts that the entries themselves hold; NaN for an entry without them."""
    table = np.full((len(chunks), len(COUNT_COLUMNS)), np.nan)
    for place, chunk in enumerate(chunks):
        own = [chunk.get(name) for name in COUNT_COLUMNS]
        if own == [None] * len(COUNT_COLUMNS):
            continue
        whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in own)
        if not whole or own[1] > own[0] or own[3] > own[2]:
            expected = "four counts, of each group no more right answers than answers"
            raise InputError("chunks_labeled.json", f"[{place}].{COUNT_COLUMNS[0]}", own, expected)
        table[place] = own
    return dict(zip(COUNT_COLUMNS, table.T, strict=True))


def fractions_of(chunks: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """[n_chunks, 4] float64: accuracy, share of dissimilar rollouts, importance, the next sentence's accuracy."""
    own = np.array([[_number(chunk.get(key)) for key in (ACCURACY, SHARE, IMPORTANCE)] for chunk in chunks])
    own = own.reshape(-1, 3)
    return np.column_stack([own, np.append(own[1:, 0], np.nan)[: len(own)]])


def whole_numbers(own: np.ndarray, most: int) -> np.ndarray:
    """Numbers of answered rollouts up to ``most`` that make every count of a sentence whole, ascending.

    Args:
        own: [4], a row of ``fractions_of``; where importance or next accuracy are NaN they decide nothing.
        most: the largest number.
    """
    accuracy, share, importance, following = own
    if np.isnan(accuracy) or np.isnan(share):
        return np.zeros(0, dtype=np.int64)
    n = np.arange(1, most + 1)
    fits = _whole(accuracy * n) & _whole(share * n)
    n_different = np.round(share * n)
    right = (importance + following) * n_different
    if not np.isnan(importance + following):
        fits &= (n_different == 0) | (_whole(right) & (right > -0.5) & (right < n_different + 0.5))
    return n[fits]


def _answered(own: np.ndarray, rollouts: int) -> int | None:
    """Answered rollouts of a sentence: the largest number that makes every count whole."""
    fits = whole_numbers(own, rollouts)
    return int(fits[-1]) if len(fits) else None


def _whole(values: np.ndarray) -> np.ndarray:
    return np.abs(values - np.round(values)) <= TOLERANCE * np.maximum(1.0, np.abs(values))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
