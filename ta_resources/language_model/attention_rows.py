"""Attention weights of a few queries of one block, while the model runs with any attention implementation.

Fast kernels return no weights, and a pass with ``eager`` attention holds [n_heads, n_tokens, n_tokens] numbers for each
block. Here the inputs of one block's attention are taken, its own projections give the queries that are wanted and the
keys of all tokens, and the softmax is done for those rows only: memory grows with the length, not with its square.
Stays out: what the weights say about sentences (``core/vertical_attention.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ta_assets.core.errors import InputError
from ta_resources.language_model.capture import block_list

if TYPE_CHECKING:
    import torch

FAMILIES = ("llama", "qwen2")
"""Families whose weights were compared with transformers' eager attention; others rotate, scale or mask differently."""
PARTS = ("q_proj", "k_proj", "head_dim", "scaling", "num_key_value_groups")
QUERIES_AT_ONCE = 32


def require_readable(model: Any, block: int, source: str) -> None:
    """Refuse a model whose attention is not known to be computed in the way of this module.

    Raises:
        InputError: another family, a block without the projections, or one that sees a window of tokens only.
    """
    attention, family = getattr(block_list(model)[block], "self_attn", None), model.config.model_type
    absent = [part for part in PARTS if not hasattr(attention, part)]
    windowed = getattr(attention, "sliding_window", None) is not None
    if family not in FAMILIES or absent or windowed:
        found = f"{family}{' without ' + ', '.join(absent) if absent else ''}{' with a sliding window' * windowed}"
        expected = f"mode off, or a model of {' or '.join(FAMILIES)} with rotary queries and keys over the whole text"
        raise InputError(source, "extraction.vertical_attention", found, expected)


class AttentionRows:
    """Context manager around the forward passes of one text, in one piece or several joined by a key-value cache."""

    def __init__(self, model: Any, block: int, first_query: int) -> None:
        """Read ``block`` of a model that is ``require_readable``; queries are the tokens from ``first_query`` on."""
        self._attention: Any = block_list(model)[block].self_attn
        self._first_query = first_query
        self._queries: list[torch.Tensor] = []
        self._keys: list[torch.Tensor] = []
        self._n_tokens = 0
        self._handle: Any = None

    def __enter__(self) -> AttentionRows:
        self._handle = self._attention.register_forward_pre_hook(self._take, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def weights(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Position of a chunk's first query, and its [n_queries, n_tokens] float32 weights, mean over the heads."""
        import torch

        queries, keys = torch.cat(self._queries, dim=1), torch.cat(self._keys, dim=1).float()
        positions = torch.arange(keys.shape[1], device=keys.device)
        for start in range(0, queries.shape[1], QUERIES_AT_ONCE):
            chunk = queries[:, start : start + QUERIES_AT_ONCE].float()
            # consecutive query heads share a key head
            grouped = chunk.unflatten(0, (keys.shape[0], self._attention.num_key_value_groups))
            logits = torch.einsum("kgqh,knh->kgqn", grouped, keys) * self._attention.scaling
            first = self._first_query + start
            future = positions[None] > positions[first : first + chunk.shape[1], None]
            yield first, torch.softmax(logits.masked_fill(future, -torch.inf), dim=-1).flatten(0, 1).mean(dim=0)

    def _take(self, attention: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden = (named["hidden_states"] if "hidden_states" in named else inputs[0])[0]
        cos, sin = (table[0] for table in named["position_embeddings"])
        self._keys.append(_rotated(attention.k_proj(hidden), attention.head_dim, cos, sin))
        wanted = slice(max(self._first_query - self._n_tokens, 0), None)
        self._queries.append(_rotated(attention.q_proj(hidden[wanted]), attention.head_dim, cos[wanted], sin[wanted]))
        self._n_tokens += len(hidden)


def _rotated(projected: torch.Tensor, head_dim: int, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """[n_tokens, n_heads * head_dim] -> [n_heads, n_tokens, head_dim], turned by position (Su et al. 2021)."""
    import torch

    heads = projected.unflatten(-1, (-1, head_dim)).transpose(0, 1)
    left, right = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-right, left], dim=-1) * sin
