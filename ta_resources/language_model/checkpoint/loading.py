"""From judged files to a model that computes the wanted blocks: cut where that is proven, whole otherwise, or refused.

Belongs here: which configuration is loaded, the names under which its tensors lie. Stays out: files
(``model_folder.py``), what is proven of a family (``families.py``), tensors without a place (``tensors.py``).
torch and transformers are imported inside functions, so that the graph loads without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ta_assets.core.errors import InputError, in_short
from ta_resources.language_model.capture import Layer, block_list, resolve_blocks
from ta_resources.language_model.checkpoint.families import TEXT_PARTS, is_cut
from ta_resources.language_model.checkpoint.model_folder import CONFIG, ModelFolder, loadable, weight_files
from ta_resources.language_model.checkpoint.parity import require_forward, require_parity
from ta_resources.language_model.checkpoint.tensors import (
    HEADS,
    names_and_shapes,
    narrow_weights,
    require_fitting,
    require_wide,
)
from ta_resources.language_model.devices import is_out_of_memory

if TYPE_CHECKING:
    import torch

UNDONE = ("fp8",)
"""Quantizations that transformers undoes with torch alone, while it loads: what computes then is ordinary weights."""
EIGHT_BITS = ("F8_E4M3",)
"""What they store weights in."""
KNOWN_DECODER = "a decoder that this version of transformers knows by itself"
TEXT_PREFIXES = ("language_model.model.", "model.language_model.", "language_model.", "model.text_model.", "model.")
"""Under which the text part of a model lies, the longest first: older versions, newer ones."""


@dataclass(frozen=True)
class _Files:
    """The files of one model while it is loaded."""

    source: str
    path: Path
    weights: list[Path]
    shapes: Mapping[str, tuple[int, ...]]


def load_base_model(
    folder: ModelFolder, layer: Layer | Sequence[Layer], device: torch.device, dtype: torch.dtype
) -> tuple[Any, tuple[int, ...], int]:
    """The base model (no head) in eval mode with the blocks that are needed for those that ``layer`` means.

    Of a family that is proven to be the same one without its upper blocks, those are never created: neither the host
    nor the device holds them, and their tensors are not read. Any other is loaded whole, and has to give the hidden
    states of a plain forward of itself (``require_parity``). Safetensors only, no code of the model's author, and no
    file but those of the identity, because transformers sees no other (``loadable``).

    Returns:
        The model, the blocks that ``layer`` means (the primary one first), and the number of blocks of the whole model.

    Raises:
        InputError: an unknown architecture, one that is no decoder, a layer out of range, weights that do not fill the
            model or that it has no place for, a quantization that is not undone here, or another model than it seems.
    """
    weights = weight_files(folder)
    with loadable(folder, weights) as path:
        config, is_part, is_undone = configuration(folder.source, path)
        n_blocks = _count(folder.source, config)
        blocks = resolve_blocks(layer, n_blocks, folder.source)
        cut = is_cut(config)
        if cut:
            config.num_hidden_layers = max(blocks) + 1
        files = _Files(folder.source, path, weights, shapes_of(folder.source, weights))
        model, report = _with_weights(files, config, dtype, is_part)
    n_loaded = config.num_hidden_layers if cut else n_blocks
    extra = getattr(config, "num_nextn_predict_layers", None) or 0
    counts = (n_loaded, n_blocks, extra)
    require_fitting(folder.source, weights[0].name, report, files.shapes, counts)
    narrow = narrow_weights(weights, EIGHT_BITS if is_undone else ())
    require_wide(folder.source, weights[0].name, narrow, files.shapes, counts)
    if len(block_list(model)) != n_loaded:
        expected = "an architecture whose blocks num_hidden_layers counts"
        raise InputError(folder.source, CONFIG, config.model_type, expected)
    model = model.eval().requires_grad_(False).to(device)
    if cut:
        require_forward(model, folder.source)
    else:
        require_parity(model, folder.source)
    return model, blocks, n_blocks


def configuration(source: str, path: Path) -> tuple[Any, bool, bool]:
    """The configuration of the text model at ``path``; whether it is part of a larger model; whether transformers will
    undo a quantization."""
    from transformers import AutoConfig

    try:
        whole: Any = AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)
        config = whole.get_text_config(decoder=True)
    except Exception as error:  # each architecture checks its configuration in its own way
        raise InputError(source, CONFIG, in_short(error), KNOWN_DECODER) from error
    if whole.is_encoder_decoder:
        raise InputError(source, f"{CONFIG}: is_encoder_decoder", True, "a decoder alone: one text, one stream")
    if config is not whole and whole.model_type not in TEXT_PARTS:
        expected = f"a model of text, or one whose text_config was proven to be read: {', '.join(sorted(TEXT_PARTS))}"
        raise InputError(source, f"{CONFIG}: text_config", whole.model_type, expected)
    undone = [_undo_quantization(source, one) for one in (whole, config)]
    return config, config is not whole, any(undone)


def _undo_quantization(source: str, config: Any) -> bool:
    """Let transformers give ordinary weights on every device alike; refuse what it cannot undo with torch alone."""
    quantization = getattr(config, "quantization_config", None)
    if not quantization:
        return False
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization.quant_method
    if method not in UNDONE or not isinstance(quantization, dict):
        expected = f"weights that are not quantized, or by {', '.join(UNDONE)}"
        raise InputError(source, f"{CONFIG}: quantization_config.quant_method", method, expected)
    quantization["dequantize"] = True
    return True


def _count(source: str, config: Any) -> int:
    """The number of blocks that a configuration names."""
    if not isinstance(getattr(config, "hidden_size", None), int):
        raise InputError(source, f"{CONFIG}: hidden_size", None, KNOWN_DECODER)
    count = getattr(config, "num_hidden_layers", None)
    if isinstance(count, bool) or not isinstance(count, int):
        raise InputError(source, f"{CONFIG}: num_hidden_layers", count, KNOWN_DECODER)
    if count < 1:
        raise InputError(source, f"{CONFIG}: num_hidden_layers", count, "at least one block")
    return count


def shapes_of(source: str, weights: list[Path]) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError

    try:
        return names_and_shapes(weights)
    except SafetensorError as error:
        raise InputError(source, weights[-1].name, in_short(error), "whole safetensors files") from error


def _with_weights(files: _Files, config: Any, dtype: torch.dtype, is_part: bool) -> tuple[Any, Mapping[str, Any]]:
    """The model that the configuration describes with its weights, and what transformers reports of them."""
    names = _text_names(files, config) if is_part else {}
    model, report = _read(files, config, dtype, names)
    head = next((name for name in files.shapes if HEADS.search(name) and name.endswith("lm_head.weight")), None)
    embedding = _embedding(files.source, model)
    if head and getattr(config, "tie_word_embeddings", False) and set(report["missing_keys"]) == {embedding}:
        # one matrix under two names, and only that of the head was stored
        return _read(files, config, dtype, {**names, f"^{re.escape(head)}$": embedding})
    if is_part:
        # what keeps its own name is no part of the text model: that one's tensors were all renamed
        inner = [name for name in report["unexpected_keys"] if name not in files.shapes]
        report = {**report, "unexpected_keys": inner}
    return model, report


def _text_names(files: _Files, config: Any) -> dict[str, str]:
    """How the tensors of the text part are called within it."""
    for prefix in TEXT_PREFIXES:
        if any(re.match(rf"{re.escape(prefix)}layers\.0\.", name) for name in files.shapes):
            return {f"^{re.escape(prefix)}": ""}
    found = sorted(files.shapes)[:3]
    raise InputError(files.source, files.weights[0].name, found, f"the text part of {config.model_type} with layers")


def _embedding(source: str, model: Any) -> str:
    """The name of the matrix that turns tokens into vectors."""
    try:
        wanted = model.get_input_embeddings()
    except NotImplementedError as error:
        raise InputError(source, CONFIG, model.config.model_type, KNOWN_DECODER) from error
    return next((f"{name}.weight" for name, module in model.named_modules() if module is wanted), "")


def _read(files: _Files, config: Any, dtype: torch.dtype, names: Mapping[str, str]) -> tuple[Any, Mapping[str, Any]]:
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with quiet_transformers():
            return AutoModel.from_pretrained(
                files.path,
                config=config,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported, and refused by the caller with the names of the tensors
                key_mapping=dict(names) or None,
            )
    except SafetensorError as error:
        raise InputError(files.source, files.weights[-1].name, in_short(error), "whole safetensors files") from error
    except Exception as error:  # what a configuration asks for is built by code of each architecture
        if is_out_of_memory(error):
            raise
        raise InputError(files.source, CONFIG, in_short(error), KNOWN_DECODER) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars (a raw stream of them can freeze Dagster's UI) and no report of the blocks that are left out."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
