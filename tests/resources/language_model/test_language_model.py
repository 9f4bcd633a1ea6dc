"""The resource: parity with transformers, what is loaded and freed, what is refused, what is left unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from contextlib import suppress
from logging import INFO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.utils import logging

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem
from ta_resources.language_model.resource import LanguageModelResource

RESOURCE = LanguageModelResource(device="cpu")
REPOSITORY = Path(__file__).resolve().parents[3]


def spec(folder, **settings):
    options: dict[str, Any] = {"storage_dtype": "float32"} | settings
    return ExtractionSpec(language_model=str(folder), **options)


def model_of(extractor) -> Any:
    return extractor._loaded.model


def extract(folder, traces, resource=RESOURCE, **settings) -> list[Any]:
    with resource.open(spec(folder, **settings)) as extractor:
        return list(extractor.extract(traces, log=lambda _: None))


@pytest.mark.parametrize("layer", [0, "mid", 3])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox", "gpt2", "opt"])
def test_vectors_equal_a_plain_forward_with_output_hidden_states(
    saved_model, plain_states, plain_means, trace, family, layer
):
    folder, (problem_id, text, sentences) = saved_model(family), trace(n_sentences=7)
    (pooled,) = extract(folder, [(problem_id, text, sentences)], layer=layer)
    states, offsets = plain_states(folder, text)
    block = 2 if layer == "mid" else layer
    expected = plain_means(states[block + 1], offsets, text, sentences)
    assert isinstance(pooled, PooledProblem)
    assert (pooled.problem_id, pooled.block, pooled.n_tokens, pooled.text) == (1, block, len(offsets), text)
    assert pooled.vectors.dtype == np.float32
    error = np.linalg.norm(pooled.vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-5


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_a_text_read_in_pieces_gives_the_same_vectors(saved_model, trace, family):
    traces = [trace(n_sentences=7)]
    (whole,) = extract(saved_model(family), traces)
    (pieces,) = extract(saved_model(family), traces, LanguageModelResource(device="cpu", tokens_per_forward=16))
    assert whole.n_tokens > 48
    np.testing.assert_allclose(pieces.vectors, whole.vectors, rtol=1e-5, atol=1e-5)


def test_stored_vectors_are_float16_when_asked_for(saved_model, trace):
    (half,), (full,) = (extract(saved_model("llama"), [trace()], storage_dtype=name) for name in ("float16", "float32"))
    assert half.vectors.dtype == np.float16
    np.testing.assert_array_equal(half.vectors, full.vectors.astype(np.float16))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_computes_nearly_the_same(saved_model, trace, dtype):
    (half,), (full,) = (extract(saved_model("llama"), [trace()], dtype=name) for name in (dtype, "float32"))
    error = np.linalg.norm(half.vectors - full.vectors) / np.linalg.norm(full.vectors)
    assert 0 < error < 0.05


def test_the_extractor_tells_what_was_loaded(saved_model):
    with RESOURCE.open(spec(saved_model("gpt2"))) as extractor:
        assert (extractor.block, extractor.n_blocks, extractor.d_model) == (2, 5, 32)
        assert (extractor.dtype, extractor.device_name, extractor.context_length) == ("float32", "cpu", 256)
        assert extractor.identity == RESOURCE.identity(spec(saved_model("gpt2")))


def test_the_context_is_the_smaller_of_the_limits_of_model_and_tokenizer(copied_model):
    (copied_model / "tokenizer_config.json").write_text('{"model_max_length": 100}')
    with RESOURCE.open(spec(copied_model)) as extractor:
        assert extractor.context_length == 100
    (copied_model / "tokenizer_config.json").unlink()
    with RESOURCE.open(spec(copied_model)) as extractor:
        assert extractor.context_length == 256


def test_blocks_above_the_wanted_one_and_the_head_are_not_held(saved_model):
    with RESOURCE.open(spec(saved_model("llama"), layer=1)) as extractor:
        model = model_of(extractor)
        assert len(model.layers) == 2
        assert not hasattr(model, "lm_head")
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not model.training


def test_weights_are_freed_on_exit_also_after_an_exception_and_the_extractor_says_so(saved_model, trace):
    kept: list[Any] = []
    for fault in (None, KeyError()):
        with suppress(KeyError), RESOURCE.open(spec(saved_model("llama"))) as extractor:
            list(extractor.extract([trace()], log=lambda _: None))
            kept += [extractor, weakref.ref(model_of(extractor))]
            if fault:
                raise fault
        assert kept[-1]() is None
        with pytest.raises(RuntimeError, match="closed"):
            next(kept[-2].extract([trace()], log=lambda _: None))


def test_no_global_switch_is_left_changed(saved_model, trace):
    def switches():
        return (
            logging.get_verbosity(),
            logging.is_progress_bar_enabled(),
            torch.backends.cuda.matmul.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
        )

    logging.enable_progress_bar()
    for verbosity in (INFO, logging.get_verbosity()):
        logging.set_verbosity(verbosity)
        before = switches()
        extract(saved_model("llama"), [trace()], dtype="bfloat16")
        assert switches() == before
    logging.disable_progress_bar()
    extract(saved_model("llama"), [trace()])
    assert not logging.is_progress_bar_enabled()
    logging.enable_progress_bar()


def test_the_tokenizer_alone_needs_neither_torch_nor_transformers(saved_model):
    code = (
        "import sys; from ta_assets.core.options import ExtractionSpec as Spec\n"
        "from ta_resources.language_model.resource import LanguageModelResource as Resource\n"
        f"spec = Spec({str(saved_model('llama'))!r}); tokenizer = Resource().tokenizer(spec)\n"
        "spans = tokenizer.token_spans('One adds. Two adds.', ['One adds.', 'Two adds.'])\n"
        "print(tokenizer.decode_spans('One adds. Two adds.', spans), Resource().identity(spec)['kind'])\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == ["['One adds.', 'Two adds.'] folder", "[]"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"layer": 5}, "extraction.layer"),
        ({"layer": "top"}, "extraction.layer"),
        ({"pooling": "max"}, "extraction.pooling"),
        ({"dtype": "int8"}, "extraction.dtype"),
        ({"storage_dtype": "bfloat16"}, "extraction.storage_dtype"),
    ],
)
def test_a_setting_that_is_not_there_is_refused(saved_model, settings, named):
    with pytest.raises(InputError, match=named), RESOURCE.open(spec(saved_model("llama"), **settings)):
        pass


def test_an_architecture_that_transformers_does_not_know_is_refused(copied_model):
    (copied_model / "config.json").write_text('{"model_type": "nobodys"}')
    with pytest.raises(InputError, match="knows by itself"), RESOURCE.open(spec(copied_model)):
        pass


def test_weights_that_do_not_fill_the_model_are_refused(copied_model):
    config = json.loads((copied_model / "config.json").read_text())
    (copied_model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 12}))
    with pytest.raises(InputError, match="weights for every tensor"), RESOURCE.open(spec(copied_model, layer=6)):
        pass


@pytest.mark.real_model
def test_smollm2_gives_the_vectors_of_a_plain_forward_on_a_real_text(shared_folder, plain_states, plain_means):
    folder = os.environ.get("TA_SMOLLM2")
    if not folder or not (Path(folder) / "model.safetensors").is_file():
        pytest.skip("TA_SMOLLM2 names no folder with SmolLM2 (shared/tools/get_smollm2.py makes one)")
    (path, *_) = sorted((shared_folder / "data").rglob("problem_1591/base_solution.json"))
    text = json.loads(path.read_text(encoding="utf-8"))["full_cot"]
    chunks = json.loads((path.parent / "chunks_labeled.json").read_text(encoding="utf-8"))
    sentences = [chunk["chunk"] for chunk in chunks][:15]
    text = text[: text.index(sentences[-1]) + len(sentences[-1])]
    (pooled,) = extract(folder, [(1591, text, sentences)])
    states, offsets = plain_states(Path(folder), text)
    assert (pooled.block, pooled.vectors.shape) == (15, (15, 576))
    assert 300 < pooled.n_tokens < 900
    expected = plain_means(states[16], offsets, text, sentences)
    error = np.linalg.norm(pooled.vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-5
