"""Every training problem must be memorable; collapsed and contradictory vectors are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.rules.shuffles.overfit_memorization import overfit_memorization

Draw = Callable[..., LabelledVectors]


def test_healthy_problems_of_every_kind_can_be_memorized(labelled: Draw, recipe) -> None:
    for seed in range(5):
        verdict = overfit_memorization(labelled(seed, recipe))
        assert verdict.passed, verdict.offenders
        assert verdict.n + len(verdict.details["one_class_problems"]) == 14


@pytest.mark.parametrize("storage", [np.float16, np.float32])
@pytest.mark.parametrize("fields", [{"sentences": 150, "d_model": 576}, {"sentences": 300, "d_model": 1024}])
def test_long_problems_can_be_memorized_with_any_labels(labelled: Draw, fields: dict, storage: type) -> None:
    data = labelled(0, correlated=False, **fields)
    one = data.train & (data.problems == data.problems[0])
    assert overfit_memorization(replace(data, train=one, vectors=data.vectors.astype(storage))).passed


def on_a_line(data: LabelledVectors) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.outer(rng.normal(size=len(data.vectors)), rng.normal(size=data.vectors.shape[1]))


COLLAPSED = {
    "constant": lambda data: np.ones_like(data.vectors),
    "zero": lambda data: np.zeros_like(data.vectors),
    "equal rows": lambda data: np.repeat(data.vectors[:1], len(data.vectors), axis=0),
    "equal but for float32 rounding": lambda data: data.vectors[:1] * (1 + 1e-7 * data.vectors),
    "equal but for float16 rounding": lambda data: data.vectors[:1] * (1 + 5e-4 * data.vectors),
    "equal but for 1 %": lambda data: data.vectors[:1] * (1 + 1e-2 * data.vectors),
    "rank one": on_a_line,
    "rank one in float16": lambda data: on_a_line(data).astype(np.float16),
    "rank one with 1 % noise": lambda data: on_a_line(data) + 0.01 * data.vectors,
    "rank one beside an offset": lambda data: on_a_line(data) + 10.0,
}


@pytest.mark.parametrize("sentences", [12, 40, 150])
@pytest.mark.parametrize("kind", list(COLLAPSED))
def test_collapsed_vectors_fail_in_every_problem(labelled: Draw, kind: str, sentences: int) -> None:
    data = labelled(0, sentences=sentences, correlated=False)
    verdict = overfit_memorization(replace(data, vectors=COLLAPSED[kind](data)))
    assert verdict.status == "failed"
    assert verdict.n_offenders == 14


def test_an_anchor_that_is_a_copy_of_another_sentence_but_for_rounding_fails(labelled: Draw) -> None:
    data = labelled(0, sentences=100, d_model=576, correlated=False)
    one = data.problems == data.problems[0]
    anchor, other = (np.flatnonzero(one & (data.anchors == label))[0] for label in (1, 0))
    vectors = data.vectors.copy()
    vectors[other] = vectors[anchor] * (1 + 1e-9)
    verdict = overfit_memorization(replace(data, train=one, vectors=vectors))
    assert verdict.status == "failed"
    assert isinstance(verdict.observed, float)
    assert 0.99 < verdict.observed < 0.999, "nine of ten anchors come first, the tenth has a tie"


def test_two_directions_are_not_enough_for_a_long_problem(labelled: Draw) -> None:
    data = labelled(0, sentences=100)
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(len(data.vectors), 2)) @ rng.normal(size=(2, 128))
    assert overfit_memorization(replace(data, vectors=plane + 1e-3 * data.vectors)).n_offenders == 14


def test_one_collapsed_problem_that_is_not_the_first_fails(labelled: Draw) -> None:
    data = labelled(0)
    rows = data.problems == data.problems[data.train][-1]
    verdict = overfit_memorization(replace(data, vectors=np.where(rows[:, None], 1.0, data.vectors)))
    assert (verdict.status, verdict.n_offenders) == ("failed", 1)
    assert verdict.offenders[0].startswith(f"problem {data.problems[data.train][-1]}: average precision 0.167")


@pytest.mark.parametrize("sentences", [12, 300])
@pytest.mark.parametrize("storage", [np.float64, np.float16])
def test_duplicated_rows_with_conflicting_labels_fail(labelled: Draw, sentences: int, storage: type) -> None:
    data = labelled(0, sentences=sentences, d_model=400)
    vectors, rows = data.vectors.astype(storage), np.flatnonzero(data.problems == data.problems[0])
    anchor = rows[data.anchors[rows] == 1][0]
    other = rows[data.anchors[rows] == 0][-1]
    vectors[other] = vectors[anchor]
    verdict = overfit_memorization(replace(data, vectors=vectors))
    assert verdict.status == "failed"
    assert verdict.details["problems_with_conflicting_rows"] == [int(data.problems[0])]
    assert "equal vectors" in verdict.offenders[0]


def test_duplicated_rows_that_agree_are_no_fault(labelled: Draw) -> None:
    data = labelled(0)
    quiet = np.flatnonzero((data.problems == data.problems[0]) & (data.anchors == 0))
    vectors = data.vectors.copy()
    vectors[quiet[0]] = vectors[quiet[1]]
    assert overfit_memorization(replace(data, vectors=vectors)).passed


def test_a_vector_that_is_not_finite_fails_with_its_problem(labelled: Draw) -> None:
    data = labelled(0)
    vectors = data.vectors.copy()
    vectors[0, 0] = np.inf
    verdict = overfit_memorization(replace(data, vectors=vectors))
    assert (verdict.status, verdict.observed) == ("failed", "NaN")
    assert "NaN or infinity" in verdict.offenders[0]


def test_problems_of_one_class_are_listed_and_not_failed(labelled: Draw) -> None:
    data = labelled(0)
    flat = data.problems == data.problems[0]
    verdict = overfit_memorization(replace(data, anchors=np.where(flat, 1, data.anchors)))
    assert (verdict.status, verdict.n) == ("passed", 13)
    assert verdict.details["one_class_problems"] == [int(data.problems[0])]


def test_it_is_skipped_when_all_problems_have_one_class(labelled: Draw) -> None:
    data = labelled(0)
    assert overfit_memorization(replace(data, anchors=np.zeros_like(data.anchors))).status == "skipped"


def test_two_sentences_with_different_labels_can_be_memorized() -> None:
    rng = np.random.default_rng(0)
    everything = np.ones(2, dtype=bool)
    data = LabelledVectors(rng.normal(size=(2, 16)), np.array([0, 1]), np.zeros(2, int), everything, ~everything)
    assert overfit_memorization(data).passed
