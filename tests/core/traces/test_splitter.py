"""Sentences of a trace: the dataset's own ones, each rule by a case, and nothing lost on any text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ta_assets.core.traces.spans import character_spans
from ta_assets.core.traces.splitter import MIN_CHARACTERS, split_trace
from ta_assets.split import main

TEXT = st.lists(
    st.sampled_from(["a", "word", "3.14", "n!", ".", "?", "! ", " ", "\n", "\n\n", "\r\n\r\n", "é", "\x1c", "</p>"])
).map("".join)


@pytest.mark.parametrize("field", ["full_cot", "solution"])
def test_the_datasets_own_sentences_are_reproduced(shared_folder: Path, field: str) -> None:
    problems = sorted((shared_folder / "data/math-rollouts").glob("*/*/*/problem_*"))
    assert len(problems) == 32
    different = []
    for problem in problems:
        text = json.loads((problem / "base_solution.json").read_text(encoding="utf-8"))[field]
        chunks = json.loads((problem / "chunks_labeled.json").read_text(encoding="utf-8"))
        if split_trace(text) != [chunk["chunk"] for chunk in chunks]:
            different.append(problem)
    assert different == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\n ", []),
        ("One sentence without a stop", ["One sentence without a stop"]),
        ("First sentence. Second sentence? Third one!", ["First sentence.", "Second sentence?", "Third one!"]),
        ("A first line.\nA second line.", ["A first line.", "A second line."]),
        ("Pi is 3.14159 here. Thus 4! is 24.", ["Pi is 3.14159 here.", "Thus 4! is 24."]),
        ("We have (n-1)! ways to sit.", ["We have (n-1)!", "ways to sit."]),
        ("Look at this: it is\na list\nof lines.", ["Look at this: it is\na list\nof lines."]),
        ("A heading of it\n\nand then text", ["A heading of it", "and then text"]),
        ("A heading of it\r\n\r\nand then text", ["A heading of it", "and then text"]),
        ("Too many empty\n\n\n\n\nlines here", ["Too many empty", "lines here"]),
        ("Wait. Let me check it.", ["Wait. Let me check it."]),
        ("1. 2. 3. Go on with it.", ["1. 2. 3. Go on with it."]),
        ("Nine char. is ten characters.", ["Nine char.", "is ten characters."]),
        ("The answer is 5. Yes.", ["The answer is 5. Yes."]),
        ("Yes. No.", ["Yes. No."]),
        ("Problem? <think>\nI think of it. Therefore I am.\n</think> Five.", ["I think of it.", "Therefore I am."]),
        ("<think>I think of it still", ["I think of it still"]),
        ("I think of it.</think> The answer is five.", ["I think of it."]),
        ("First thought here.<think>Second thought.</think> Third.", ["Second thought."]),
    ],
)
def test_each_rule_does_what_it_says(text: str, sentences: list[str]) -> None:
    assert split_trace(text) == sentences


@given(TEXT | st.text())
@example("<think>")
def test_no_word_is_lost_added_or_moved(text: str) -> None:
    before = text.replace("<think>", "").replace("</think>", "")
    sentences = split_trace(before)
    assert " ".join(sentences).split() == before.split()
    assert all(sentence == sentence.strip() for sentence in sentences)
    assert all(len(sentence) >= MIN_CHARACTERS for sentence in sentences) or len(sentences) == 1
    assert split_trace(before) == sentences


@given(TEXT, TEXT, TEXT)
def test_only_what_is_thought_is_split(before: str, thought: str, after: str) -> None:
    assert split_trace(f"{before}<think>{thought}</think>{after}") == split_trace(thought)


@given(TEXT)
def test_every_sentence_is_found_in_its_text(text: str) -> None:
    spans = character_spans(text, split_trace(text))
    assert (spans[:, 0] < spans[:, 1]).all()


def test_the_command_prints_one_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("<think>\nLet x be 5 é. So 2x is 10.\n</think>", encoding="utf-8")
    assert main([str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == ["Let x be 5 é.", "So 2x is 10."]


@pytest.mark.parametrize("content", [b"", b"\xff", b"</think> Five.", None])
def test_what_is_no_trace_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None) -> None:
    path = tmp_path / "trace.txt"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, str(path) in captured.err) == ("", True)
