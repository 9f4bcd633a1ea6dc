"""The dataset's format: whatever the bytes are, the outcome is a valid problem or an error that says where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.errors import InputError
from ta_assets.core.values import Problem
from ta_resources.rollouts.problem_files import (
    FILE_NAMES,
    RawProblem,
    UnusableProblem,
    check_prefix,
    parse_problem,
    problem_id_of,
)

SENTENCE = {"chunk": "So the answer is 4.", "chunk_idx": 0, "counterfactual_importance_accuracy": -0.1}
HEALTHY: dict[str, Any] = {
    "problem.json": {"problem": "2 + 2?"},
    "base_solution.json": {"full_cot": "So the answer is 4."},
    "chunks_labeled.json": [SENTENCE],
}


def raw(**changed: Any) -> RawProblem:
    """The healthy files but for ``problem``, ``base_solution`` or ``chunks_labeled``: bytes, or a value to encode."""
    values = HEALTHY | {f"{name}.json": value for name, value in changed.items()}
    contents = {
        name: value if isinstance(value, bytes) else json.dumps(value).encode() for name, value in values.items()
    }
    return RawProblem(7, "somewhere/problem_7", contents)


def fault_of(**changed: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_problem(raw(**changed))
    return caught.value


def test_a_healthy_problem_is_read_with_its_unknown_fields() -> None:
    odd = [SENTENCE | {"anything": {"nested": float("nan")}, "other_importance_kl": float("inf")}]
    problem = parse_problem(raw(chunks_labeled=odd))
    assert problem.problem_id == 7
    assert problem.sentences == ("So the answer is 4.",)
    assert problem.trace_text == "So the answer is 4."
    assert problem.chunks[0]["other_importance_kl"] == float("inf")


def test_an_index_is_the_number_of_its_folder_and_may_have_gaps() -> None:
    chunks = [SENTENCE, SENTENCE | {"chunk_idx": 2}, {"chunk": "No number of its own."}, SENTENCE | {"chunk_idx": 7}]
    with pytest.raises(UnusableProblem, match=r"chunk_idx: found 2, expected .* larger than 2"):
        parse_problem(raw(chunks_labeled=chunks))
    del chunks[2]
    assert parse_problem(raw(chunks_labeled=chunks)).folders == (0, 2, 7)


def test_a_blank_entry_is_kept_as_an_entry_and_is_no_sentence() -> None:
    chunks = [{"chunk": one} for one in ("", "So.", " \n", "\u200b", "It is 4.", "\ufeff")]
    problem = parse_problem(raw(chunks_labeled=chunks))
    assert problem.sentences == ("So.", "It is 4.")
    assert (problem.spoken, problem.folders) == ((1, 4), (0, 1, 2, 3, 4, 5))


@pytest.mark.parametrize("importance", [None, 0, -1.5, 1e-300])
def test_an_importance_may_be_a_finite_number_or_null(importance: float | None) -> None:
    chunks = [SENTENCE | {"counterfactual_importance_accuracy": importance}]
    assert parse_problem(raw(chunks_labeled=chunks)).chunks[0]["counterfactual_importance_accuracy"] == importance


@pytest.mark.parametrize("importance", [float("nan"), float("inf"), "0.3", True, [], 10**400])
def test_an_importance_that_is_no_finite_number_is_named(importance: Any) -> None:
    chunks = [SENTENCE, SENTENCE | {"chunk_idx": 1, "counterfactual_importance_accuracy": importance}]
    fault = fault_of(chunks_labeled=chunks)
    assert fault.source == "somewhere/problem_7/chunks_labeled.json"
    assert fault.field == "[1].counterfactual_importance_accuracy"


@pytest.mark.parametrize(
    ("changed", "file", "field"),
    [
        ({"problem": []}, "problem.json", "(whole file)"),
        ({"base_solution": "text"}, "base_solution.json", "(whole file)"),
        ({"chunks_labeled": []}, "chunks_labeled.json", "(whole file)"),
        ({"chunks_labeled": {"chunk": "x"}}, "chunks_labeled.json", "(whole file)"),
        ({"chunks_labeled": [SENTENCE, "x"]}, "chunks_labeled.json", "[1]"),
        ({"chunks_labeled": [SENTENCE, {"chunk": 3}]}, "chunks_labeled.json", "[1].chunk"),
        ({"chunks_labeled": [{}]}, "chunks_labeled.json", "[0].chunk"),
        ({"chunks_labeled": [{"chunk": ""}, {"chunk": " "}]}, "chunks_labeled.json", "(whole file)"),
        ({"chunks_labeled": [SENTENCE, SENTENCE]}, "chunks_labeled.json", "[1].chunk_idx"),
        (
            {"chunks_labeled": [SENTENCE | {"chunk_idx": 5}] * 2},
            "chunks_labeled.json",
            "[1].chunk_idx",
        ),
        ({"chunks_labeled": [SENTENCE | {"chunk_idx": -1}]}, "chunks_labeled.json", "[0].chunk_idx"),
        (
            {"base_solution": {"solution": "Error: 502", "error": "502"}},
            "base_solution.json",
            "error",
        ),
        ({"chunks_labeled": [SENTENCE | {"chunk_idx": "0"}]}, "chunks_labeled.json", "[0].chunk_idx"),
        ({"chunks_labeled": [SENTENCE | {"chunk_idx": False}]}, "chunks_labeled.json", "[0].chunk_idx"),
        ({"chunks_labeled": b'[{"chunk": "half \\ud83d"}]'}, "chunks_labeled.json", "[0].chunk"),
        ({"base_solution": b'{"full_cot": "half \\ud83d"}'}, "base_solution.json", "full_cot"),
        ({"problem": b'{"problem": "2 + 2?"'}, "problem.json", "line 1 column 21"),
        ({"problem": b'{"problem": "\xff"}'}, "problem.json", "byte 13"),
        ({"problem": b""}, "problem.json", "line 1 column 1"),
        ({"problem": b"9" * 5000}, "problem.json", "(whole file)"),
        ({"problem": b"[" * 100_000}, "problem.json", "(whole file)"),
    ],
)
def test_a_malformed_file_is_named_with_the_place_of_its_fault(changed: dict[str, Any], file: str, field: str) -> None:
    fault = fault_of(**changed)
    assert (fault.source, fault.field) == (f"somewhere/problem_7/{file}", field)
    assert fault.expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
chunk_like = st.fixed_dictionaries(
    {},
    optional={
        "chunk": st.text() | json_values,
        "chunk_idx": st.integers(-1, 4) | json_values,
        "counterfactual_importance_accuracy": st.floats() | json_values,
    },
)
contents = st.one_of(
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.lists(chunk_like, max_size=4).map(lambda chunks: json.dumps(chunks).encode()),
    st.sampled_from([json.dumps(value).encode() for value in HEALTHY.values()]),
)


def outcome_of(files: dict[str, bytes]) -> Problem | InputError:
    try:
        return parse_problem(RawProblem(1, "x", files))
    except InputError as fault:
        return fault


@given(st.tuples(contents, contents, contents))
def test_any_content_is_a_valid_problem_or_an_input_error(files: tuple[bytes, bytes, bytes]) -> None:
    outcome = outcome_of(dict(zip(FILE_NAMES, files, strict=True)))
    if isinstance(outcome, Problem):
        assert outcome.sentences
        assert all(isinstance(text, str) and text.encode() is not None for text in outcome.sentences)
        assert outcome.trace_text.encode() is not None
    else:
        assert outcome.source.removeprefix("x/") in FILE_NAMES


@given(st.sampled_from(FILE_NAMES), st.data())
def test_a_healthy_file_with_one_damaged_byte_is_a_valid_problem_or_an_input_error(name: str, data: Any) -> None:
    healthy = raw().contents
    place = data.draw(st.integers(0, len(healthy[name]) - 1))
    byte = data.draw(st.integers(0, 255))
    damaged = healthy[name][:place] + bytes([byte]) + healthy[name][place + 1 :]
    outcome = outcome_of({**healthy, name: damaged})
    assert isinstance(outcome, Problem) or outcome.source == f"x/{name}"


def test_ids_come_from_folder_names_and_nothing_else() -> None:
    names = ["problem_330", "problem_0", "problem_", "problem_3a", "problem_-1", "problems", "problem_٣", "xproblem_1"]
    assert [problem_id_of("x", name) for name in names] == [330, 0, None, None, None, None, None, None]
    with pytest.raises(InputError, match="problem_7, a number without leading zeros"):
        problem_id_of("x", "problem_007")


@pytest.mark.parametrize("prefix", ["", "/absolute", "a/../b", "..", "a//b", "a/", "./a", "a\\b", "a\0b"])
def test_a_prefix_that_leaves_its_root_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="prefix"):
        check_prefix(prefix)
