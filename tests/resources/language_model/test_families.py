"""Families whose blocks depend on what lies above them, or whose past is no key-value cache: whole, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem, Skip
from ta_resources.language_model import extractor as extractor_module
from ta_resources.language_model.checkpoint.families import CUT, PIECES, TEXT_PARTS, is_cut, is_read_in_pieces
from ta_resources.language_model.resource import LanguageModelResource

HEADS: dict[str, Any] = {"intermediate_size": 64, "num_attention_heads": 4}
BASE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "pad_token_id": 0,
    "bos_token_id": 1,
}
FAMILIES: dict[str, Callable[[], Any]] = {
    "minicpm3": lambda: transformers.MiniCPM3Config(
        **BASE, **HEADS, kv_lora_rank=16, q_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8
    ),
    "mamba": lambda: transformers.MambaConfig(**BASE, state_size=8, expand=2),
    "gemma": lambda: transformers.GemmaConfig(**BASE, **HEADS, num_key_value_heads=2, head_dim=8),
    "mixtral": lambda: transformers.MixtralConfig(**BASE, **HEADS, num_key_value_heads=2, num_local_experts=4),
    "mistral": lambda: transformers.MistralConfig(**BASE, **HEADS, num_key_value_heads=2),
}


@pytest.fixture
def made(saved_model: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """(family, **changes) -> folder of a tiny random model with the tokenizer of the others."""

    def make(family: str, **changes: Any) -> Path:
        folder = tmp_path / family
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]())
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.data *= 5
        model.save_pretrained(folder)
        shutil.copy(saved_model("llama") / "tokenizer.json", folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))
        return folder

    return make


def extract(folder: Path, traces: list[Any], size: int = 16384, **settings: Any) -> list[Any]:
    spec = ExtractionSpec(language_model=str(folder), storage_dtype="float32", **settings)
    with LanguageModelResource(device="cpu", tokens_per_forward=size).open(spec) as opened:
        return list(opened.extract(traces, log=lambda _: None))


def test_a_family_whose_blocks_know_their_number_is_loaded_whole_and_right(made, plain_states, plain_means, trace):
    folder, (problem_id, text, sentences) = made("minicpm3"), trace(n_sentences=7)
    states, offsets = plain_states(folder, text)
    found = extract(folder, [(problem_id, text, sentences)], layer=(1, "mid"))
    for one in found:
        expected = plain_means(states[one.block + 1], offsets, text, sentences)
        np.testing.assert_allclose(one.vectors, expected, rtol=1e-4, atol=1e-4)
    both = extract(folder, [(problem_id, text, sentences)], layer="all")
    mid = next(one for one in both if one.block == 3)
    np.testing.assert_allclose(found[1].vectors, mid.vectors, rtol=1e-5, atol=1e-5)


def test_cutting_such_a_family_would_give_another_model(made, trace, monkeypatch: pytest.MonkeyPatch):
    folder, traces = made("minicpm3"), [trace(n_sentences=7)]
    (right,) = extract(folder, traces)
    monkeypatch.setattr("ta_resources.language_model.checkpoint.families.CUT", CUT | {"minicpm3"})
    (wrong,) = extract(folder, traces)
    assert np.abs(right.vectors - wrong.vectors).max() > 0.05 * np.abs(right.vectors).max()


def test_a_recurrent_family_is_read_whole_also_where_the_text_is_long(made, trace):
    traces = [trace(n_sentences=7)]
    (whole,), (long,) = (extract(made("mamba"), traces, size) for size in (16384, 16))
    assert whole.n_tokens > 48
    np.testing.assert_array_equal(whole.vectors, long.vectors)


@pytest.mark.parametrize(("family", "n_tried"), [("mamba", 1), ("gemma", 3)])
def test_only_a_family_that_is_read_in_pieces_is_tried_in_smaller_ones(
    made, trace, monkeypatch: pytest.MonkeyPatch, family: str, n_tried: int
):
    tried = []

    def full(_loaded: Any, _job: Any, size: int) -> Any:
        tried.append(size)
        raise MemoryError("not enough memory")

    monkeypatch.setattr(extractor_module, "read", full)
    (found,) = extract(made(family), [trace(n_sentences=3)], 64)
    assert isinstance(found, Skip)
    assert found.kind == "out_of_memory"
    assert len(tried) == n_tried
    assert ("is not read in pieces" in found.reason) == (n_tried == 1)


def test_a_decoder_that_looks_ahead_is_refused(made):
    folder = made("gemma")
    extract(folder, [])
    bidirectional = made("gemma", use_bidirectional_attention=True)
    with pytest.raises(InputError, match="later tokens change it"):
        extract(bidirectional, [])


def test_a_decoder_that_is_told_to_look_ahead_is_refused_whatever_its_family(made):
    with pytest.raises(InputError, match="later tokens change it"):
        extract(made("gemma", is_causal=False), [])
    extract(made("gemma", is_causal=True), [])


def test_a_configuration_that_loads_and_does_not_compute_is_refused_before_a_corpus_is_begun(made):
    extract(made("mixtral"), [])
    with pytest.raises(InputError, match=r"mixtral: a plain forward: found 'RuntimeError: selected index k out of"):
        extract(made("mixtral", num_experts_per_tok=9), [])


def test_what_a_family_raises_of_a_long_text_names_the_text(made, trace):
    folder, traces = made("mistral", sliding_window=0), [trace(n_sentences=7)]
    with pytest.raises(
        InputError, match=r"family mistral: a forward of \d+ tokens in pieces of 32: found 'RuntimeError"
    ):
        extract(folder, traces, 32)
    (found,) = extract(made("mistral", sliding_window=8), traces, 32)
    assert isinstance(found, PooledProblem)


def test_what_is_proven_of_a_family_holds_for_the_options_it_was_proven_with():
    assert PIECES < CUT
    assert not CUT & {"minicpm3", "gemma3n_text", "gemma4_text", "gpt_neox_japanese"}
    assert not PIECES & {"mamba", "mamba2", "jamba", "bamba", "granitemoehybrid", "recurrent_gemma"}
    plain = transformers.Qwen2Config()
    assert is_cut(plain)
    assert is_read_in_pieces(plain)
    scaled = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert not is_read_in_pieces(transformers.Qwen2Config(rope_parameters=scaled))


def test_blocks_that_give_no_single_stream_are_refused_by_their_shape(saved_model, tmp_path: Path):
    config = transformers.Gemma3nTextConfig(
        **BASE, **HEADS, num_key_value_heads=2, head_dim=8, num_kv_shared_layers=2, hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=300, laurel_rank=4, activation_sparsity_pattern=[0.0] * 6,
        layer_types=["sliding_attention", "full_attention"] * 3, sliding_window=16,
    )  # fmt: skip
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    shutil.copy(saved_model("llama") / "tokenizer.json", tmp_path)
    for layer in (3, "all"):
        with pytest.raises(InputError, match=r"output of block 0: found \[4, 1, 24, 32\], expected one stream"):
            extract(tmp_path, [], layer=layer)


@pytest.fixture
def with_images(saved_model: Callable[[str], Path], tmp_path: Path) -> Path:
    """A Llava around a tiny Llama."""
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = transformers.LlamaConfig(**BASE, **HEADS, num_key_value_heads=2)
    config = transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=299)
    torch.manual_seed(2)
    transformers.AutoModelForImageTextToText.from_config(config).save_pretrained(tmp_path)
    shutil.copy(saved_model("llama") / "tokenizer.json", tmp_path)
    return tmp_path


def test_the_text_part_of_a_model_with_images_is_read_as_the_whole_model_reads_text(
    with_images: Path, plain_means, trace
):
    problem_id, text, sentences = trace(n_sentences=5)
    (found,) = extract(with_images, [(problem_id, text, sentences)])
    assert isinstance(found, PooledProblem)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(with_images / "tokenizer.json"))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, padding=False)
    whole = transformers.AutoModelForImageTextToText.from_pretrained(with_images, dtype=torch.float32).eval()
    with torch.no_grad():
        states = whole(input_ids=torch.tensor([encoded["input_ids"]]), output_hidden_states=True).hidden_states
    expected = plain_means(states[found.block + 1][0], encoded["offset_mapping"], text, sentences)
    np.testing.assert_allclose(found.vectors, expected, rtol=1e-4, atol=1e-4)


def test_a_text_part_that_nobody_has_proven_is_refused_by_its_name(with_images: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ta_resources.language_model.checkpoint.loading.TEXT_PARTS", TEXT_PARTS - {"llava"})
    with pytest.raises(InputError, match=r"config\.json: text_config: found 'llava'"):
        extract(with_images, [])


def test_an_encoder_with_a_decoder_is_refused_by_its_name(copied_model: Path):
    (copied_model / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    with pytest.raises(InputError, match="is_encoder_decoder: found True, expected a decoder alone"):
        extract(copied_model, [])
