"""Attention weights of one block while a fast kernel computes the text: against transformers' own eager weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec, VerticalAttention
from ta_assets.core.traces.vertical_attention import full_scores, light_scores, masses
from ta_assets.core.values import PooledProblem, VerticalScores, Wanted
from ta_resources.language_model.attention_rows import AttentionRows, require_readable
from ta_resources.language_model.capture import block_list
from ta_resources.language_model.resource import LanguageModelResource

BLOCK = 2


def with_biases(model: Any) -> Any:
    """A new model's biases are zero, which would hide that they were left out."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return model.eval()


def load(folder, implementation: str) -> Any:
    return with_biases(
        transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation=implementation)
    )


def eager_weights(folder, tokens: torch.Tensor) -> torch.Tensor:
    """[n_tokens, n_tokens] mean over heads."""
    with torch.no_grad():
        return load(folder, "eager")(tokens, output_attentions=True).attentions[BLOCK][0].mean(dim=0)


def rows(model: Any, tokens: torch.Tensor, first_query: int, size: int) -> torch.Tensor:
    cache = transformers.DynamicCache(config=model.config)
    with torch.no_grad(), AttentionRows(model, BLOCK, first_query) as attention:
        for piece in tokens.split(size, dim=1):
            model(piece, past_key_values=cache, use_cache=True)
    found = list(attention.weights())
    assert [first for first, _ in found] == list(range(first_query, tokens.shape[1], 32))
    return torch.cat([weights for _, weights in found])


@pytest.mark.parametrize("size", [200, 16], ids=["whole", "pieces"])
@pytest.mark.parametrize("first_query", [0, 70, 99])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_rows_equal_eager_attention(saved_model, family, first_query, size):
    tokens = torch.randint(3, 290, (1, 100), generator=torch.Generator().manual_seed(1))
    expected = eager_weights(saved_model(family), tokens)
    assert expected.max() > 0.2  # far from the same weight for all
    model = load(saved_model(family), "sdpa")
    found = rows(model, tokens, first_query, size)
    torch.testing.assert_close(found, expected[first_query:], atol=1e-4, rtol=0)
    assert not any(module._forward_pre_hooks for module in model.modules())


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.numel())
        return made


def test_memory_of_light_mode_grows_with_the_length_and_not_with_its_square(saved_model):
    model, largest = load(saved_model("llama"), "sdpa"), {}
    for n_tokens in (128, 256):
        with torch.no_grad(), Largest() as mode:
            with AttentionRows(model, BLOCK, n_tokens - 8) as attention:
                model(torch.full((1, n_tokens), 5), use_cache=False)
            list(attention.weights())
        largest[n_tokens] = mode.numbers
    assert largest[256] <= 2 * largest[128] < 256 * 256


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "opt"])
def test_a_model_whose_attention_is_another_is_refused_when_it_is_opened(saved_model, family):
    spec = ExtractionSpec(language_model=str(saved_model(family)), vertical_attention=VerticalAttention(mode="light"))
    with pytest.raises(InputError, match="vertical_attention"), LanguageModelResource(device="cpu").open(spec):
        pass


def test_a_block_with_a_window_or_without_its_projections_is_refused(saved_model):
    model = load(saved_model("qwen2"), "sdpa")
    require_readable(model, BLOCK, "model")
    model.layers[1].self_attn.sliding_window = 64
    with pytest.raises(InputError, match="sliding window"):
        require_readable(model, 1, "model")
    del model.layers[2].self_attn.k_proj
    with pytest.raises(InputError, match="without k_proj"):
        require_readable(model, 2, "model")


def expected_scores(folder, pooled: PooledProblem, ids: np.ndarray, options: VerticalAttention) -> np.ndarray:
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        weights = model(torch.from_numpy(ids)[None], output_attentions=True).attentions[BLOCK][0].mean(dim=0)
    if options.mode == "full" and len(ids) <= options.max_full_length:
        return full_scores(masses(weights, pooled.token_spans), pooled.token_spans, options.depth_control)
    positions = np.arange(len(ids) - options.last_tokens, len(ids))
    return light_scores(
        masses(weights[positions], pooled.token_spans), positions, pooled.token_spans, options.depth_control
    )


@pytest.mark.parametrize(
    ("options", "mode_used"),
    [
        (VerticalAttention(mode="light"), "light"),
        (VerticalAttention(mode="light", last_tokens=40, depth_control=False), "light"),
        (VerticalAttention(mode="full"), "full"),
        (VerticalAttention(mode="full", max_full_length=20, last_tokens=8), "light_fallback"),
    ],
)
@pytest.mark.parametrize("size", [16384, 16], ids=["whole", "pieces"])
def test_scores_come_with_the_vectors_of_any_blocks(saved_model, trace, options, mode_used, size):
    folder, calls = saved_model("qwen2"), []
    spec = ExtractionSpec(language_model=str(folder), layer=("mid", 0), vertical_attention=options)
    with LanguageModelResource(device="cpu", tokens_per_forward=size).open(spec) as extractor:
        model: Any = extractor._loaded and extractor._loaded.model
        block_list(model)[0].register_forward_pre_hook(lambda *_: calls.append(1))
        results: list[Any] = list(extractor.extract([trace(n_sentences=6)], log=lambda _: None))
        ids = extractor.tokenizer.encode(results[0].text)[0]
        alone: list[Any] = list(
            extractor.extract([trace(n_sentences=6)], log=lambda _: None, wanted={1: Wanted((0,), vertical=True)})
        )
    first, second, scores = results
    assert [first.block, second.block] == [2, 0]
    assert isinstance(scores, VerticalScores)
    assert (scores.problem_id, scores.mode_used) == (1, mode_used)
    np.testing.assert_allclose(scores.scores, expected_scores(folder, first, ids, options), atol=1e-4)
    assert scores.scores[:-1].min() > 0
    assert len(calls) == 2 * -(-len(ids) // size)
    # also when the primary block's vectors are not wanted, and lies deeper than what is
    assert [one.block for one in alone[:-1]] == [0]
    np.testing.assert_array_equal(alone[-1].scores, scores.scores)
