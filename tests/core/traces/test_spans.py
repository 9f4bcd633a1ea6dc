"""Spans against slow, literal readings of the rules in docs/science.md, Spans, and on every real problem."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.traces.spans import UnalignedSentence, character_spans, is_blank, token_spans


def plain_token_span(offsets: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The rule for tokens, word for word."""
    first = next((i for i, (_, token_end) in enumerate(offsets) if token_end > start), len(offsets))
    last = next((i for i, (token_start, _) in enumerate(offsets) if token_start >= end), len(offsets))
    return first, max(last, first + 1)


offset_pairs = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=25
)


@given(offsets=offset_pairs, spans=offset_pairs)
def test_token_spans_equal_a_plain_reading_of_the_rule_for_any_offsets(offsets, spans):
    found = token_spans(np.array(spans).reshape(-1, 2), np.array(offsets).reshape(-1, 2))
    assert found.dtype == np.int64
    assert found.tolist() == [list(plain_token_span(offsets, *span)) for span in spans]


def test_special_tokens_at_zero_zero_never_start_a_span():
    offsets = np.array([[0, 0], [0, 3], [0, 0], [3, 7], [0, 0]])
    assert token_spans(np.array([[0, 3], [3, 7]]), offsets).tolist() == [[1, 3], [3, 5]]


def test_a_span_beyond_the_last_token_ends_beyond_the_number_of_tokens():
    assert token_spans(np.array([[5, 5]]), np.array([[0, 3], [3, 5]])).tolist() == [[2, 3]]


def test_no_sentences_give_no_spans():
    assert character_spans("text", []).shape == (0, 2)
    assert token_spans(np.zeros((0, 2)), np.array([[0, 4]])).shape == (0, 2)


@pytest.mark.parametrize("wrong", [[[3, 1]], [[-1, 2]], [[1, 2, 3]]])
def test_spans_and_offsets_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="offsets"):
        token_spans(np.array([[0, 1]]), np.array(wrong))
    with pytest.raises(ValueError, match="char_spans"):
        token_spans(np.array(wrong), np.array([[0, 1]]))


words = st.text(alphabet="ab.*(é日", min_size=1, max_size=5)
blanks = st.sampled_from([" ", "\n", "  \n", "\t "])


@given(st.lists(st.lists(words, min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_sentences_are_found_whatever_whitespace_the_text_has(sentences, data):
    # A number in front makes each sentence unique, so that there is one right answer.
    sentences = [[f"{index}:", *sentence] for index, sentence in enumerate(sentences)]
    text, expected = "", []
    for sentence in sentences:
        text += data.draw(blanks)
        body = "".join(word + data.draw(blanks) for word in sentence[:-1]) + sentence[-1]
        expected.append([len(text), len(text) + len(body)])
        text += body
    assert character_spans(text, [" ".join(sentence) for sentence in sentences]).tolist() == expected


def test_a_repeated_sentence_is_found_after_the_one_before_it():
    assert character_spans("So. So. So.", ["So.", "So.", "So."]).tolist() == [[0, 3], [4, 7], [8, 11]]


QUESTION = "What is 7 times 8?"
SAID = [QUESTION, "Seven eights are 56.", "So 56."]


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param(f"Solve it. Problem: {QUESTION} Solution:\n<think>\n", id="before the tag"),
        pytest.param(f"Think in <think> tags. Problem: {QUESTION} Solution:\n<think>\n", id="the prompt names the tag"),
        pytest.param(f"Solve it. Problem: {QUESTION} Solution:\n", id="no tag"),
        pytest.param(f"Seven eights are 56. Problem: {QUESTION}\n", id="two of its sentences, in another order"),
        pytest.param(f"An example: {' '.join(SAID)} Problem: {QUESTION} Solution: ", id="all of it as an example"),
        pytest.param(f"<think> {SAID[1]} </think> is a tag. {QUESTION}\n<think>\n", id="the prompt shows the tag"),
    ],
)
def test_a_trace_that_restates_its_question_is_found_in_the_trace(prompt: str) -> None:
    text = prompt + " ".join(SAID)
    starts = [len(prompt), len(prompt) + len(SAID[0]) + 1, len(text) - len(SAID[2])]
    assert character_spans(text, SAID)[:, 0].tolist() == starts


def test_a_trace_of_one_sentence_that_its_prompt_has_too_is_found_in_the_trace() -> None:
    text = f"Say: {QUESTION} Solution: {QUESTION}"
    assert character_spans(text, [QUESTION])[0, 0] == text.rindex(QUESTION)
    assert character_spans(text, ["", ""]).tolist() == [[0, 0], [0, 0]]


def test_a_trace_that_names_its_tag_again_and_again_begins_at_the_one_before_all_sentences() -> None:
    text = f"Use <think>. {' '.join(SAID)} is no answer.\n<think>\n{' '.join(SAID)} I write <think> once more."
    assert character_spans(text, SAID)[0, 0] == text.rindex(QUESTION)


@pytest.mark.parametrize("text", ["A. B. A. B. C. Then: A. B. A. B. C.", "<think>A. B. A. B. C.", "A.\n\nB. A. B. C."])
def test_repeated_sentences_stay_in_order(text: str) -> None:
    found = character_spans(text, ["A.", "B.", "A.", "B.", "C."])
    assert (found[1:, 0] >= found[:-1, 1]).all()
    assert [text[start:end] for start, end in found.tolist()] == ["A.", "B.", "A.", "B.", "C."]


def test_a_tag_that_only_the_end_of_a_trace_names_is_no_beginning() -> None:
    text = "I think. Now close <think> and answer. It is 4."
    assert character_spans(text, ["I think.", "It is 4."])[:, 0].tolist() == [0, text.index("It is")]


@pytest.mark.parametrize("blank", ["", " \n\t", "\u200b", "\ufeff", "\x00"])
def test_what_shows_nothing_is_blank(blank: str) -> None:
    assert is_blank(blank)
    assert not is_blank(blank + "." + blank)


def test_an_empty_sentence_gets_the_empty_span_at_the_cursor():
    assert character_spans("ab cd", ["ab", "", "cd", ""]).tolist() == [[0, 2], [2, 2], [3, 5], [5, 5]]


def test_an_unaligned_sentence_is_named_with_its_index_and_its_first_characters():
    with pytest.raises(UnalignedSentence, match=r"sentence 1 \('not there'\)") as caught:
        character_spans("it is here", ["it", "not there"])
    assert (caught.value.index, caught.value.start) == (1, "not there")
    with pytest.raises(UnalignedSentence, match="sentence 1"):
        character_spans("first second", ["second", "first"])


def test_every_real_problem_aligns(shared_folder: Path):
    problems = sorted((shared_folder / "data").rglob("base_solution.json"))
    assert len(problems) == 32
    n_sentences = 0
    for path in problems:
        text = json.loads(path.read_text(encoding="utf-8"))["full_cot"]
        chunks = json.loads((path.parent / "chunks_labeled.json").read_text(encoding="utf-8"))
        sentences = [chunk["chunk"] for chunk in chunks]
        found = character_spans(text, sentences)
        for (start, end), sentence in zip(found.tolist(), sentences, strict=True):
            assert text[start:end].split() == sentence.split()
        n_sentences += len(sentences)
    assert n_sentences > 3000
