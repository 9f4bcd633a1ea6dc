"""What the files of a model hold beside the tensors that its architecture has: harmless, or evidence of another model.

Belongs here: judging names. Stays out: reading weights (``loading.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ta_assets.core.errors import InputError

HEADS = re.compile(
    r"^(model\.)?(\w+_heads?|heads?|embed_out|score|classifier|qa_outputs|summary|cls|mtp(_\w+)?|output_projection"
    r"|lm_predictions|lm_loss|pred_layer)\.|^decoder\.(weight|bias)$"
)
"""Of language models, classifiers, reward models and predictions of later tokens: nothing below them reads them."""
CACHED = re.compile(
    r"(^|\.)((original_)?inv_freq|cos_cached|sin_cached|position_ids|embed_positions\.weights|freqs_cis|alibi)$"
)
"""Tables that older versions of transformers stored and newer ones compute."""
MASK = re.compile(r"(^|\.)(attn|attention|self_attn|self_attention)\.(bias|causal_mask)$|\.masked_bias$")
"""Masks of old attention, and what they were filled with; a bias of the same name has one dimension and more than one
number, a mask has four."""
WIDE = ("F64", "F32", "F16", "BF16")
"""Numbers that stand for themselves. Others are weights over a scale, and which one is for a configuration to say."""
BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")


def names_and_shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in safetensors files, from their headers alone."""
    from safetensors import safe_open

    found = {}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    found[name] = tuple(opened.get_slice(name).get_shape())
    return found


def narrow_weights(files: Iterable[Path], allowed: Iterable[str] = ()) -> dict[str, str]:
    """Name -> dtype, as safetensors calls it, of every weight that is not of ``WIDE`` or ``allowed`` numbers.

    What is called otherwise may be a table of numbers of tokens or of places.
    """
    from safetensors import safe_open

    found = {}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    if name.endswith("weight") and (dtype := opened.get_slice(name).get_dtype()) not in {
                        *WIDE,
                        *allowed,
                    }:
                        found[name] = dtype
    return found


def foreign(
    unexpected: Iterable[str], shapes: Mapping[str, tuple[int, ...]], n_loaded: int, n_blocks: int, extra: int
) -> list[str]:
    """Those of the tensors without a place that belong to what is computed, sorted.

    Args:
        unexpected: names that the loaded architecture has no place for.
        shapes: of every tensor of the files.
        n_loaded: blocks that are loaded.
        n_blocks: blocks of the whole model.
        extra: blocks that predict later tokens and are stored behind the others.
    """
    return sorted(name for name in unexpected if not _harmless(name, shapes, range(n_loaded, n_blocks + extra)))


def _harmless(name: str, shapes: Mapping[str, tuple[int, ...]], upper: range) -> bool:
    if HEADS.search(name) or CACHED.search(name):
        return True
    if MASK.search(name):
        known = [shape for full, shape in shapes.items() if full == name or full.endswith(f".{name}")]
        return bool(known) and all(len(shape) == 4 or shape in ((), (1,)) for shape in known)
    block = BLOCK.search(name)
    return block is not None and int(block.group(1)) in upper


def require_fitting(
    source: str,
    file: str,
    report: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    blocks: tuple[int, int, int],
) -> None:
    """Refuse weights that do not fill the architecture, or that it has no place for.

    Args:
        source: the model, for the error.
        file: the first file of weights, for the error.
        report: transformers' own: missing_keys, mismatched_keys, unexpected_keys.
        shapes: of every tensor of the files.
        blocks: as ``foreign`` takes them: loaded, of the whole model, extra ones.

    Raises:
        InputError: with the names of at most five tensors.
    """
    absent = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if absent:
        raise InputError(source, file, absent[:5], "weights for every tensor of the architecture")
    left = foreign(report["unexpected_keys"], shapes, *blocks)
    if left:
        found = f"{len(left)} tensors without a place, such as {', '.join(left[:5])}"
        expected = "no weights but those of the architecture that config.json describes"
        raise InputError(source, file, found, expected)


def require_wide(
    source: str,
    file: str,
    narrow: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    blocks: tuple[int, int, int],
) -> None:
    """Refuse weights of a few bits that no configuration says how to read: as plain numbers they are another model.

    Args:
        source: the model, for the error.
        file: the first file of weights, for the error.
        narrow: as ``narrow_weights`` gives it.
        shapes: of every tensor of the files.
        blocks: as ``foreign`` takes them: loaded, of the whole model, extra ones.

    Raises:
        InputError: with the names of at most five tensors.
    """
    left = foreign(narrow, shapes, *blocks)
    if left:
        found = f"{len(left)} weights such as {', '.join(f'{name} ({narrow[name]})' for name in left[:5])}"
        expected = f"weights of {', '.join(WIDE)}, or a quantization_config in config.json that says how they are read"
        raise InputError(source, file, found, expected)
