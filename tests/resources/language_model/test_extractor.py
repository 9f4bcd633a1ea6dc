"""What can be wrong with one problem is a recorded skip, and nothing else of the corpus changes."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem, Skip
from ta_resources.language_model import extractor as module
from ta_resources.language_model.resource import LanguageModelResource


@pytest.fixture
def extractor(saved_model):
    spec = ExtractionSpec(language_model=str(saved_model("llama")))
    with LanguageModelResource(device="cpu").open(spec) as opened:
        yield opened


def silent(_text):
    pass


def only(results) -> Any:
    (result,) = results
    return result


def one_bad_among_good(extractor, trace, bad):
    """Extract good, bad, good; the good ones must come out, in order; returns the outcome of the bad one."""
    first, skip, last = extractor.extract([trace(1), bad, trace(3)], log=silent)
    assert [first.problem_id, last.problem_id] == [1, 3]
    assert isinstance(first, PooledProblem)
    assert isinstance(last, PooledProblem)
    assert isinstance(skip, Skip)
    assert skip.problem_id == bad[0]
    return skip


def test_a_text_longer_than_the_context_is_skipped_with_the_numbers(extractor, trace):
    skip = one_bad_among_good(extractor, trace, trace(2, n_sentences=40))
    assert skip.kind == "context_length"
    assert "256" in skip.reason


def test_a_text_of_exactly_the_context_length_is_extracted(extractor):
    tokenizer = extractor.tokenizer
    text = "Step " * 300
    while len(tokenizer.encode(text)[0]) > 256:
        text = text[:-1]
    assert only(extractor.extract([(1, text, ["Step"])], log=silent)).n_tokens == 256
    assert only(extractor.extract([(1, text + " Step", ["Step"])], log=silent)).kind == "context_length"


def test_a_sentence_that_is_not_in_the_text_is_skipped_by_name(extractor, trace):
    skip = one_bad_among_good(extractor, trace, (2, "One. Two.", ["One.", "Three."]))
    assert skip.kind == "unaligned"
    assert "sentence 1 ('Three.')" in skip.reason


def test_a_trace_without_sentences_is_skipped(extractor, trace):
    assert one_bad_among_good(extractor, trace, (2, "One. Two.", [])).kind == "no_sentences"


@pytest.mark.parametrize("sentences", [[""], ["", " \n"], ["\u200b"]])
def test_a_trace_of_blank_sentences_is_skipped(extractor, trace, sentences):
    assert one_bad_among_good(extractor, trace, (2, "", sentences)).kind == "no_sentences"


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\u200b"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_blank_sentence_gets_no_vector_and_takes_the_prompt_from_no_other(extractor, blank, place):
    text, sentences = "Prompt: One. Two.", ["One.", "Two."]
    found = only(extractor.extract([(2, text, [*sentences[:place], blank, *sentences[place:]])], log=silent))
    plain = only(extractor.extract([(2, text, sentences)], log=silent))
    assert found.text == text
    assert found.vectors.tobytes() == plain.vectors.tobytes()
    assert found.token_spans.tolist() == plain.token_spans.tolist()


def test_a_restated_question_is_pooled_in_the_trace(extractor):
    question = "What is 7 times 8?"
    text = f"Problem: {question}\n<think>\n{question} So 56."
    found = only(extractor.extract([(2, text, [question, "So 56."])], log=silent))
    before = len(extractor.tokenizer.encode(text[: text.index("<think>")])[0])
    assert found.token_spans[0, 0] >= before


def test_a_last_sentence_beyond_the_tokens_is_tried_with_the_joined_sentences(extractor):
    aligned = extractor.tokenizer.align("Prompt: One. Two.", ["One.", "Two.", ""])
    assert aligned.text == "One. Two. "
    assert aligned.token_spans.max() <= len(aligned.ids)


def test_nan_weights_skip_every_problem_as_not_finite(extractor, trace):
    extractor._loaded.model.layers[1].mlp.up_proj.weight[0, 0] = torch.nan
    skip = only(extractor.extract([trace()], log=silent))
    assert skip.kind == "not_finite"
    assert "4 of 4 sentences" in skip.reason


def test_vectors_too_large_for_float16_are_skipped_as_overflow_and_kept_in_float32(saved_model, trace):
    for storage, kind in (("float16", "overflow"), ("float32", None)):
        spec = ExtractionSpec.model_validate({"language_model": str(saved_model("llama")), "storage_dtype": storage})
        with LanguageModelResource(device="cpu").open(spec) as extractor:
            model: Any = extractor._loaded.model if extractor._loaded else None
            model.embed_tokens.weight.mul_(1e7)
            result = only(extractor.extract([trace()], log=silent))
        assert getattr(result, "kind", None) == kind


def fail_above(extractor, monkeypatch, n_tokens, error):
    """Make a forward of more than ``n_tokens`` raise; returns the lengths that were tried."""
    model, tried = extractor._loaded.model, []
    forward = model.forward

    def wrapped(**inputs):
        tried.append(inputs["input_ids"].shape[1])
        if tried[-1] > n_tokens:
            raise error
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", wrapped)
    return tried


@pytest.fixture
def collected(monkeypatch) -> list[str]:
    """One entry for each collection of garbage that the extractor asks for; a real one takes 0.3 s."""
    asked: list[str] = []
    monkeypatch.setattr(module, "gc", SimpleNamespace(collect=lambda: asked.append("collect")))
    return asked


def test_out_of_memory_halves_the_piece_until_it_fits(extractor, trace, monkeypatch, collected):
    whole = only(extractor.extract([trace(n_sentences=6)], log=silent))
    tried = fail_above(extractor, monkeypatch, 40, torch.OutOfMemoryError("CUDA out of memory. Tried"))
    lines = []
    pieces = only(extractor.extract([trace(n_sentences=6)], log=lines.append))
    assert tried[0] == whole.n_tokens > 80
    assert sum(size for size in tried if size <= 40) == whole.n_tokens
    np.testing.assert_allclose(pieces.vectors, whole.vectors, rtol=2e-3, atol=1e-3)
    assert any("out of memory, trying pieces" in line for line in lines)
    assert len(collected) == sum(size > 40 for size in tried), "garbage is collected before each smaller piece"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError("no"),
    ],
)
def test_out_of_memory_at_the_smallest_piece_is_a_skip_and_the_next_problem_starts_whole(
    extractor, trace, monkeypatch, collected, error
):
    tried = fail_above(extractor, monkeypatch, 0, error)
    skips = list(extractor.extract([trace(1), trace(2)], log=silent))
    assert [(skip.problem_id, skip.kind) for skip in skips] == [(1, "out_of_memory"), (2, "out_of_memory")]
    assert "in pieces of 16" in skips[0].reason
    assert tried[0] == tried[len(tried) // 2] > 32
    assert len(collected) == len(tried)


def test_another_runtime_error_is_no_skip_and_leaves_no_hook(extractor, trace, monkeypatch):
    fail_above(extractor, monkeypatch, 0, RuntimeError("shape mismatch"))
    with pytest.raises(InputError, match=r"a forward of .* tokens: found 'RuntimeError: shape mismatch'"):
        list(extractor.extract([trace()], log=silent))
    assert not any(module._forward_hooks for module in extractor._loaded.model.modules())


def test_a_tokenizer_of_another_model_is_an_input_error(extractor, trace):
    extractor._loaded.model.set_input_embeddings(torch.nn.Embedding(20, 32))
    with pytest.raises(InputError, match="token id"):
        list(extractor.extract([trace()], log=silent))


def test_a_problems_bytes_do_not_depend_on_the_problems_around_it(saved_model, trace):
    spec = ExtractionSpec(language_model=str(saved_model("qwen2")), storage_dtype="float32")
    traces = [trace(problem_id, n_sentences) for problem_id, n_sentences in ((1, 3), (2, 7), (3, 2), (4, 5))]
    with LanguageModelResource(device="cpu").open(spec) as extractor:
        together = [only([pooled]).vectors.tobytes() for pooled in extractor.extract(traces, log=silent)]
    for index, problem in enumerate(traces):
        with LanguageModelResource(device="cpu").open(spec) as extractor:
            assert only(extractor.extract([problem], log=silent)).vectors.tobytes() == together[index]


def test_problems_are_read_one_at_a_time_from_an_endless_stream(extractor, trace):
    read = []

    def stream():
        for problem_id in itertools.count():
            read.append(problem_id)
            yield trace(problem_id)

    results = extractor.extract(stream(), log=silent)
    assert [next(results).problem_id for _ in range(3)] == [0, 1, 2]
    assert read == [0, 1, 2]
    results.close()


def test_no_hook_stays_on_the_model_between_problems(extractor, trace):
    results = extractor.extract([trace(1), trace(2)], log=silent)
    next(results)
    assert not any(module._forward_hooks for module in extractor._loaded.model.modules())


def test_progress_names_the_problem_the_speed_and_the_time_left(saved_model, trace):
    resource = LanguageModelResource(device="cpu", progress_seconds=0)
    lines = []
    with resource.open(ExtractionSpec(language_model=str(saved_model("llama")))) as extractor:
        list(extractor.extract([trace(1), trace(2), (9, "", [])], log=lines.append))
        assert "problem 2 of 3" in lines[1]
        assert "tokens/s, about" in lines[1]
        assert "problem 9: skipped, no_sentences" in lines[3]
        assert lines[-1].startswith("2 problems extracted, 1 skipped")
        lines.clear()
        list(extractor.extract(iter([trace(1), trace(2)]), log=lines.append))
        assert lines[1].startswith("problem 2, ")
        assert "left" not in lines[1]


def test_progress_is_quiet_within_the_interval(extractor, trace):
    lines = []
    list(extractor.extract([trace(1), trace(2)], log=lines.append))
    assert len(lines) == 1


def test_spans_decode_to_their_sentences(extractor, trace):
    _, text, sentences = trace(1, 5)
    pooled = only(extractor.extract([(1, text, sentences)], log=silent))
    decoded = extractor.decode_spans(pooled.text, pooled.token_spans)
    assert [" ".join(span.split()) for span in decoded] == sentences
