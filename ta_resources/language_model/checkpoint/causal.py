"""From judged files to a whole causal language model, head included, that can write text.

Belongs here: loading with the checks of ``loading``, the tokens that end a text. Stays out: sampling
(``ta_resources.engines``). torch and transformers are imported inside functions, so that the graph loads without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ta_assets.core.errors import InputError, in_short
from ta_resources.language_model.checkpoint.loading import (
    EIGHT_BITS,
    KNOWN_DECODER,
    configuration,
    quiet_transformers,
    shapes_of,
)
from ta_resources.language_model.checkpoint.model_folder import CONFIG, ModelFolder, loadable, read_json, weight_files
from ta_resources.language_model.checkpoint.tensors import narrow_weights, require_fitting, require_wide
from ta_resources.language_model.devices import is_out_of_memory

if TYPE_CHECKING:
    import torch

GENERATION = "generation_config.json"
END = "eos_token_id"


def load_causal_model(folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> tuple[Any, list[int]]:
    """The model in eval mode on its device, and the ids of the tokens that end a text.

    Safetensors only, no code of the model's author, every tensor of the architecture filled.

    Raises:
        InputError: an unknown architecture, one that is no decoder of text alone, weights that do not fill it or that
            it has no place for, or end tokens that are no ids.
    """
    from transformers import AutoModelForCausalLM

    weights = weight_files(folder)
    with loadable(folder, weights) as path:
        config, is_part, is_undone = configuration(folder.source, path)
        if is_part:
            raise InputError(folder.source, CONFIG, config.model_type, "a model of text alone, to sample from it")
        try:
            with quiet_transformers():
                model, report = AutoModelForCausalLM.from_pretrained(
                    path,
                    config=config,
                    dtype=dtype,
                    trust_remote_code=False,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # reported, and refused below with the names of the tensors
                )
        except Exception as error:  # what a configuration asks for is built by code of each architecture
            if is_out_of_memory(error):
                raise
            raise InputError(folder.source, CONFIG, in_short(error), KNOWN_DECODER) from error
    shapes = shapes_of(folder.source, weights)
    blocks = (
        config.num_hidden_layers,
        config.num_hidden_layers,
        getattr(config, "num_nextn_predict_layers", None) or 0,
    )
    require_fitting(folder.source, weights[0].name, report, shapes, blocks)
    require_wide(
        folder.source, weights[0].name, narrow_weights(weights, EIGHT_BITS if is_undone else ()), shapes, blocks
    )
    return model.eval().requires_grad_(False).to(device), end_tokens(folder)


def end_tokens(folder: ModelFolder) -> list[int]:
    """Ids of the tokens that end a text: ``eos_token_id`` of the generation's configuration, else of the model's.

    Returns:
        Sorted; empty where neither names one.

    Raises:
        InputError: something else than an id or a list of them.
    """
    for name in (GENERATION, CONFIG):
        named = read_json(folder, name).get(END)
        if named is None:
            continue
        found = named if isinstance(named, list) else [named]
        if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in found):
            raise InputError(folder.source, f"{name}: {END}", named, "an id of a token, or a list of them")
        return sorted(set(found))
    return []
