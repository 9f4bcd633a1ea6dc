"""Studies that make their own rollouts: what a file may say, and what is refused before a token is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ta_assets.core.campaign.corpus.questions import Keys, questions_of
from ta_assets.core.errors import InputError
from ta_assets.ledger.made_from import grading_options, rollout_options
from ta_assets.studies.loading import load_studies, read_study
from ta_assets.studies.study import Study
from ta_resources.campaigns.questions import QuestionsFile
from ta_resources.embedded import task
from ta_resources.embedded.training import N_STEPS

HEALTHY: dict[str, Any] = {
    "name": "mine",
    "generation": {"questions": {"file": "questions.jsonl"}},
    "models": {"small": {"language_model": "./model"}},
    "settings": {"small_correct": {"model": "small", "solutions": "correct"}},
}
QUESTIONS = [{"id": "a", "question": "1 + 1?", "answer": "2"}, {"id": "b", "question": "2 + 2?", "answer": 4}]


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def study(folder: Path, generation: dict[str, Any] | None = None, **sections: Any) -> Study:
    asked = {**HEALTHY["generation"], **(generation or {})}
    return read_study(written(folder, {**HEALTHY, "generation": asked, **sections}))


def test_a_study_says_where_questions_lie_and_gets_the_published_protocol(tmp_path: Path) -> None:
    found = study(tmp_path)
    assert found.generated == found.corpora == ("small_correct",)
    assert found.questions.file == tmp_path / "questions.jsonl"
    asked = found.campaign
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.rollouts.rollouts) == (0.6, 0.95, 100)
    assert asked.prompt.endswith("Problem: {question} Solution: \n<think>\n")
    source = found.source("small_correct")
    assert source.prefix == "small/temperature_0.6_top_p_0.95/correct_base_solution"
    assert source.folder is source.repo_id is None


def test_a_study_with_a_dataset_makes_nothing() -> None:
    assert load_studies("embedded").selected.generated == ()


@pytest.mark.parametrize(
    ("generation", "sections", "where"),
    [
        ({}, {"dataset": {"folder": "data"}}, "dataset, generation"),
        ({"questions": {}}, {}, "exactly one of file and repo_id"),
        ({"questions": {"file": "a.jsonl", "repo_id": "a/b"}}, {}, "exactly one of file and repo_id"),
        ({"budget_tokens": 0}, {}, "budget_tokens"),
        ({"engine": {"kind": "oracle"}}, {}, "engine.kind"),
        ({"engine": {"kind": "server"}}, {}, "address exactly where kind is server"),
        ({"engine": {"address": "http://a:1"}}, {}, "address exactly where kind is server"),
        ({"engine": {"kind": "server", "address": "ftp://a"}}, {}, "engine.address"),
        ({"prompt": "no place for it"}, {}, "prompt"),
        ({"prompt": "{question} {question}"}, {}, "prompt"),
        ({"sampling": {"temperature": 0}}, {}, "sampling.temperature"),
        ({"base": {"lowest": 0.9, "highest": 0.1}}, {}, "lowest must not be above"),
        ({"base": {"tries": 0}}, {}, "base.tries"),
        ({"answers": {"grader": "by taste"}}, {}, "answers.grader"),
        ({"answers": {"pattern": "no group"}}, {}, "answers.pattern"),
        ({"answers": {"pattern": "(open"}}, {}, "answers.pattern"),
        ({"rollouts": {"rollouts": 0}}, {}, "rollouts.rollouts"),
        ({}, {"settings": {"a": {"model": "small", "solutions": "correct_forced_answer"}}}, "settings.a.solutions"),
        ({}, {"verification": {"problem": "auto"}}, "verification.problem"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(
    tmp_path: Path, generation: dict[str, Any], sections: dict[str, Any], where: str
) -> None:
    with pytest.raises(InputError) as refusal:
        study(tmp_path, generation, **sections)
    assert where in str(refusal.value)


def test_a_study_has_a_dataset_or_makes_its_rollouts(tmp_path: Path) -> None:
    without = {key: value for key, value in HEALTHY.items() if key != "generation"}
    with pytest.raises(InputError, match="dataset, generation"):
        read_study(written(tmp_path, without))
    with pytest.raises(InputError, match=r"models\.small\.folder"):
        read_study(written(tmp_path, {**without, "dataset": {"folder": "data"}}))


def questions(folder: Path, content: str | list[dict[str, Any]], **options: Any) -> QuestionsFile:
    text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
    path = folder / "questions.jsonl"
    path.write_text(text, encoding="utf-8")
    return QuestionsFile(path, None, "main", "", **options)


def test_questions_are_numbered_by_their_ids_or_by_their_place(tmp_path: Path) -> None:
    found = questions(tmp_path, QUESTIONS).read()
    assert [(one.problem_id, one.name, one.answer) for one in found] == [(1, "a", "2"), (2, "b", "4")]
    numbered = questions(tmp_path, [{**one, "id": str(10 + place)} for place, one in enumerate(QUESTIONS)]).read()
    assert [one.problem_id for one in numbered] == [10, 11]
    assert len(questions(tmp_path, QUESTIONS, first=1).read()) == 1


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([{**QUESTIONS[0], "question": "  "}], "[0].question"),
        ([{**QUESTIONS[0], "answer": ""}], "[0].answer"),
        ([{"id": "a", "question": "1?"}], "[0].answer"),
        ([QUESTIONS[0], {**QUESTIONS[1], "id": "a"}], "[1].id"),
        ([QUESTIONS[0], {**QUESTIONS[0], "id": "b"}], "[1].question"),
        ([{**QUESTIONS[0], "answer": True}], "[0].answer"),
        ([{**QUESTIONS[0], "answer": ["2"]}], "[0].answer"),
        ("", "(whole file)"),
        ("{]", "line 1"),
        ("[1]", "line 1"),
    ],
)
def test_a_question_that_is_none_is_named(tmp_path: Path, content: Any, field: str) -> None:
    with pytest.raises(InputError) as refusal:
        questions(tmp_path, content).read()
    assert refusal.value.field == field


def test_a_file_that_is_not_there_or_of_no_known_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        QuestionsFile(tmp_path / "no.jsonl", None, "main", "").read()
    (tmp_path / "a.csv").write_text("id\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"\.jsonl or \.parquet"):
        QuestionsFile(tmp_path / "a.csv", None, "main", "").read()


def test_parquet_has_the_same_questions_under_other_keys(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "a.parquet"
    pd.DataFrame([{"n": 7, "problem": "1 + 1?", "gold": "2"}]).to_parquet(path)
    (found,) = QuestionsFile(path, None, "main", "", Keys("n", "problem", "gold")).read()
    assert (found.problem_id, found.question, found.answer) == (7, "1 + 1?", "2")


def test_what_a_file_of_questions_is_does_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = questions(tmp_path, QUESTIONS), questions(tmp_path / "a", QUESTIONS)
    assert first.identity() == second.identity()
    assert first.identity() != questions(tmp_path, QUESTIONS[:1]).identity()


def test_the_shipped_questions_are_those_that_the_task_draws_and_none_of_the_corpora() -> None:
    shipped = load_studies("from_scratch").selected.questions
    rows = [{"id": one.name, "question": one.question, "answer": one.answer} for one in shipped.read()]
    assert rows == task.draw_questions(len(rows), N_STEPS)
    embedded = Path(task.__file__).parent / "math-rollouts"
    known = {json.loads(path.read_text(encoding="utf-8"))["problem"] for path in embedded.rglob("problem.json")}
    assert not {one.question for one in shipped.read()} & known


def test_half_a_surrogate_pair_is_no_question() -> None:
    with pytest.raises(InputError, match="surrogates"):
        questions_of([{**QUESTIONS[0], "question": "what is \ud800?"}], Keys(), "here")


def test_another_threshold_makes_labels_anew_and_another_grader_rollouts() -> None:
    study = load_studies("from_scratch").selected
    assert study.campaign.rollouts.threshold != 0.05
    others = {"rollouts": {"threshold": 0.05}, "answers": {"grader": "math_verify"}}
    for section, change in others.items():
        part = getattr(study.campaign, section).model_copy(update=change)
        generation = study.campaign.model_copy(update={section: part})
        other = study.model_copy(update={"generation": generation})
        for options in (rollout_options, grading_options):
            assert options(other) != options(study), (section, options.__name__)
