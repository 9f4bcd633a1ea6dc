"""A small campaign of the model that ships: its checks are quiet, and red on what is planted in its files."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ta_assets.assets.expected import why_made
from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_assets.export import export
from ta_assets.jobs import runs
from ta_assets.ledger.table import ASSETS, FACTS, Scope
from ta_assets.ledger.world import World
from ta_assets.plan import sources
from ta_assets.studies.loading import SHIPPED
from ta_checks.table import INVARIANTS
from ta_resources.embedded import task
from ta_resources.rollouts.resource import RolloutsResource
from tests.assets.made import change, copy_of, materialized, verdict

CORPUS = "few_correct"
OWN = [one for one in ASSETS if FACTS[one].scope is Scope.GENERATED]
JUDGED = [(row.name, row.asset) for row in INVARIANTS if row.asset in OWN]
Plant = Callable[[World], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two questions of ``from_scratch``, six rollouts of each sentence."""
    folder = tmp_path_factory.mktemp("campaign")
    study = yaml.safe_load((SHIPPED / "from_scratch.yaml").read_text(encoding="utf-8"))
    place = Path(task.__file__).parent
    study["name"], study["settings"] = "few", {CORPUS: {"model": "few", "solutions": "correct"}}
    study["models"] = {"few": {"language_model": str(place / "model"), "wrote_traces": True}}
    asked = study["generation"]
    asked["questions"] = {"file": str(place / "questions.jsonl"), "first": 2}
    asked["base"] |= {"tries": 10, "lowest": 0.05, "highest": 0.95}
    asked["rollouts"] = {"rollouts": 6, "batch": 6}
    path = folder / "few.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    with materialized(path, assets=OWN) as world:
        yield world


def rewritten(world: World, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """The rows of the first file of rollouts, edited as a whole: its schema and key stay what they are."""
    row = world.store.load("rollouts", CORPUS).rows.iloc[1]
    path = world.store.local_folder / json.loads(row["parts"])[0]
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(edit(table.to_pylist()), schema=table.schema), path)


def _first(**changed: Any) -> Plant:
    return lambda world: rewritten(world, lambda rows: [{**rows[0], **changed}, *rows[1:]])


