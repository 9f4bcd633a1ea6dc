"""Sampling of continuations from the embedded language model.

Belongs here: token ids -> sampled token ids. Stays out: what the tokens mean, labels, files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, Qwen2ForCausalLM

TEMPERATURE = 0.8
MAX_LENGTH = 320
"""Tokens of prompt and trace; a continuation that is not finished by then has no answer."""


@dataclass(frozen=True)
class Continuations:
    """What is to be sampled along one text."""

    tokens: tuple[int, ...]
    """The text whose beginnings are continued."""
    starts: tuple[int, ...]
    """How many of ``tokens`` are kept, one entry per continuation wanted; each in 1..len(tokens)."""
    end: int
    """Id of the token that ends a text."""
    seed: int


def sample(model: Qwen2ForCausalLM, wanted: Continuations) -> list[list[int]]:
    """One continuation per entry of ``starts``, in that order, without the kept tokens and without the end token.

    Tokens are drawn from the softmax of logits / ``TEMPERATURE`` (top_p 1). All running continuations have the same
    length at any time: each joins the batch, with the cached keys and values of the text, when the batch has reached
    its start. So nothing is padded and no mask is needed.
    """
    import torch

    generator = torch.Generator().manual_seed(wanted.seed)
    with torch.inference_mode():
        text = torch.tensor([wanted.tokens])
        text_cache = _layers(model(text, use_cache=True).past_key_values)
        sampled: list[list[int]] = [[] for _ in wanted.starts]
        rows: list[int] = []
        last = torch.empty(0, dtype=torch.long)
        cache: list[tuple[torch.Tensor, torch.Tensor]] = []
        for length in range(min(wanted.starts), MAX_LENGTH):
            joining = [row for row, start in enumerate(wanted.starts) if start == length]
            if joining:
                rows += joining
                last = torch.cat([last, text[0, length - 1].expand(len(joining))])
                cache = _joined(cache, text_cache, length - 1, len(joining))
            if not rows:
                if length > max(wanted.starts):
                    break
                continue
            output = model(last[:, None], past_key_values=_as_cache(cache), use_cache=True, logits_to_keep=1)
            cache = _layers(output.past_key_values)
            chances = torch.softmax(output.logits[:, -1] / TEMPERATURE, dim=-1)
            last = torch.multinomial(chances, 1, generator=generator)[:, 0]
            running = last != wanted.end
            for row, token in zip(rows, last.tolist(), strict=True):
                if token != wanted.end:
                    sampled[row].append(token)
            if not bool(running.all()):
                rows = [row for row, runs in zip(rows, running.tolist(), strict=True) if runs]
                last = last[running]
                cache = [(keys[running], values[running]) for keys, values in cache]
    return sampled


def _layers(cache: DynamicCache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values of every block, each [n_rows, n_heads, n_tokens, d_head]."""
    return [(layer.keys, layer.values) for layer in cast("list[Any]", cache.layers)]


def _as_cache(layers: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> DynamicCache:
    from transformers import DynamicCache

    cache = DynamicCache()
    for index, (keys, values) in enumerate(layers):
        cache.update(keys, values, index)
    return cache


def _joined(
    cache: Sequence[tuple[torch.Tensor, torch.Tensor]],
    text_cache: Sequence[tuple[torch.Tensor, torch.Tensor]],
    length: int,
    n_rows: int,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The running cache with ``n_rows`` more rows, which hold the first ``length`` tokens of the text."""
    import torch

    fresh = [tuple(part[:, :, :length].expand(n_rows, -1, -1, -1) for part in layer) for layer in text_cache]
    if not cache or not len(cache[0][0]):
        return [(keys.contiguous(), values.contiguous()) for keys, values in fresh]
    return [
        (torch.cat([keys, new_keys]), torch.cat([values, new_values]))
        for (keys, values), (new_keys, new_values) in zip(cache, fresh, strict=True)
    ]
