"""Hooks: the right tensors, nothing above the deepest block, nothing left behind."""

from __future__ import annotations

import pytest
import torch
import transformers

from ta_assets.core.errors import InputError
from ta_resources.language_model.capture import block_list, capture_blocks, resolve_block

FAMILIES = ["llama", "qwen2", "gpt_neox", "gpt2", "opt"]
TOKENS = torch.arange(3, 40)[None]


@pytest.fixture
def model(saved_model):
    return transformers.AutoModelForCausalLM.from_pretrained(saved_model("llama")).eval()


def count_calls(blocks):
    calls = [0] * len(blocks)

    def counter(index):
        def count(*_):
            calls[index] += 1

        return count

    for index, block in enumerate(blocks):
        block.register_forward_pre_hook(counter(index))
    return calls


@pytest.mark.parametrize("headless", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_captured_streams_are_transformers_own_hidden_states(saved_model, family, headless):
    full = transformers.AutoModelForCausalLM.from_pretrained(saved_model(family)).eval()
    model = full.base_model if headless else full
    with torch.inference_mode():
        states = full(TOKENS, output_hidden_states=True).hidden_states
        with capture_blocks(model, [3, 0, 2]) as run:
            found = run(input_ids=TOKENS, use_cache=False)
    assert sorted(found) == [0, 2, 3]
    for block, stream in found.items():
        torch.testing.assert_close(stream, states[block + 1], rtol=1e-6, atol=1e-6)


def test_the_last_block_gives_the_stream_before_the_final_norm(model):
    with torch.inference_mode():
        normed = model(TOKENS, output_hidden_states=True).hidden_states[-1]
        with capture_blocks(model, [4]) as run:
            stream = run(input_ids=TOKENS)[4]
        torch.testing.assert_close(model.model.norm(stream), normed)
    assert not torch.allclose(stream, normed)


def test_blocks_above_the_deepest_and_the_head_are_never_called(model):
    calls = count_calls([*block_list(model), model.model.norm, model.lm_head])
    with capture_blocks(model, [1, 2]) as run:
        run(input_ids=TOKENS)
    assert calls == [1, 1, 1, 0, 0, 0, 0]
    model(TOKENS)
    assert calls == [2, 2, 2, 1, 1, 1, 1]


def handles(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_every_hook_is_removed(model):
    with capture_blocks(model, [0, 2]) as run:
        assert handles(model) == 2
        run(input_ids=TOKENS)
    assert handles(model) == 0


def test_hooks_are_removed_after_an_exception_in_the_model_and_in_the_body(model):
    with pytest.raises(IndexError), capture_blocks(model, [2]) as run:
        run(input_ids=torch.tensor([[10**6]]))
    assert handles(model) == 0
    with pytest.raises(KeyError), capture_blocks(model, [2]):
        raise KeyError
    assert handles(model) == 0
    assert model(TOKENS).logits.shape == (1, 37, 300)


def test_an_architecture_without_a_block_list_is_refused():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = torch.nn.ModuleList()
            self.base_model = torch.nn.Sequential()

    with pytest.raises(InputError, match="Odd: blocks"), capture_blocks(Odd(), [0]):
        pass


def test_mid_is_half_the_blocks_and_an_index_is_itself():
    assert [resolve_block("mid", n, "m") for n in (1, 5, 30, 32, 48)] == [0, 2, 15, 16, 24]
    assert [resolve_block(index, 5, "m") for index in (0, 4)] == [0, 4]


@pytest.mark.parametrize("layer", [-1, 5, "last", "2", 1.0, True])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(InputError, match="index from 0 to 4"):
        resolve_block(layer, 5, "m")


def test_capturing_nothing_is_refused(model):
    with pytest.raises(InputError, match="at least one"), capture_blocks(model, []):
        pass
