"""Weights that fit nowhere: evidence of another model is refused by its names, what is harmless is let pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem
from ta_resources.language_model.resource import LanguageModelResource

Tensors = dict[str, torch.Tensor]


def change(folder: Path, edit: Callable[[Tensors], Tensors], **keys: Any) -> None:
    path, config = folder / "model.safetensors", folder / "config.json"
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})
    config.write_text(json.dumps(json.loads(config.read_text()) | keys))


def vectors(folder: Path, trace: Any, layer: Any = 2) -> np.ndarray:
    spec = ExtractionSpec(language_model=str(folder), layer=layer, storage_dtype="float32")
    with LanguageModelResource(device="cpu").open(spec) as extractor:
        (found,) = extractor.extract([trace()], log=lambda _: None)
    assert isinstance(found, PooledProblem)
    return found.vectors


def named(**tensors: torch.Tensor) -> Callable[[Tensors], Tensors]:
    """Adds tensors; two underscores are a dot."""
    return lambda old: {**old, **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}


def scaled(old: Tensors) -> Tensors:
    """8-bit weights with their scales beside them."""
    made: Tensors = {}
    for name, value in old.items():
        if name.endswith("proj.weight"):
            scale = value.abs().max() / 440
            made[name] = (value / scale).to(torch.float8_e4m3fn)
            made[f"{name}_scale_inv"] = scale.reshape(1, 1).float()
        else:
            made[name] = value
    return made


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (named(model__layers__0__self_attn__q_proj__bias=torch.ones(32)), "q_proj.bias"),
        (named(model__layers__2__mlp__extra__weight=torch.ones(2, 2)), "mlp.extra"),
        (named(model__embed_norm__weight=torch.ones(32)), "embed_norm"),
        (named(model__layers__1__self_attn__bias=torch.ones(32)), "self_attn.bias"),
        (named(model__layers__5__mlp__up_proj__weight=torch.ones(64, 32)), "layers.5"),
        (named(model__layers__0__attn__bias=torch.ones(1, 32)), "attn.bias"),
        (named(model__layers__0__self_attn__q_proj__SCB=torch.ones(32)), "q_proj.SCB"),
        (named(model__layers__0__self_attn__q_proj__lora_A__weight=torch.ones(4, 32)), "lora_A"),
        (scaled, "weight_scale_inv"),
    ],
)
def test_a_tensor_that_the_architecture_has_no_place_for_is_refused_by_its_name(copied_model, trace, edit, name):
    change(copied_model, edit)
    with pytest.raises(InputError, match=rf"tensors without a place, such as .*{name}"):
        vectors(copied_model, trace)


@pytest.mark.parametrize("layer", [1, "mid", "all"])
@pytest.mark.parametrize(
    ("edit", "keys"),
    [
        (lambda old: old, {}),
        (named(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(4)), {}),
        (named(score__weight=torch.ones(1, 32)), {}),
        (named(model__layers__0__self_attn__bias=torch.ones(1, 1, 8, 8)), {}),
        (named(model__layers__0__attention__masked_bias=torch.tensor(-1e9)), {}),
        (named(model__layers__0__attention__masked_bias=torch.tensor([-1e9])), {}),
        (named(transformer__rotary__inv_freq=torch.ones(4)), {}),
        (named(model__embed_positions__weights=torch.ones(9, 32)), {}),
        (named(value_head__0__weight=torch.ones(1, 32), reward_head__bias=torch.ones(1)), {}),
        (named(mtp_layers__0__mlp__weight=torch.ones(2, 2)), {}),
        (named(mtp__layers__0__mlp__weight=torch.ones(2, 2)), {}),
        (named(model__layers__5__eh_proj__weight=torch.ones(2, 2)), {"num_nextn_predict_layers": 1}),
    ],
)
def test_old_buffers_heads_predictions_and_upper_blocks_raise_no_alarm(
    saved_model, copied_model, trace, edit, keys, layer
):
    change(copied_model, edit, **keys)
    spec = ExtractionSpec(language_model=str(copied_model), layer=layer, storage_dtype="float32")
    plain = ExtractionSpec(language_model=str(saved_model("llama")), layer=layer, storage_dtype="float32")
    found = []
    for one in (spec, plain):
        with LanguageModelResource(device="cpu").open(one) as extractor:
            pooled = list(extractor.extract([trace()], log=lambda _: None))
            found.append([one.vectors for one in pooled if isinstance(one, PooledProblem)])
    assert len(found[0]) > 0
    np.testing.assert_array_equal(*found)


def test_a_tied_model_of_which_only_the_head_is_stored_is_read(copied_model, trace):
    change(copied_model, lambda old: {**old, "lm_head.weight": old["model.embed_tokens.weight"].clone()})
    right = vectors(copied_model, trace)
    headless = "model.embed_tokens.weight"
    change(copied_model, lambda old: {k: v for k, v in old.items() if k != headless}, tie_word_embeddings=True)
    np.testing.assert_array_equal(vectors(copied_model, trace), right)
    change(copied_model, lambda old: old, tie_word_embeddings=False)
    with pytest.raises(InputError, match=r"embed_tokens.*weights for every tensor"):
        vectors(copied_model, trace)


def test_eight_bit_weights_with_their_configuration_are_undone(copied_model, trace):
    right = vectors(copied_model, trace)
    eight = {"quant_method": "fp8", "weight_block_size": [64, 64], "activation_scheme": "dynamic"}
    change(copied_model, scaled, quantization_config=eight)
    found = vectors(copied_model, trace)
    assert np.abs(found - right).max() < 0.2 * np.abs(right).max()
    assert not np.array_equal(found, right)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "nobodys", None])
def test_another_quantization_is_refused_by_its_own_name(copied_model, trace, method):
    change(copied_model, lambda old: old, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(InputError, match=rf"quantization_config\.quant_method: found {method!r}"):
        vectors(copied_model, trace)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_of_few_bits_without_a_configuration_are_refused_also_where_they_hold_no_scale(
    copied_model, trace, dtype
):
    narrow = "model.layers.1.mlp.up_proj.weight"
    change(copied_model, lambda old: {**old, narrow: (old[narrow] * 9).to(dtype)})
    with pytest.raises(InputError, match=rf"1 weights such as {narrow} \(.*\)', expected weights of F64"):
        vectors(copied_model, trace)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_plain_numbers_are_read(copied_model, trace, dtype):
    narrow, right = "model.layers.1.mlp.up_proj.weight", vectors(copied_model, trace)
    change(copied_model, lambda old: {**old, narrow: old[narrow].to(dtype)})
    assert np.abs(vectors(copied_model, trace) - right).max() < 0.05 * np.abs(right).max()


def test_upper_blocks_and_heads_of_few_bits_raise_no_alarm(copied_model, trace):
    right = vectors(copied_model, trace)
    upper = ("model.layers.4.mlp.up_proj.weight", "lm_head.weight")
    change(copied_model, lambda old: {**old, **{name: old[name].to(torch.int8) for name in upper if name in old}})
    np.testing.assert_array_equal(vectors(copied_model, trace), right)