def rows_of(asset: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Plant:
    return lambda world: change(
        world, asset, CORPUS, lambda value: dataclasses.replace(value, rows=edit(value.rows.copy()))
    )


def record_of(asset: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Plant:
    def edited(value: Any) -> Any:
        return dataclasses.replace(value, record=edit(json.loads(json.dumps(value.record))))

    return lambda world: change(world, asset, CORPUS, edited)


def labels(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Plant:
    """The labels of every problem, edited."""

    def edited(value: Any) -> Any:
        found = {
            name: json.dumps(edit(json.loads(text))) if name.endswith("chunks_labeled.json") else text
            for name, text in value.layout.items()
        }
        return dataclasses.replace(value, layout=found)

    return lambda world: change(world, "labels", CORPUS, edited)


def _set(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = [value if place == row else one for place, one in enumerate(table[column])]
        return table

    return edit


def _late(table: pd.DataFrame) -> pd.DataFrame:
    """Every sentence but the first begins one token late."""
    table["boundaries"] = [
        json.dumps([first, *(one + 1 for one in rest)]) for first, *rest in map(json.loads, table["boundaries"])
    ]
    return table


def _answers_by_chance(world: World) -> None:
    """Every rollout ends in an answer that was drawn among those of its problem."""
    rng, verdicts = random.Random(0), world.store.load("labels", CORPUS).record["verdicts"]
    for row in world.store.load("rollouts", CORPUS).rows.to_dict("records"):
        known = [one["answer"] for one in verdicts if one["problem_id"] == row["problem_id"]]
        for name in json.loads(row["parts"]):
            table = pq.read_table(world.store.local_folder / name)
            rows = [
                {**one, "text": f"{one['text']} So the answer is {rng.choice(known)}."} for one in table.to_pylist()
            ]
            pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), world.store.local_folder / name)


CF = "counterfactual_importance_accuracy"


def verdicts(edit: Callable[[int, dict[str, Any]], dict[str, Any]]) -> Plant:
    """What graders said of every answer, edited."""

    def edited(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "verdicts": [{**one, **edit(place, one)} for place, one in enumerate(record["verdicts"])]}

    return record_of("labels", edited)


def entries(edit: Callable[[list[dict[str, Any]], int], dict[str, Any]]) -> Plant:
    """Some fields of every sentence's labels; ``edit`` takes all sentences and the place of one."""
    return labels(lambda of: [{**one, **edit(of, place)} for place, one in enumerate(of)])


PLANTED: dict[tuple[str, str], dict[str, Plant]] = {
    ("rollouts_accounted", "rollouts"): {
        "a rollout is gone": lambda world: rewritten(world, lambda rows: rows[:-1]),
        "a rollout is there twice": lambda world: rewritten(world, lambda rows: [rows[0], *rows]),
        "a text has no answer any more": _first(text="I do not know."),
        "a rollout became an error": _first(finish_reason="error", text="", token_ids=[]),
        "fewer tokens than there are": _first(generated_tokens=1),
        "the table has more right ones": rows_of("rollouts", lambda table: table.assign(right=table["right"] + 1)),
    },
    ("campaign_complete", "rollouts"): {
        "a sentence lost its row": rows_of("rollouts", lambda table: table.drop(index=2)),
        "a rollout less": rows_of("rollouts", _set("drawn", 3, 5)),
        "a problem lost its trace": rows_of("base_traces", lambda table: table.iloc[1:]),
    },
    ("prefixes_exact", "rollouts"): {
        "sentences begin a token late": rows_of("base_traces", _late),
        "drawn from another prefix": rows_of("rollouts", _set("key", 1, "0" * 64)),
        "another text": rows_of("base_traces", _set("solution", 0, " All is well.")),
        "another prompt": rows_of("base_traces", _set("prompt", 0, "Say: ")),
        "another draw": rows_of("base_traces", _set("draw", 0, 5)),
    },
    ("labels_follow_parts", "labels"): {
        "the sign is turned": entries(lambda of, i: {CF: 0.01 - of[i].get(CF, 0)}),
        "labels are shifted": entries(lambda of, i: {CF: of[i - 1].get(CF, 0) + 0.001}),
        "one rollout more": entries(lambda of, i: {"accuracy": of[i]["accuracy"] + 1 / 6}),
        "a sentence is lost": labels(lambda of: of[1:]),
    },
    ("graders_agree", "labels"): {
        "verdicts are turned": verdicts(lambda _, one: {"verdict": not one["verdict"]}),
        "the second grader says no": verdicts(lambda _, one: {"second": not one["first"]}),
    },
    ("labels_reliable", "labels"): {
        "answers by chance": _answers_by_chance,
    },
}
FAULTS = [(*check, fault, plant) for check, of in PLANTED.items() for fault, plant in of.items()]
ALWAYS = [one for one in JUDGED if one[0] not in ("artifacts_intact", "labels_reliable")]
"""Checks that say something of a campaign as small as this."""


@pytest.mark.parametrize(("name", "asset"), ALWAYS)
def test_a_check_of_a_healthy_campaign_passes(made: World, name: str, asset: str) -> None:
    found = verdict(made, name, asset, CORPUS)
    assert found.passed, (found.message, found.offenders)
    assert found.n > 0


@pytest.mark.parametrize("asset", OWN)
def test_files_are_those_that_were_recorded_nested_ones_too(made: World, asset: str, tmp_path: Path) -> None:
    assert verdict(made, "artifacts_intact", asset, CORPUS).passed
    copied = copy_of(made, tmp_path)
    names = [name for name in copied.store.hashes(asset, CORPUS) if not name.endswith("manifest.json")]
    path = copied.store.local_folder / names[-1]
    path.write_bytes(path.read_bytes() + b" ")
    found = verdict(copied, "artifacts_intact", asset, CORPUS)
    assert found.status == "failed"
    assert names[-1] in " ".join(found.offenders)


@pytest.mark.parametrize(("name", "asset", "fault", "plant"), FAULTS, ids=[f"{one[0]}: {one[2]}" for one in FAULTS])
def test_what_is_planted_in_a_campaign_is_found(
    made: World, tmp_path: Path, name: str, asset: str, fault: str, plant: Plant
) -> None:
    copied = copy_of(made, tmp_path)
    plant(copied)
    assert verdict(copied, name, asset, CORPUS).status in ("failed", "warned"), fault


def test_every_check_of_a_campaign_has_a_fault_of_its_own() -> None:
    assert {(name, asset) for name, asset in JUDGED if name != "artifacts_intact"} == {one[:2] for one in FAULTS}


def test_an_exported_corpus_gives_its_labels_by_the_formulas_of_the_published_analysis(
    made: World, tmp_path: Path
) -> None:
    """The formulas are written out here once more, over the files that the dataset's own tools read."""
    assert export(made, CORPUS, tmp_path) > len(made.store.load("labels", CORPUS).layout)
    prefix = made.studies.selected.source(CORPUS).prefix
    folders = sorted((tmp_path / prefix).glob("problem_*"))
    assert len(folders) == 2
    for folder in folders:
        chunks = json.loads((folder / "chunks_labeled.json").read_text(encoding="utf-8"))
        groups = [
            [one for one in json.loads((folder / f"chunk_{i}/solutions.json").read_text()) if one["answer"]]
            for i in range(len(chunks))
        ]
        for i, chunk in enumerate(chunks):
            other = [one for one in groups[i] if one["chunk_resampled"].split() != one["chunk_removed"].split()]
            accuracy, different = (
                np.mean([one["is_correct"] for one in of]) if of else 0.0 for of in (groups[i], other)
            )
            following = groups[i + 1] if i + 1 < len(chunks) else []
            after = np.mean([one["is_correct"] for one in following]) if following else 0.0
            assert chunk["accuracy"] == pytest.approx(accuracy)
            assert chunk["resampling_importance_accuracy"] == pytest.approx(
                after - accuracy if following and groups[i] else 0.0
            )
            assert chunk[CF] == pytest.approx(different - after if following and other else 0.0)
            assert all(one["full_cot"].startswith(chunks_prompt(folder)) for one in groups[i])


def chunks_prompt(folder: Path) -> str:
    return json.loads((folder / "base_solution.json").read_text(encoding="utf-8"))["prompt"]


def test_an_exported_corpus_is_a_dataset_like_any_other(made: World, tmp_path: Path) -> None:
    export(made, CORPUS, tmp_path)
    source = CorpusSource(made.studies.selected.source(CORPUS).prefix, folder=str(tmp_path))
    rollouts = RolloutsResource()
    (problem_id, *_) = rollouts.list_problem_ids(source)
    problem = rollouts.load_problem(source, problem_id)
    groups = rollouts.load_rollouts(source, problem_id, problem.folders)
    assert len(groups) == len(problem.chunks)
    with pytest.raises(InputError, match=CORPUS):
        export(made, "embedded_correct", tmp_path)


def test_what_is_stored_is_not_drawn_again(made: World) -> None:
    result = runs.make(made.ledger.definitions(), made.ledger.dagster, "rollouts", CORPUS)
    assert runs.made(result, "rollouts")
    latest = made.fresh().ledger.materialization("rollouts", CORPUS)
    assert latest is not None
    assert latest.metadata["generated_by_this_run"] == 0


def test_a_plan_says_what_a_campaign_costs(made: World) -> None:
    (questions, cost, *_) = sources(made)
    assert questions.facts == "2 questions"
    assert "tokens generated" in cost.facts
    assert "measured: 2 traces" in cost.facts


def test_a_campaign_whose_tokens_are_spent_is_red_and_owed(made: World, tmp_path: Path) -> None:
    shutil.copytree(made.store.local_folder / "parts", tmp_path / "artifacts/parts")
    study = yaml.safe_load(made.studies.selected.path.read_text(encoding="utf-8"))
    study["generation"] |= {"rollouts": {"rollouts": 12, "batch": 6}, "budget_tokens": 1}
    path = tmp_path / "few.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    with materialized(path, assets=OWN[:3]) as world:
        found = verdict(world, "campaign_complete", "rollouts", CORPUS)
        assert found.status == "failed"
        assert verdict(world, "rollouts_accounted", "rollouts", CORPUS).passed, "what is there is counted"
        assert "tokens of its last run were spent" in str(why_made(world, "rollouts", CORPUS))
