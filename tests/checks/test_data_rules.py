"""Rules on what the data say of themselves: healthy problems, and planted contradictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ta_assets.core.values import Problem
from ta_assets.studies.loading import load_studies
from ta_checks.rules.data.corpus_not_shrunk import corpus_not_shrunk, read
from ta_checks.rules.data.labels_follow_fractions import labels_follow_fractions
from ta_checks.rules.data.traces_are_whole import Continuation, traces_are_whole
from ta_resources.rollouts.local_folder import LocalFolder
from ta_resources.rollouts.problem_files import parse_problem
from ta_resources.storage.artifacts import ArtifactStore

CF, RESAMPLING = "counterfactual_importance_accuracy", "resampling_importance_accuracy"
Chunks = list[dict[str, Any]]


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    """The right traces of the embedded study."""
    source = load_studies("embedded").selected.source("embedded_correct")
    reader = LocalFolder(source)
    return [parse_problem(reader.read(one)) for one in reader.list_problem_ids()[:12]]


def chunks_of(problems: list[Problem], edit: Callable[[Chunks], Chunks] = list) -> list[tuple[int, Chunks]]:
    return [(one.problem_id, edit([dict(chunk) for chunk in one.chunks])) for one in problems]


def test_labels_of_the_embedded_study_follow_from_their_fractions(problems: list[Problem]) -> None:
    verdict = labels_follow_fractions(chunks_of(problems), 60)
    assert verdict.passed
    assert verdict.details["not_following"] == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda chunks: [
            {**one, CF: chunks[i - 1][CF], RESAMPLING: chunks[i - 1][RESAMPLING]} for i, one in enumerate(chunks)
        ],
        lambda chunks: [{**one, CF: 100 * one[CF]} for one in chunks],
        lambda chunks: [{**one, CF: -one[CF]} for one in chunks],
        lambda chunks: [{**one, "accuracy": chunks[i - 1]["accuracy"]} for i, one in enumerate(chunks)],
        lambda chunks: [{**one, CF: one[CF] + 1 / 60} for one in chunks],
    ],
    ids=["shifted", "percent", "sign", "accuracies of other sentences", "one rollout more"],
)
def test_labels_that_no_rollouts_can_give_fail(problems: list[Problem], edit: Callable[[Chunks], Chunks]) -> None:
    verdict = labels_follow_fractions(chunks_of(problems, edit), 60)
    assert verdict.status == "failed"
    assert isinstance(verdict.observed, (int, float))
    assert verdict.observed > len(problems) / 2


def test_two_odd_sentences_in_one_problem_are_borne_and_named(problems: list[Problem]) -> None:
    found = chunks_of(problems)
    found[0][1][3][CF] += 0.001
    verdict = labels_follow_fractions(found, 60)
    assert verdict.passed
    assert verdict.details["not_following"] == 1


def test_problems_without_fractions_are_counted_as_not_looked_at(problems: list[Problem]) -> None:
    silent = chunks_of(problems, lambda chunks: [{"chunk": one["chunk"], CF: one[CF]} for one in chunks])
    verdict = labels_follow_fractions(silent, 60)
    assert verdict.n == 0
    assert "12 problems hold no fractions" in verdict.message


def changed(problem: Problem, **base: Any) -> Problem:
    return Problem(
        problem.problem_id, problem.source, problem.statement, {**problem.base_solution, **base}, problem.chunks
    )


def test_traces_of_the_embedded_study_are_whole(problems: list[Problem]) -> None:
    own = problems[0].base_solution["prompt"]
    verdict = traces_are_whole(problems, True, {problems[0].problem_id: [Continuation("a", own + " So 4.", "So")]})
    assert verdict.passed, verdict.offenders
    assert verdict.message.startswith("12 problems and 1 rollouts of 1 of them read")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda base: {"is_correct": False}, "is_correct is False"),
        (lambda base: {"prompt": "Another question?"}, "its statement is not in its prompt"),
        (lambda base: {"full_cot": base["solution"] + " More."}, "its trace does not begin with its prompt"),
        (lambda base: {"answer": "seventeen"}, "does not stand at the end"),
        (lambda base: {"solution": base["solution"] + " And more."}, "its trace goes on after its last sentence"),
    ],
)
def test_a_problem_that_contradicts_itself_fails(
    problems: list[Problem], edit: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    wrong = changed(problems[0], **edit(dict(problems[0].base_solution)))
    verdict = traces_are_whole([wrong, *problems[1:]], True, {})
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders


def test_rollouts_of_another_prompt_fail_and_what_is_not_told_is_not_asked(problems: list[Problem]) -> None:
    own = problems[0].problem_id
    assert not traces_are_whole(problems, True, {own: [Continuation("a", "Autre question ?", None)]}).passed
    assert traces_are_whole(problems, None, {own: [Continuation("a", None, None)]}).passed
    bare = Problem(1, "made here", {}, {}, ({"chunk": "So 4."},))
    assert traces_are_whole([bare], True, {}).passed


def test_what_a_model_says_after_it_has_thought_belongs_to_no_sentence(problems: list[Problem]) -> None:
    base = problems[0].base_solution
    more = f"{base['solution']} </think> So {base['answer']}."
    assert traces_are_whole([changed(problems[0], solution=more, full_cot=base["prompt"] + more)], True, {}).passed


@pytest.mark.parametrize(("now", "before", "passed"), [(5, None, True), (5, 5, True), (6, 5, True), (4, 5, False)])
def test_a_corpus_that_shrank_is_seen(now: int, before: int | None, passed: bool) -> None:
    assert corpus_not_shrunk(now, before).passed is passed


def test_how_many_problems_there_were_is_read_from_the_stored_verdict(tmp_path: Path) -> None:
    store = ArtifactStore(base_dir=str(tmp_path))
    study, world = SimpleNamespace(name="mine"), SimpleNamespace(store=store)
    evidence: Any = SimpleNamespace(study=study, world=world, partition="right", value=[1, 2])
    assert read(evidence) == {"now": 2, "before": None}
    rows = [{"name": "problems_as_asked", "partition": one, "n": n} for one, n in (("wrong", 9), ("right", 3))]
    store.save("release_verdict", "mine", {"checks": rows})
    assert read(evidence) == {"now": 2, "before": 3}
