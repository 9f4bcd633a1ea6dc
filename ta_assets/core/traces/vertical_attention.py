"""How much later text attends to a sentence ("receiver heads" of Bogdan et al. 2025, averaged).

Belongs here: scores from attention weights that were averaged over heads. Stays out: where the weights come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def masses(weights: torch.Tensor, spans: np.ndarray) -> np.ndarray:
    """Attention of each query on each sentence: the sum over its key tokens.

    Args:
        weights: [n_queries, n_tokens] float, rows that sum to 1.
        spans: [n_sentences, 2] int, half-open, in tokens.

    Returns:
        [n_queries, n_sentences] float64.
    """
    import torch

    columns = [weights[:, start:end].sum(dim=1) for start, end in np.asarray(spans, dtype=np.int64).tolist()]
    return torch.stack(columns, dim=1).double().cpu().numpy()


def light_scores(mass: np.ndarray, positions: np.ndarray, spans: np.ndarray, depth_control: bool) -> np.ndarray:
    """Mean (``depth_control``) or sum over the queries that come after a sentence of their mass on it; none gives 0.

    Args:
        mass: [n_queries, n_sentences] float64.
        positions: [n_queries] int, the queries' tokens.
        spans: [n_sentences, 2] int, half-open, in tokens.
        depth_control: an early sentence has more text after it; the mean does not reward that.

    Returns:
        [n_sentences] float32.
    """
    after = np.asarray(positions)[:, None] >= np.asarray(spans)[None, :, 1]
    sums, counts = np.where(after, mass, 0.0).sum(axis=0), after.sum(axis=0)
    return _over(sums, counts, depth_control)


def full_scores(mass: np.ndarray, spans: np.ndarray, depth_control: bool) -> np.ndarray:
    """Mean (``depth_control``) or sum over later sentences of their tokens' mean mass on a sentence; none gives 0.

    Args:
        mass: [n_tokens, n_sentences] float64, every token of the text a query.
        spans: [n_sentences, 2] int, half-open, in tokens.
        depth_control: as in ``light_scores``.

    Returns:
        [n_sentences] float32.
    """
    matrix = np.stack([mass[start:end].mean(axis=0) for start, end in np.asarray(spans, dtype=np.int64).tolist()])
    later = np.tril(np.ones(matrix.shape, dtype=bool), k=-1)  # row i attends, column j is attended to: i > j
    return _over(np.where(later, matrix, 0.0).sum(axis=0), later.sum(axis=0), depth_control)


def _over(sums: np.ndarray, counts: np.ndarray, depth_control: bool) -> np.ndarray:
    return (sums / np.maximum(counts, 1) if depth_control else sums).astype(np.float32)
