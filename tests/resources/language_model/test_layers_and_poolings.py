"""Several blocks and other poolings: against transformers' own states, and out of one forward pass a problem."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.traces.pooling import one_vector_a_sentence
from ta_assets.core.values import PooledProblem, Skip, Wanted
from ta_resources.language_model.capture import block_list, resolve_blocks
from ta_resources.language_model.resource import LanguageModelResource

RESOURCE = LanguageModelResource(device="cpu")


def spec(folder, **settings):
    options: dict[str, Any] = {"storage_dtype": "float32"} | settings
    return ExtractionSpec(language_model=str(folder), **options)


def extract(folder, traces, resource=RESOURCE, **settings) -> list[Any]:
    with resource.open(spec(folder, **settings)) as extractor:
        return list(extractor.extract(traces, log=lambda _: None))


def counted(extractor, blocks) -> dict[int, int]:
    """Calls of the model (-1) and of some of its blocks, counted from now on."""
    model: Any = extractor._loaded.model
    calls = dict.fromkeys([-1, *blocks], 0)

    def counter(which):
        def count(*_):
            calls[which] += 1

        return count

    model.register_forward_pre_hook(counter(-1))
    for block in blocks:
        block_list(model)[block].register_forward_pre_hook(counter(block))
    return calls


@pytest.mark.parametrize(
    ("layer", "n_blocks", "blocks"),
    [
        ("mid", 32, (16,)),
        (0.5, 48, (24,)),
        (0.58, 50, (29,)),
        (0.25, 5, (1,)),
        (0.999, 4, (3,)),
        (3, 5, (3,)),
        ([2, "mid", 0.25, 0], 5, (2, 1, 0)),
        (("mid",), 5, (2,)),
        ("all", 5, (2, 0, 1, 3, 4)),
        ("all", 1, (0,)),
    ],
)
def test_a_layer_means_blocks_of_which_the_first_named_is_the_primary_one(layer, n_blocks, blocks):
    assert resolve_blocks(layer, n_blocks, "model") == blocks


@pytest.mark.parametrize("layer", [5, -1, True, 1.0, 0.0, 1.5, "top", [], [0, "top"], [0, "all"]])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(InputError, match=r"extraction\.layer"):
        resolve_blocks(layer, 5, "model")


@pytest.mark.parametrize("pooling", ["mean", "last", "tokens"])
@pytest.mark.parametrize("layer", ["mid", [3, 0, 0.5], "all"])
def test_any_blocks_and_pooling_take_one_forward_pass_a_problem(saved_model, trace, layer, pooling):
    with RESOURCE.open(spec(saved_model("llama"), layer=layer, pooling=pooling)) as extractor:
        calls = counted(extractor, range(max(extractor.blocks) + 1))
        results: list[Any] = list(extractor.extract([trace(1), trace(2), trace(3)], log=lambda _: None))
    assert set(calls.values()) == {3}
    expected = [(problem_id, block) for problem_id in (1, 2, 3) for block in extractor.blocks]
    assert [(one.problem_id, one.block) for one in results] == expected


def test_a_blocks_bytes_do_not_depend_on_the_blocks_that_are_taken_with_it(saved_model, trace):
    together = extract(saved_model("qwen2"), [trace(n_sentences=7)], layer="all")
    for one in together:
        (alone,) = extract(saved_model("qwen2"), [trace(n_sentences=7)], layer=one.block)
        assert alone.vectors.tobytes() == one.vectors.tobytes()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_last_and_tokens_are_transformers_own_states(saved_model, plain_states, trace, family):
    problem = trace(n_sentences=7)
    states, _ = plain_states(saved_model(family), problem[1])
    made = [extract(saved_model(family), [problem], layer=[0, 1, 3], pooling=p) for p in ("last", "tokens", "mean")]
    for last, tokens, mean in zip(*made, strict=True):
        state = states[last.block + 1].numpy()
        close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
        np.testing.assert_allclose(last.vectors, state[last.token_spans[:, 1] - 1], **close)
        for index, (start, end) in enumerate(tokens.token_spans):
            np.testing.assert_allclose(tokens.of_sentence(index), state[start:end], **close)
        assert tokens.offsets[-1] == len(tokens.vectors) == (last.token_spans[:, 1] - last.token_spans[:, 0]).sum()
        np.testing.assert_allclose(one_vector_a_sentence(tokens).vectors, mean.vectors, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(one_vector_a_sentence(tokens, "last").vectors, last.vectors)


@pytest.mark.parametrize("pooling", ["mean", "last", "tokens"])
def test_a_text_read_in_pieces_gives_the_same_rows_at_every_block(saved_model, trace, pooling):
    settings = {"layer": [0, 2], "pooling": pooling}
    whole = extract(saved_model("llama"), [trace(n_sentences=7)], **settings)
    resource = LanguageModelResource(device="cpu", tokens_per_forward=16)
    pieces = extract(saved_model("llama"), [trace(n_sentences=7)], resource, **settings)
    for a, b in zip(whole, pieces, strict=True):
        assert a.n_tokens > 48
        np.testing.assert_allclose(a.vectors, b.vectors, rtol=1e-5, atol=1e-5)


def test_only_the_blocks_that_a_problem_lacks_are_computed(saved_model, trace):
    with RESOURCE.open(spec(saved_model("llama"), layer=[0, 1, 3])) as extractor:
        calls = counted(extractor, range(4))
        wanted = {1: Wanted((1, 0)), 2: Wanted((3,))}
        results: list[Any] = list(extractor.extract([trace(1), trace(2)], log=lambda _: None, wanted=wanted))
    assert [(one.problem_id, one.block) for one in results] == [(1, 1), (1, 0), (2, 3)]
    assert calls == {-1: 2, 0: 2, 1: 2, 2: 1, 3: 1}


@pytest.mark.parametrize("pooling", ["mean", "last", "tokens"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox", "gpt2", "opt"])
def test_the_first_sentences_alone_have_the_vectors_that_they_have_in_the_whole_text(
    saved_model, trace, family, pooling
):
    problem = trace(n_sentences=7)
    read: list[int] = []
    with RESOURCE.open(spec(saved_model(family), layer=[0, 3], pooling=pooling)) as extractor:
        whole: list[Any] = list(extractor.extract([problem], log=lambda _: None))
        model: Any = extractor._loaded and extractor._loaded.model
        model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
        wanted = {1: Wanted((0, 3), sentences=2)}
        first: list[Any] = list(extractor.extract([problem], wanted=wanted, log=lambda _: None))
    for a, b in zip(whole, first, strict=True):
        assert (a.block, b.n_tokens) == (b.block, a.token_spans[1, 1])
        np.testing.assert_array_equal(a.token_spans[:2], b.token_spans)
        for row in range(2):
            np.testing.assert_allclose(a.of_sentence(row), b.of_sentence(row), rtol=1e-4, atol=1e-5)
    assert read == [whole[0].token_spans[1, 1]]


def test_a_token_over_the_end_of_the_first_sentences_is_that_of_the_whole_text(saved_model):
    text, sentences = "Step one adds", ["Step o", "ne adds"]
    with RESOURCE.open(spec(saved_model("llama"), layer=3)) as extractor:
        assert extractor.tokenizer.encode(text)[0].tolist()[:3] != extractor.tokenizer.encode("Step o")[0].tolist()
        (whole,) = extractor.extract([(1, text, sentences)], log=lambda _: None)
        wanted = {1: Wanted((3,), sentences=1)}
        (first,) = extractor.extract([(1, text, sentences)], wanted=wanted, log=lambda _: None)
    assert isinstance(whole, PooledProblem)
    assert isinstance(first, PooledProblem)
    assert whole.token_spans[0, 1] > whole.token_spans[1, 0], "one token is in both sentences"
    np.testing.assert_allclose(first.vectors[0], whole.vectors[0], rtol=1e-4, atol=1e-5)


def test_a_model_whose_rotations_depend_on_the_length_reads_the_whole_text(copied_model, trace):
    config = json.loads((copied_model / "config.json").read_text())
    config["max_position_embeddings"] = 32
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 8.0, "rope_theta": 10000.0}
    (copied_model / "config.json").write_text(json.dumps(config))
    with RESOURCE.open(spec(copied_model, layer=3)) as extractor:
        extractor.context_length = 256
        whole, first = (
            list(extractor.extract([trace(n_sentences=7)], wanted={1: Wanted((3,), sentences=n)}, log=lambda _: None))
            for n in (None, 2)
        )
    assert isinstance(first[0], PooledProblem)
    assert isinstance(whole[0], PooledProblem)
    np.testing.assert_array_equal(first[0].vectors, whole[0].vectors[:2])
    assert first[0].n_tokens == whole[0].n_tokens


def test_nan_in_one_block_skips_the_problem_and_names_the_block(saved_model, trace):
    with RESOURCE.open(spec(saved_model("llama"), layer=[0, 3])) as extractor:
        model: Any = extractor._loaded and extractor._loaded.model
        model.layers[2].mlp.up_proj.weight[0, 0] = np.nan
        (skip,) = extractor.extract([trace()], log=lambda _: None)
    assert isinstance(skip, Skip)
    assert skip.kind == "not_finite"
    assert "block 3" in skip.reason
