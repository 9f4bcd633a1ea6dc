"""Reading the residual stream of chosen blocks while a language model runs, and no further than needed.

Belongs here: where an architecture keeps its blocks, which block a study means, the hooks. Stays out: loading,
tokenizing, pooling. torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

from ta_assets.core.errors import InputError

Layer = str | int | float
BLOCK_LISTS = ("layers", "h", "blocks", "decoder.layers")
"""Seen from the base model. In the words of the whole one: model.layers (Llama, Qwen2), gpt_neox.layers, transformer.h
(GPT-2), transformer.blocks (MPT), model.decoder.layers (OPT)."""

OUTPUT = "one stream [batch, n_tokens, d_model]"


class _DeepestBlockDone(Exception):  # noqa: N818 - a signal between a hook and its manager, not a fault
    """Raised by the deepest hook: what follows in the forward would be thrown away."""


def block_list(model: Any) -> Any:
    """The ``ModuleList`` of the model's blocks, with or without a language-modelling head on top.

    Raises:
        InputError: an architecture that keeps its blocks elsewhere.
    """
    import torch

    base = model.base_model
    for path in BLOCK_LISTS:
        found: Any = base
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, torch.nn.ModuleList):
            return found
    children = [name for name, _ in base.named_children()]
    raise InputError(type(model).__name__, "blocks", children, "a decoder with a list " + ", ".join(BLOCK_LISTS))


def resolve_blocks(layer: Layer | Sequence[Layer], n_blocks: int, source: str) -> tuple[int, ...]:
    """0-based indices of the blocks that ``layer`` means, the primary one first, each once.

    The primary block is the first one named. ``all`` names none: its primary block is the middle one, so that a study
    that asks for all blocks gives the scores that it gave for ``mid``, and the others follow in order.

    Raises:
        InputError: no block, or as ``resolve_block``.
    """
    if layer == "all":
        wanted: Sequence[Layer] = ["mid", *range(n_blocks)]
    else:
        wanted = [layer] if isinstance(layer, (str, int, float)) else layer
    if not wanted:
        raise InputError(source, "extraction.layer", list(wanted), "at least one block")
    return tuple(dict.fromkeys(resolve_block(one, n_blocks, source) for one in wanted))


def resolve_block(layer: Layer, n_blocks: int, source: str) -> int:
    """0-based index of the block that ``layer`` means: ``mid`` is n_blocks // 2 (16 of 32, 24 of 48).

    A fraction f of the depth is block floor(f * n_blocks) for the decimal number that was written: 0.58 of 50 is
    block 29, although the binary number next to 0.58 is smaller.

    Raises:
        InputError: another word, an index outside [0, n_blocks), or a fraction outside (0, 1).
    """
    if isinstance(layer, float) and 0 < layer < 1:
        return int(Fraction(str(layer)) * n_blocks)
    if layer == "mid":
        return n_blocks // 2
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < n_blocks:
        expected = f"mid, a block index from 0 to {n_blocks - 1}, or a fraction of the depth in (0, 1)"
        raise InputError(source, "extraction.layer", layer, expected)
    return layer


@contextmanager
def capture_blocks(
    model: Any, blocks: Sequence[int], keep: Callable[[int, Any], Any] = lambda _, hidden: hidden
) -> Iterator[Callable[..., dict[int, Any]]]:
    """Hook the blocks; yields ``run(**inputs)``, which returns ``{block: [batch, n_tokens, d_model] tensor}``.

    ``keep(block, tensor)`` is called within the forward and says what is kept of a block instead of the tensor, so that
    many blocks need not lie in memory at once.

    The output of block k is the residual stream after it: ``hidden_states[k + 1]`` of transformers' own
    ``output_hidden_states=True``, except for the last block, where transformers replaces that entry by the output of
    the final norm, and this manager gives the stream before the norm.

    The forward ends inside the deepest hook, so neither the blocks above it, nor the final norm, nor a head are
    computed; that holds for any architecture, because nothing of the model is changed but the hooks. That upper
    blocks are not *held* is the loader's part, which never creates them. Every handle is removed on the way out,
    whatever happened.

    Raises:
        InputError: no block list is found, a block is out of range, or (while it runs) gives no residual stream.
    """
    modules = block_list(model)
    wanted = sorted({resolve_block(block, len(modules), type(model).__name__) for block in blocks})
    if not wanted:
        raise InputError(type(model).__name__, "blocks", list(blocks), "at least one block")
    outputs: dict[int, Any] = {}

    def hook(block: int) -> Callable[..., None]:
        def done(_module: Any, _inputs: Any, output: Any) -> None:
            # Some architectures return (hidden, cache, ...), others the tensor alone.
            hidden = output[0] if isinstance(output, (tuple, list)) else output
            shape = getattr(hidden, "shape", None)
            if shape is None or len(shape) != 3:
                found = type(hidden).__name__ if shape is None else list(shape)
                raise InputError(type(model).__name__, f"output of block {block}", found, OUTPUT)
            outputs[block] = keep(block, hidden)
            if block == wanted[-1]:
                raise _DeepestBlockDone

        return done

    def run(**inputs: Any) -> dict[int, Any]:
        outputs.clear()
        with suppress(_DeepestBlockDone):
            model(**inputs)
        found = dict(outputs)
        outputs.clear()
        return found

    handles = []
    try:
        for block in wanted:
            handles.append(modules[block].register_forward_hook(hook(block)))
        yield run
    finally:
        for handle in handles:
            handle.remove()
        outputs.clear()
