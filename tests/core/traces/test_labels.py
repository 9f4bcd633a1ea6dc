"""The label rule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ta_assets.core.errors import InputError
from ta_assets.core.options import DEFAULT_LABEL_FIELD, LabelRule
from ta_assets.core.traces.labels import LABEL_DTYPES, anchors, label_problem, label_problems
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS
from ta_assets.core.values import Problem


def problem(importances: list[Any], problem_id: int = 7, **extra: Any) -> Problem:
    chunks = tuple({"chunk": f"Sentence {i}.", DEFAULT_LABEL_FIELD: value} for i, value in enumerate(importances))
    return Problem(problem_id, f"data/problem_{problem_id}", {}, {"full_cot": "The whole trace."}, chunks, **extra)


@pytest.mark.parametrize("name", ["pilot", "full", "llama_correct", "qwen_correct"])
def test_the_published_labels_come_back(shared_folder: Path, name: str) -> None:
    published = pd.read_parquet(shared_folder / f"reference/labels/{name}.parquet")
    problems = []
    for problem_id, rows in published.groupby("problem_id"):
        chunks = [
            {"chunk": text, "function_tags": [tag], DEFAULT_LABEL_FIELD: raw}
            for text, tag, raw in zip(rows["chunk_text"], rows["function_tag"], rows["counterfactual_raw"], strict=True)
        ]
        trace = {"full_cot": "x" * int(rows["source_text_len"].iloc[0])}
        last = {"chunk": "The last sentence, which is dropped."}
        problems.append(Problem(int(problem_id), "reference", {}, trace, (*chunks, last)))  # type: ignore[arg-type]
    labelled = label_problems(reversed(problems), LabelRule())
    known = [name for name in LABEL_DTYPES if name not in COUNT_COLUMNS]
    pd.testing.assert_frame_equal(labelled[known], published[known], check_exact=True)  # type: ignore[arg-type]
    assert labelled[list(COUNT_COLUMNS)].isna().to_numpy().all()


@pytest.mark.parametrize("name", ["full", "qwen_correct"])
def test_no_published_trace_depends_on_the_deviation_for_zeros(shared_folder: Path, name: str) -> None:
    published = pd.read_parquet(shared_folder / f"reference/labels/{name}.parquet")
    for _, importance in published.groupby("problem_id")["importance_score"]:
        assert np.percentile(importance, 90) > 0.02


def test_the_last_sentence_of_a_longer_trace_is_dropped_before_the_percentile() -> None:
    rows = label_problem(problem([0.1, -0.5, 0.2, 9.0]), LabelRule())
    assert rows["chunk_idx"].tolist() == [0, 1, 2]
    assert rows["num_chunks"].tolist() == [3, 3, 3]
    assert rows["anchor"].tolist() == [0, 1, 0]
    assert rows["importance_signed"].tolist() == [0.1, -0.5, 0.2]
    assert rows["importance_score"].tolist() == [0.1, 0.5, 0.2]
    assert rows["relative_position"].tolist() == [0.0, 0.5, 1.0]
    assert rows["source_text_len"].tolist() == [16, 16, 16]
    assert len(label_problem(problem([0.1, 0.2]), LabelRule(drop_last_chunk=False))) == 2


def test_the_only_sentence_of_a_trace_is_kept() -> None:
    rows = label_problem(problem([0.3]), LabelRule())
    assert rows[["chunk_idx", "num_chunks", "relative_position", "anchor"]].to_numpy().tolist() == [[0, 1, 0, 1]]


def test_columns_and_types_hold_also_without_rows() -> None:
    for rows in (label_problems([], LabelRule()), label_problem(problem([]), LabelRule())):
        assert rows.dtypes.astype(str).to_dict() == dict(LABEL_DTYPES)
        assert rows.empty


@pytest.mark.parametrize(
    ("tags", "expected"), [(["a", "b"], "a"), ([], "unknown"), (None, "unknown"), ("a", "unknown"), ([3], "unknown")]
)
def test_the_tag_is_the_first_one_or_unknown(tags: Any, expected: str) -> None:
    chunk = {"chunk": "One.", "function_tags": tags, DEFAULT_LABEL_FIELD: 0.5}
    rows = label_problem(Problem(1, "here", {}, {}, (chunk,)), LabelRule())
    assert rows["function_tag"].tolist() == [expected]


def test_rows_are_sorted_by_problem_and_sentence() -> None:
    rows = label_problems([problem([0.1] * 4, 9), problem([0.2] * 3, 4)], LabelRule())
    assert rows["problem_id"].tolist() == [4, 4, 9, 9, 9]
    assert rows["chunk_idx"].tolist() == [0, 1, 0, 1, 2]


def test_a_problem_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="7 occurs twice"):
        label_problems([problem([0.1]), problem([0.2])], LabelRule())


@pytest.mark.parametrize("value", [None, "0.3", math.nan, math.inf, True, [0.1]])
def test_an_importance_that_is_no_finite_number_is_named(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        label_problem(problem([0.1, value, value, 0.3]), LabelRule())
    assert caught.value.source == "data/problem_7/chunks_labeled.json"
    assert caught.value.field == f"[1].{DEFAULT_LABEL_FIELD}"
    assert caught.value.expected == "a finite number (and 1 more such sentences)"


def test_an_absent_importance_is_zero_only_when_the_rule_says_so() -> None:
    with pytest.raises(InputError, match="other"):
        label_problem(problem([0.1, 0.2]), LabelRule(field="other"))
    rows = label_problem(problem([0.4, None, 0.1, 0.0]), LabelRule(missing="zero"))
    assert rows["counterfactual_raw"].tolist() == [0.4, 0.0, 0.1]
    with pytest.raises(InputError, match="nan"):
        label_problem(problem([0.4, math.nan, 0.1]), LabelRule(missing="zero"))


def test_the_dropped_sentence_needs_no_importance() -> None:
    assert len(label_problem(problem([0.1, 0.2, None]), LabelRule())) == 2


@pytest.mark.parametrize(
    ("rule", "fault"), [({"missing": "skip"}, "'error'"), ({"anchor_percentile": 100}, "than 100")]
)
def test_a_wrong_rule_is_refused(rule: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        LabelRule.model_validate(rule)


def test_a_trace_without_importance_has_no_anchor() -> None:
    assert anchors(np.zeros(30), 90).sum() == 0


def test_a_trace_of_mostly_zeros_has_its_nonzero_sentences_as_anchors() -> None:
    importance = np.zeros(30)
    importance[[4, 9]] = [-0.2, 0.1]
    assert np.percentile(np.abs(importance), 90) == 0
    assert np.flatnonzero(anchors(importance, 90)).tolist() == [4, 9]


@given(
    st_numpy.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1, 1)),
    st.floats(1, 99),
)
def test_anchors_reach_the_percentile_and_matter(importance: np.ndarray, percentile: float) -> None:
    marked = anchors(importance, percentile).astype(bool)
    size = np.abs(importance)
    plain = size >= np.percentile(size, percentile)
    assert (marked <= plain).all()
    assert (size[marked] > 0).all()
    assert (marked == plain)[size > 0].all()
    assert marked.any() == (size > 0).any()
