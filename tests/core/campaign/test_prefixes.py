"""Prefixes are exact slices of a trace: to the token, and to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ta_assets.core.campaign.prefixes import cut_trace, first_sentence, prefix_token_ids, token_boundaries
from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import character_spans
from ta_assets.core.traces.splitter import sentence_starts, split_trace

TEXT = st.lists(
    st.sampled_from(["a", "word", "3.14", "n!", ".", "?", "! ", " ", "\n", "\n\n", "é", "😀", "\r\n\r\n", "Go on. "])
).map("".join)
PROMPT = "Question? <think>\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Bytes and a few hundred merges over them, some of which cross the ends of sentences."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    corpus = ["First it is so.\n\nThen it goes on. And 3.14 is it, is it not? Go on. Go on.\nYes 😀."] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, max_token_length=6
    )
    made.train_from_iterator(corpus, trainer)
    return made


def decoded(tokenizer: Tokenizer):
    return lambda ids: tokenizer.decode(list(ids), skip_special_tokens=False)


@given(TEXT)
def test_sentences_begin_where_their_text_is_found(text: str) -> None:
    starts, sentences = sentence_starts(text), split_trace(text)
    assert len(starts) == len(sentences)
    assert starts == sorted(set(starts))
    for start, sentence in zip(starts, sentences, strict=True):
        assert text[start:].split()[: len(sentence.split())] == sentence.split()


@settings(deadline=None)
@given(TEXT)
def test_every_prefix_is_a_slice_of_the_ids_whose_text_begins_the_trace(tokenizer: Tokenizer, text: str) -> None:
    ids, prompt = tokenizer.encode(PROMPT + text).ids, tokenizer.encode(PROMPT).ids
    decode = decoded(tokenizer)
    ids = [*prompt, *tokenizer.encode(text).ids]
    if not split_trace(text):
        with pytest.raises(InputError, match=r"sentence|prompt"):
            cut_trace(ids, len(prompt), decode)
        return
    trace = cut_trace(ids, len(prompt), decode)
    assert trace.boundaries[0] == len(prompt)
    assert list(trace.boundaries) == sorted(set(trace.boundaries))
    whole = PROMPT + text
    for place in range(len(trace.boundaries)):
        prefix = prefix_token_ids(trace, place)
        assert prefix == tuple(ids[: len(prefix)])
        assert whole.startswith(decode(prefix))
        if place and not trace.inside[place]:
            # no character of a sentence before it is lost, whitespace between them aside
            assert decode(prefix).split() == whole[: len(decode(prefix))].split()
    joined = [*trace.prefix(0), *[one for place in range(len(trace.sentences)) for one in trace.sentence_ids(place)]]
    assert joined == ids[: trace.thought_end]


def test_a_sentence_that_starts_inside_a_token_says_so_and_begins_before_it() -> None:
    pieces = ["Question. ", "It is so now. ", "That was", " that. It", " goes on here. ", "The end is near."]
    trace = cut_trace(range(len(pieces)), 1, lambda ids: "".join(pieces[one] for one in ids))
    assert trace.boundaries == (1, 2, 3, 5)
    assert trace.inside == (False, False, True, False)
    assert trace.sentences == ("It is so now.", "That was that.", "It goes on here.", "The end is near.")


def test_sentences_that_begin_inside_the_same_token_are_one() -> None:
    pieces = ["Question. ", "It is so now. That was that. It", " goes on here. ", "The end is near."]
    trace = cut_trace(range(len(pieces)), 1, lambda ids: "".join(pieces[one] for one in ids))
    assert trace.boundaries == (1, 3)
    assert trace.sentences == ("It is so now. That was that. It goes on here.", "The end is near.")


def test_a_tokenizer_whose_beginnings_are_no_beginnings_is_refused() -> None:
    def decode(ids) -> str:
        text = "Question. First it is so. Then it is not so."
        return text[: 4 * len(ids)] if len(ids) in (3, 11) else text[: 4 * len(ids)].upper()

    with pytest.raises(InputError, match="beginning"):
        token_boundaries(range(11), [26], decode)


def test_prefixes_of_published_traces_are_their_bytes_and_ids(shared_folder, tokenizer: Tokenizer) -> None:
    decode, different, prefixes = decoded(tokenizer), 0, 0
    for problem in sorted((shared_folder / "data/math-rollouts").glob("*/*/*/problem_*"))[:2]:
        text = json.loads((problem / "base_solution.json").read_text(encoding="utf-8"))["full_cot"]
        chunks = [one["chunk"] for one in json.loads((problem / "chunks_labeled.json").read_text(encoding="utf-8"))]
        starts = character_spans(text, chunks)[:, 0].tolist()
        ids = tokenizer.encode(text).ids
        boundaries, inside = token_boundaries(ids, starts, decode)
        for boundary, start, lost in zip(boundaries, starts, inside, strict=True):
            before = decode(ids[:boundary])
            prefixes += 1
            different += not text.startswith(before) or not (lost or before.rstrip() == text[:start].rstrip())
    assert (different, prefixes > 150) == (0, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        ("</think> 4", ""),
        (" So it is.\nYes, it is so.", "So it is.\nYes, it is so."),
        (" It is so. Then not.", "It is so. Then not."),
    ],
)
def test_the_first_sentence_of_a_rollout(text: str, sentence: str) -> None:
    assert first_sentence(text) == split_trace(sentence)[0] if sentence else first_sentence(text) == ""
