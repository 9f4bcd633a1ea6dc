"""From one vector per token to one vector per sentence.

Belongs here: reductions of a hidden-state tensor over token spans, on whatever device it lies. Stays out: models,
hooks, storage types. torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def segment_mean(hidden: torch.Tensor, spans: np.ndarray) -> torch.Tensor:
    """Mean of the token vectors of every span (FEATURES A4), accumulated in float32 on the tensor's own device.

    Each span is summed by itself. Differences of one running sum over the text would be one operation, but lose
    digits in every later sentence to the few tokens whose norm is a thousand times the others' (attention sinks), and
    a product with an averaging matrix would be rounded to TF32 on some devices.

    Args:
        hidden: [n_tokens, d_model], any floating dtype, any device.
        spans: [n_sentences, 2] int, half-open, in tokens; they may touch, overlap or nest.

    Returns:
        [n_sentences, d_model] float32 on the device of ``hidden``.

    Raises:
        ValueError: a tensor of another shape, or a span that is empty or leaves the text.
    """
    import torch

    spans = np.asarray(spans, dtype=np.int64)
    if hidden.ndim != 2:
        raise ValueError(f"hidden: shape {tuple(hidden.shape)}, expected [n_tokens, d_model]")
    if spans.size == 0:
        return torch.zeros((0, hidden.shape[1]), dtype=torch.float32, device=hidden.device)
    if spans.ndim != 2 or spans.shape[1] != 2:
        raise ValueError(f"spans: shape {spans.shape}, expected [n_sentences, 2]")
    wrong = (spans[:, 0] < 0) | (spans[:, 1] <= spans[:, 0]) | (spans[:, 1] > len(hidden))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"spans[{row}]: {spans[row].tolist()}, expected 0 <= start < end <= {len(hidden)} tokens")
    return torch.stack([hidden[start:end].mean(dim=0, dtype=torch.float32) for start, end in spans.tolist()])
