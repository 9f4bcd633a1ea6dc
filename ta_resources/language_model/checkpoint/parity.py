"""The proof that a model has to give once it is loaded, when nothing is proven of its family.

Belongs here: one short made text through the model, plainly and by the hooks. Stays out: which families need it
(``families.py``). torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ta_assets.core.errors import InputError, in_short
from ta_resources.language_model.capture import block_list, capture_blocks
from ta_resources.language_model.devices import is_out_of_memory

T = TypeVar("T")
N_TOKENS = 24
TOLERANCE = {"torch.float32": 1e-3, "torch.float16": 1e-2, "torch.bfloat16": 5e-2}
"""Largest difference over the largest number: what kernels of another shape may change."""
DECODER = "a decoder whose blocks give the residual stream, each from the one below it and the tokens so far"


def require_forward(model: Any, source: str) -> None:
    """Refuse a model that cannot read a plain text, before a whole corpus is begun.

    Raises:
        InputError: with what its code says; a configuration may be one that loads and does not compute.
    """
    _tried(model, source, lambda ids: _hooked(model, ids))


def require_parity(model: Any, source: str) -> None:
    """Refuse a model whose hooks do not give transformers' own hidden states, or that looks at later tokens.

    The last block's state is not compared: transformers gives it after the final norm only.

    Raises:
        InputError: another stream, one that depends on what follows, or a model that cannot read a plain text.
    """
    family = model.config.model_type
    plain, hooked, beginning = _tried(
        model,
        source,
        lambda ids: (
            model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states,
            _hooked(model, ids),
            _hooked(model, ids[:, : N_TOKENS // 2]),
        ),
    )
    n_blocks = len(block_list(model))
    if plain is None or len(plain) != n_blocks + 1:
        found = "none" if plain is None else f"{len(plain)} for {n_blocks} blocks"
        raise InputError(source, f"{family}: hidden states", found, DECODER)
    bound = TOLERANCE.get(str(model.dtype), 1e-3)
    # some families leave the embeddings out of their hidden states, and every other one moves down by one
    shifted = [[_gap(hooked[block], plain[block + shift]) for block in range(n_blocks - 1)] for shift in (1, 0)]
    if (gap := min(max(gaps, default=0.0) for gaps in shifted)) > bound:
        raise InputError(source, f"{family}: blocks", f"{gap:.2g} off the hidden states", DECODER)
    for block, state in hooked.items():
        if (gap := _gap(beginning[block], state[:, : N_TOKENS // 2])) > bound:
            raise InputError(source, f"{family}: block {block}", f"later tokens change it by {gap:.2g}", DECODER)


def _tried(model: Any, source: str, forward: Callable[[Any], T]) -> T:
    """What ``forward`` makes of the ids of a made text; whatever an architecture's code raises is an input's fault."""
    import torch

    family, rows = model.config.model_type, model.get_input_embeddings().num_embeddings
    ids = torch.arange(N_TOKENS, device=model.device)[None] * 7 % min(rows, 997)
    try:
        with torch.inference_mode():
            return forward(ids)
    except InputError as error:
        raise InputError(source, f"{family}: {error.field}", error.value, error.expected) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(source, f"{family}: a plain forward", in_short(error), DECODER) from error


def _hooked(model: Any, ids: Any) -> dict[int, Any]:
    with capture_blocks(model, range(len(block_list(model)))) as run:
        return run(input_ids=ids, use_cache=False)


def _gap(found: Any, right: Any) -> float:
    """Largest difference over the largest number; infinite for another shape or what is no number."""
    if found.shape != right.shape:
        return float("inf")
    gap = float((found - right).abs().max() / right.abs().max().clamp_min(1e-30))
    return gap if gap == gap else float("inf")
