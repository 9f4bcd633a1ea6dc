"""What lies beside tokenizer.json: added tokens as transformers reads them, options, the token at the beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.traces.spans import UnalignedSentence
from ta_assets.core.values import PooledProblem
from ta_assets.ledger.made_from import extraction_options
from ta_resources.language_model.checkpoint.model_folder import LocalModelFolder
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.language_model.tokenizing import TraceTokenizer

TEXT = "<think> One adds. </think>"
PLAIN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": False}


def size(folder: Path) -> int:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()


def ours(folder: Path, text: str = TEXT, bos: str = "never") -> list[int]:
    return TraceTokenizer.from_folder(LocalModelFolder(folder), bos).encode(text)[0].tolist()


def theirs(folder: Path) -> list[int]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer(TEXT, add_special_tokens=False, truncation=False, padding=False)["input_ids"]


def configure(folder: Path, **keys: Any) -> None:
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **keys}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_tokens_of_the_configuration_are_read_as_transformers_reads_them(copied_model: Path) -> None:
    before, n = ours(copied_model), size(copied_model)
    added = {str(n): {"content": "<think>", **PLAIN}, str(n + 1): {"content": "</think>", **PLAIN, "lstrip": True}}
    configure(copied_model, added_tokens_decoder=added)
    found = ours(copied_model)
    assert found == theirs(copied_model)
    assert {n, n + 1} < set(found)
    assert len(found) < len(before)


def test_tokens_of_the_older_file_are_read_and_identified(copied_model: Path) -> None:
    identity, n = LanguageModelResource().identity(ExtractionSpec(language_model=str(copied_model))), size(copied_model)
    (copied_model / "added_tokens.json").write_text(json.dumps({"<think>": n, "</think>": n + 1}))
    configure(copied_model)
    assert ours(copied_model)[0] == n
    assert ours(copied_model)[-1] == n + 1
    assert LanguageModelResource().identity(ExtractionSpec(language_model=str(copied_model))) != identity


def test_tokens_that_the_tokenizer_has_already_change_nothing(copied_model: Path) -> None:
    before = ours(copied_model)
    bos = {"content": "<bos>", **PLAIN, "special": True}
    configure(copied_model, added_tokens_decoder={"0": bos}, bos_token="<bos>")
    assert ours(copied_model) == before


ADDED = {"content": "</think>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}


@pytest.mark.parametrize(
    "keys",
    [
        {"additional_special_tokens": ["<think>", "</think>"]},
        {"extra_special_tokens": ["</think>"], "pad_token": "<think>"},
        {"extra_special_tokens": {"think_token": "<think>", "end_token": "</think>"}},
        {"think_token": "<think>", "eos_token": "</think>"},
        {"added_tokens_decoder": {}, "sep_token": "</think>", "image_token": "<think>"},
        {"eos_token": {"__type": "AddedToken", **ADDED}},
    ],
    ids=str,
)
def test_special_tokens_that_only_the_configuration_names_are_read_as_transformers_reads_them(
    copied_model: Path, keys: dict[str, Any]
) -> None:
    before = ours(copied_model)
    configure(copied_model, **keys)
    found = ours(copied_model)
    assert found == theirs(copied_model)
    assert len(found) < len(before)


def test_special_tokens_of_the_older_file_count_where_the_configuration_lists_none(copied_model: Path) -> None:
    before, path = ours(copied_model), copied_model / "special_tokens_map.json"
    identity = LanguageModelResource().identity(ExtractionSpec(language_model=str(copied_model)))
    path.write_text(json.dumps({"eos_token": ADDED, "additional_special_tokens": ["<think>"]}))
    assert ours(copied_model) == theirs(copied_model)
    assert len(ours(copied_model)) < len(before)
    assert LanguageModelResource().identity(ExtractionSpec(language_model=str(copied_model))) != identity
    configure(copied_model, added_tokens_decoder={})
    assert ours(copied_model) == theirs(copied_model) == before


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"added_tokens_decoder": {"999": {"content": "<think>"}}}, "'<think>': found 999, expected the id"),
        ({"added_tokens_decoder": ["<think>"]}, "ids with their tokens"),
        ({"added_tokens_decoder": {"7": "<think>"}}, r"added_tokens_decoder\.7"),
        ({"add_prefix_space": True}, "add_prefix_space: found True, expected False"),
        ({"do_lower_case": True}, "do_lower_case: found True, expected False"),
        ({"split_special_tokens": True}, "split_special_tokens"),
    ],
)
def test_a_configuration_that_the_tokenizer_contradicts_is_refused(
    copied_model: Path, keys: dict[str, Any], match: str
) -> None:
    configure(copied_model, **keys)
    with pytest.raises(InputError, match=match):
        ours(copied_model)


@pytest.mark.parametrize("keys", [{"add_prefix_space": False}, {"add_prefix_space": None}, {"do_lower_case": False}])
def test_options_that_agree_raise_no_alarm(copied_model: Path, keys: dict[str, Any]) -> None:
    before = ours(copied_model)
    configure(copied_model, **keys)
    assert ours(copied_model) == before


@pytest.mark.parametrize(
    ("bos", "keys", "has_one"),
    [
        ("never", {}, False),
        ("auto", {}, True),
        ("auto", {"add_bos_token": False}, False),
        ("auto", {"add_bos_token": True}, True),
        ("always", {"add_bos_token": False}, True),
    ],
)
def test_the_token_at_the_beginning_is_put_there_once(
    copied_model: Path, bos: str, keys: dict[str, Any], has_one: bool
) -> None:
    configure(copied_model, bos_token="<bos>", **keys)
    plain = ours(copied_model, "One adds.")
    assert ours(copied_model, "One adds.", bos) == [0] * has_one + plain
    # a prefix that holds one already gets no second
    assert ours(copied_model, "<bos>One adds.", bos) == [0, *plain]


def test_a_tokenizer_that_puts_nothing_first_puts_nothing_there_by_itself(copied_model: Path) -> None:
    path = str(copied_model / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.post_processor = processors.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.save(path)
    configure(copied_model)
    assert ours(copied_model, "One.", "auto") == ours(copied_model, "One.")
    with pytest.raises(InputError, match=r"extraction\.bos: found 'always', expected a tokenizer whose bos_token"):
        ours(copied_model, "One.", "always")


def test_sentences_keep_their_own_tokens_behind_it(copied_model: Path) -> None:
    sentences = ["One adds.", "Two adds."]
    never, auto = (TraceTokenizer.from_folder(LocalModelFolder(copied_model), bos) for bos in ("never", "auto"))
    text = " ".join(sentences)
    spans = auto.token_spans(text, sentences)
    np.testing.assert_array_equal(spans, never.token_spans(text, sentences) + 1)
    assert auto.decode_spans(text, spans) == never.decode_spans(text, spans - 1)


def test_it_changes_the_vectors_of_a_text_and_is_recorded_only_where_it_is_asked_for(copied_model: Path, trace) -> None:
    found = []
    for bos in ("never", "auto"):
        spec = ExtractionSpec(language_model=str(copied_model), storage_dtype="float32", bos=bos)
        with LanguageModelResource(device="cpu").open(spec) as extractor:
            (pooled,) = extractor.extract([trace()], log=lambda _: None)
        assert isinstance(pooled, PooledProblem)
        found.append(pooled)
        assert extraction_options(spec).get("bos") == (None if bos == "never" else bos)
    assert found[1].n_tokens == found[0].n_tokens + 1
    assert np.abs(found[0].vectors - found[1].vectors).max() > 1e-3


def passing_over(mark: str) -> TraceTokenizer:
    """A tokenizer whose normalizer drops a character."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(mark, "")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return TraceTokenizer(tokenizer)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_sentence_that_the_tokenizer_passes_over_gets_no_vector_of_another_one(place: int) -> None:
    sentences = ["One adds.", "Two adds."]
    sentences.insert(place, "\u2605")
    text = "Prompt. " + " ".join(sentences)
    with pytest.raises(UnalignedSentence, match=f"sentence {place} "):
        passing_over("\u2605").align(text, sentences)
    aligned = passing_over("\u2606").align(text, sentences)
    assert aligned.text == text
    assert (np.diff(aligned.token_spans, axis=1) > 0).all()
