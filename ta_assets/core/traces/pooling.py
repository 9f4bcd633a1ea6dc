"""From one vector per token to one vector per sentence, or to the tokens of every sentence.

Belongs here: reductions of a hidden-state tensor over token spans, on whatever device it lies. Stays out: models,
hooks, storage types. torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ta_assets.core.values import PooledProblem

if TYPE_CHECKING:
    import torch

POOLINGS = ("mean", "last", "tokens")


class SpanPooler:
    """Pools the spans of a text that arrives in pieces, holding only the tokens of spans that have not ended.

    ``mean`` is accumulated in float32 on the tensor's own device. Each span is summed by itself.
    Differences of one running sum over the text would be one operation, but lose digits in every later sentence to the
    few tokens whose norm is a thousand times the others' (attention sinks), and a product with an averaging matrix
    would be rounded to TF32 on some devices. ``last`` is the last token of each span. ``tokens`` are all
    tokens, span after span; they are moved to the host at once, because a device has no room for many blocks of them.
    """

    def __init__(self, spans: np.ndarray, pooling: str = "mean") -> None:
        """Start before the first token.

        Args:
            spans: [n_sentences, 2] int, half-open, in tokens; they may touch, overlap or nest.
            pooling: one of ``POOLINGS``.

        Raises:
            ValueError: another pooling, spans of another shape, or a span that is empty or starts before the text.
        """
        self._spans = np.asarray(spans, dtype=np.int64)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling: {pooling!r}, expected one of {', '.join(POOLINGS)}")
        if self._spans.size and (self._spans.ndim != 2 or self._spans.shape[1] != 2):
            raise ValueError(f"spans: shape {self._spans.shape}, expected [n_sentences, 2]")
        self._spans = self._spans.reshape(-1, 2)
        self._refuse((self._spans[:, 0] < 0) | (self._spans[:, 1] <= self._spans[:, 0]), "0 <= start < end")
        self._pooling = pooling
        self._open = list(range(len(self._spans)))
        self._rows: dict[int, torch.Tensor] = {}
        self._held: torch.Tensor | None = None
        self._start = self._end = 0

    def feed(self, hidden: torch.Tensor) -> None:
        """Take the next piece of the text: [n_tokens, d_model], any floating dtype, any device.

        Raises:
            ValueError: a tensor of another shape.
        """
        import torch

        if hidden.ndim != 2:
            raise ValueError(f"hidden: shape {tuple(hidden.shape)}, expected [n_tokens, d_model]")
        self._held = hidden if self._held is None else torch.cat([self._held, hidden])
        self._end += len(hidden)
        ended = [row for row in self._open if self._spans[row, 1] <= self._end]
        for row in ended:
            start, end = (self._spans[row] - self._start).tolist()
            self._rows[row] = self._pooled(self._held[start:end])
        self._open = [row for row in self._open if self._spans[row, 1] > self._end]
        first = min((int(self._spans[row, 0]) for row in self._open), default=self._end)
        kept = min(first, self._end)
        # cloned: a view would keep the whole piece alive
        self._held = self._held[kept - self._start :].clone()
        self._start = kept

    def result(self) -> torch.Tensor:
        """What was pooled: [n_sentences, d_model] float32, for ``tokens`` [n_tokens_in_spans, d_model] as computed.

        Raises:
            ValueError: no piece was fed, or a span leaves the text.
        """
        import torch

        if self._held is None:
            raise ValueError("hidden: no tokens were fed")
        self._refuse(self._spans[:, 1] > self._end, f"0 <= start < end <= {self._end} tokens")
        if not self._rows:
            return torch.zeros((0, self._held.shape[1]), dtype=torch.float32, device=self._held.device)
        rows = [self._rows[row] for row in range(len(self._spans))]
        return torch.cat(rows) if self._pooling == "tokens" else torch.stack(rows)

    def _pooled(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch

        if self._pooling == "mean":
            return tokens.mean(dim=0, dtype=torch.float32)
        return tokens[-1].float() if self._pooling == "last" else tokens.to("cpu", copy=True)

    def _refuse(self, wrong: np.ndarray, expected: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"spans[{row}]: {self._spans[row].tolist()}, expected {expected}")


def span_offsets(spans: np.ndarray) -> np.ndarray:
    """[n_sentences + 1] int64: where the tokens of each span begin when those of all spans follow one another."""
    lengths = np.asarray(spans, dtype=np.int64)[:, 1] - np.asarray(spans, dtype=np.int64)[:, 0]
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def one_vector_a_sentence(pooled: PooledProblem, pooling: str = "mean") -> PooledProblem:
    """The problem with one row a sentence: as it is, or reduced from stored tokens, [n_sentences, d_model].

    ``mean`` (and ``tokens``, whose probes on one vector read it) is the tokens' float32 mean, ``last``
    the last of them.
    """
    if pooled.offsets is None:
        return pooled
    tokens = [pooled.of_sentence(index) for index in range(len(pooled.token_spans))]
    rows = [one[-1] if pooling == "last" else one.mean(axis=0, dtype=np.float32) for one in tokens]
    return replace(pooled, vectors=np.stack(rows), offsets=None)
