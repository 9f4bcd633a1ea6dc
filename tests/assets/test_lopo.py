"""A study that leaves one problem out, through Dagster: made, judged, and resumed fold by fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ta_assets.assets.fold_runs import FoldRuns
from ta_assets.assets.verdicts import VerdictConfig, make_report
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.results import cells
from ta_assets.core.values import Split
from ta_assets.ledger.made_from import split_options
from ta_assets.ledger.world import World
from ta_assets.studies.loading import read_study
from ta_assets.vectors.probe_data import folds_of, stored_folds
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.report import formats
from ta_checks.rules.shuffles import random_label as rule
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.table import invariants_of
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import ArtifactStore
from tests.assets.made import change, copy_of, materialized, verdict

pytestmark = pytest.mark.slow
SETTING, CELL = "tiny_correct", "3|tiny_correct"
PROBLEMS = [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_world: Callable) -> Iterator[World]:
    """A study of one setting with ``scheme: lopo``, made once in one process."""
    folder = tmp_path_factory.mktemp("lopo")
    world = make_world(folder, tiny_model)
    world.change_study(
        splits={"scheme": "lopo", "val": 0.2, "train": 0.6, "test": 0.2},
        settings={SETTING: {"model": "tiny", "solutions": "correct"}},
    )
    with materialized(world.study) as world:
        yield world


@pytest.fixture
def copied(made: World, tmp_path: Path) -> World:
    return copy_of(made, tmp_path)


def test_the_study_is_ok_and_every_check_is_evaluated(made: World) -> None:
    report = make_report(made, "tiny", VerdictConfig())
    assert report.verdict == "OK", formats.text(report)
    assert {row.verdict.status for row in report.rows} <= {"passed", "warned"}
    for seed in range(5):
        for invariant in invariants_of("probe_metrics", made.studies.selected):
            found = judge(invariant, Evidence("probe_metrics", f"{seed}|{SETTING}", made))
            assert found.status == "passed" or invariant.severity == "WARN", (invariant.name, found.message)
            left_out = invariant.name == "network_refits" and found.message.startswith("not evaluated because seed")
            assert found.n > 0 or left_out


def test_every_problem_is_tested_once_by_probes_that_never_saw_it(made: World) -> None:
    assert list(folds_of(made.store.load("splits", SETTING)) or {}) == PROBLEMS
    cell = made.store.load("probe_metrics", CELL)
    test = cell.predictions[cell.predictions["split"] == "test"]
    assert (test["fold_id"] == test["problem_id"]).all()
    assert sorted(test["problem_id"].unique()) == PROBLEMS
    assert not test.duplicated(["problem_id", "chunk_idx"]).any()
    assert [int(fold) for fold in cell.metrics["folds"]] == PROBLEMS
    assert all(fold["confidence_intervals"] == {} for fold in cell.metrics["folds"].values())


def test_means_are_over_folds_and_deltas_are_paired(made: World) -> None:
    value = made.store.load("aggregate_metrics", SETTING)
    over_folds = {row["model"]: row["average_precision_mean"] for row in value["lopo"]["mean_seeds"]}
    over_seeds = {row["model"]: row["average_precision_mean"] for row in value["summary_by_model"]}
    assert over_folds == pytest.approx(over_seeds)
    assert value["best_model"] == value["lopo"]["best_model"]
    assert value["lopo"]["folds"] == PROBLEMS
    deltas = value["lopo"]["paired_deltas"]
    assert [row["comparison"].partition(" ")[0] for row in deltas] == [
        "activations_plus_position",
        "linear_probe",
        "mlp_probe",
    ]
    assert all(row["percentile_low"] <= row["delta_mean"] <= row["percentile_high"] for row in deltas)
    assert all(row["t_low"] < row["delta_mean"] < row["t_high"] for row in deltas)
    assert {row["n_problems"] for row in deltas} == {len(PROBLEMS)}


def leak(folds: dict[str, Any]) -> dict[str, Any]:
    """Every fold also trains on the problem that it leaves out."""
    splits = folds_of(folds) or {}
    return stored_folds({fold: Split((*one.train, fold), one.val, one.test) for fold, one in splits.items()})


def test_a_fold_that_trains_on_its_test_problem_is_found(copied: World) -> None:
    def leak_one(folds: dict[str, Any]) -> dict[str, Any]:
        return {"folds": {**folds["folds"], "4": leak(folds)["folds"]["4"]}}

    change(copied, "splits", SETTING, leak_one)
    found = verdict(copied, "split_is_disjoint", "splits", SETTING)
    assert (found.status, found.offenders) == ("failed", ("fold 4: problem 4 is in train and test",))


def test_labels_that_are_not_shuffled_in_one_fold_turn_the_cell_red_that_judges_it(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rule.random_label

    def random_label(data: LabelledVectors, **options: Any) -> Verdict:
        if set(data.problems[data.test]) == {4}:
            options["permute"] = lambda data, _, n: np.repeat(data.anchors[:, None], n, axis=1)
        return real(data, **options)

    monkeypatch.setattr(rule, "random_label", random_label)
    found = [verdict(made, "random_label", "probe_metrics", f"{seed}|{SETTING}") for seed in range(5)]
    red = [one for one in found if one.status != "passed"]
    assert red
    assert all(one.status == "failed" and one.message.startswith("fold 4: ") for one in red)
    assert len(red) < len(found)


def test_an_undefined_metric_of_one_fold_is_found(copied: World) -> None:
    def undefine(cell: Any) -> Any:
        cell.metrics["folds"]["2"]["models"]["linear_probe"]["test"]["average_precision"] = None
        return cell

    change(copied, "probe_metrics", CELL, undefine)
    found = verdict(copied, "finite_metrics", "probe_metrics", CELL)
    assert found.status == "failed"
    assert "fold 2.linear_probe.test.average_precision" in found.offenders[0]

    def undefine_mean(value: dict[str, Any]) -> dict[str, Any]:
        value["lopo"]["mean_seeds"][0]["average_precision_mean"] = None
        return value

    change(copied, "aggregate_metrics", SETTING, undefine_mean)
    assert verdict(copied, "finite_metrics", "aggregate_metrics", SETTING).status == "failed"


@pytest.fixture
def folds() -> dict[int, ProbeData]:
    """Four problems of ten sentences, each the test of one fold."""
    rng = np.random.default_rng(0)
    problems = np.repeat([1, 2, 3, 4], 10)
    index = np.tile(np.arange(10), 4)
    rows = pd.DataFrame(
        {
            "problem_id": problems,
            "chunk_idx": index,
            "num_chunks": 10,
            "chunk_text": [f"word {i % 7}" for i in range(40)],
            "anchor": (index % 5 == 1).astype(int),
            "importance_score": rng.random(40),
            "relative_position": index / 9,
            "token_count": 3,
        }
    )
    vectors = rng.normal(size=(40, 6)).astype(np.float32)
    parts = {
        fold: np.where(problems == fold, "test", np.where(problems == fold % 4 + 1, "val", "train"))
        for fold in range(1, 5)
    }
    return {fold: ProbeData.of(rows.assign(split=part), vectors) for fold, part in parts.items()}


class Killed(BaseException):
    """What no handler of ordinary errors stops, as a signal would not."""


def test_a_killed_run_repeats_only_the_fold_that_it_was_in(
    folds: dict[int, ProbeData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ProbeOptions(mlp_hidden=4, mlp_max_iter=5)
    messages: list[str] = []
    store = ArtifactStore(base_dir=str(tmp_path / "a"))
    undisturbed = FoldRuns(folds, options, ArtifactStore(base_dir=str(tmp_path / "b")), messages.append)
    expected = undisturbed.cell(1, undisturbed.seed_free())
    real, computed = cells.evaluate_cell, []

    def evaluate(data: ProbeData, *rest: Any) -> Any:
        fold = int(data.rows.loc[data.rows["split"] == "test", "problem_id"].iloc[0])
        if fold == 3 and 3 not in computed:
            computed.append(fold)
            raise Killed
        computed.append(fold)
        return real(data, *rest)

    monkeypatch.setattr(cells, "evaluate_cell", evaluate)
    attempt = FoldRuns(folds, options, store, messages.append)
    seed_free = attempt.seed_free()
    with pytest.raises(Killed):
        attempt.cell(1, seed_free)
    found = FoldRuns(folds, options, store, messages.append).cell(1, seed_free)
    assert computed == [1, 2, 3, 3, 4]
    assert found.metrics == expected.metrics
    pd.testing.assert_frame_equal(found.predictions, expected.predictions)

    FoldRuns(folds, options, store, messages.append).cell(2, seed_free)
    assert computed[5:] == [1, 2, 3, 4], "another seed has folds of its own"
    other = dataclasses.replace(folds[1], vectors=np.ones((40, 6), dtype=np.float32))
    with pytest.raises(ValueError, match="fitted on other labels, splits or vectors"):
        FoldRuns({**folds, 1: other}, options, store, messages.append).cell(1, seed_free)


def test_a_damaged_fold_is_computed_again(folds: dict[int, ProbeData], tmp_path: Path) -> None:
    messages: list[str] = []
    runs_of = FoldRuns(folds, ProbeOptions(), ArtifactStore(base_dir=str(tmp_path)), messages.append)
    expected = runs_of.seed_free()
    assert messages == []
    damaged = sorted((tmp_path / "seed_free_scores_folds").rglob("*.parquet"))
    assert len(damaged) == 4
    damaged[0].write_bytes(b"damaged")
    found = runs_of.seed_free()
    pd.testing.assert_frame_equal(found.scores, expected.scores)
    assert sum("is computed again" in message for message in messages) == 1
    assert sum("was taken from the store" in message for message in messages) == 3


def test_a_single_split_is_made_from_what_it_always_was(tiny_world: Any) -> None:
    study = read_study(tiny_world.study)
    assert split_options(study) == {"splits": {"train": 0.7, "val": 0.15, "test": 0.15, "seed": 0}}
    tiny_world.change_study(splits={"scheme": "lopo", "seed": 3})
    assert split_options(read_study(tiny_world.study)) == {"splits": {"scheme": "lopo", "val": 0.15}}
