"""Which runs a release gives to the queue, and that each is begun once. Whole queued releases: ``tests/postgres``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from ta_assets.assets.expected import expected_made_from
from ta_assets.core.errors import InputError
from ta_assets.definitions import build_definitions
from ta_assets.jobs import batches, queue
from ta_assets.jobs.batches import BATCH_TAG, cells_of_run, let_others_end, require_queue, unfinished
from ta_assets.jobs.queue import Queue, Waiter
from ta_assets.jobs.runs import STUDY_TAG
from ta_assets.jobs.stage import Outcome, cell_name
from ta_assets.ledger.fingerprint import MADE_FROM
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import ASSETS, FACTS, partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_checks.table import invariants_of
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

PROJECT = Path(__file__).parents[2] / "dagster.yaml"
CORPORA = ["activations[embedded_correct]", "activations[embedded_incorrect]"]
GPU = {"activations": {"dagster-ray/config": '{"num_gpus": 1}'}}
CANCELED, FAILURE, SUCCESS = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(load_studies("embedded"))


@pytest.fixture
def world(tmp_path: Path, definitions: dg.Definitions) -> Iterator[World]:
    """Everything that a release makes in a moment is made."""
    content = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    for section in content.values():
        if isinstance(section, dict) and "base_dir" in section.get("config", {}):
            section["config"]["base_dir"] = str(tmp_path / section["config"]["base_dir"])
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        made = World(
            load_studies("embedded"),
            ArtifactStore(base_dir=str(tmp_path / "artifacts")),
            RolloutsResource(),
            LanguageModelResource(),
            Ledger(instance, lambda: definitions),
        )
        for asset in ASSETS:
            if FACTS[asset].light:
                report(made, asset)
        yield made


def report(world: World, asset: str, without: str = "") -> None:
    """Every partition of an asset as it would be recorded, were it made; all of its checks passed."""
    instance, study = world.ledger.dagster, world.studies.selected
    for partition in partitions_of(asset, study):
        if partition == without:
            continue
        tags = {"dagster/code_version": world.ledger.code_version(asset) or "", "dagster/data_version": "1"}
        for parent, key in world.ledger.parents(asset, partition):
            latest = world.ledger.materialization(parent, key)
            tags[f"dagster/input_event_pointer/{parent}"] = str(latest.storage_id if latest else "NULL")
        facts = {MADE_FROM: dg.MetadataValue.json(expected_made_from(world, asset, partition))}
        event = dg.AssetMaterialization(asset, partition=partition, metadata=facts, tags=tags)
        instance.report_runless_asset_event(event)
        world.ledger.forget(asset, partition)
        new = world.ledger.materialization(asset, partition)
        assert new is not None
        for invariant in invariants_of(asset, study):
            evaluation = dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset),
                check_name=invariant.name,
                passed=True,
                metadata={"verdict": {}, "parameters": invariant.parameters(study)},
                target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                    storage_id=new.storage_id, run_id=new.run_id, timestamp=new.timestamp
                ),
                partition=partition,
            )
            instance.report_runless_asset_event(evaluation)
        world.ledger.forget(asset, partition)


class Log:
    """What is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)

    warning = info


def context(world: World) -> Any:
    code = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("ta_assets.definitions", "defs"))
    run = dg.DagsterRun(job_name="release", job_code_origin=JobPythonOrigin("release", code))
    return SimpleNamespace(instance=world.ledger.dagster, run=run, log=Log())


def waiter(world: World, **queued: Any) -> Waiter:
    return Waiter(context(world), world.fresh(), Queue("ta_assets.definitions", GPU, 0.01, **queued))


def names(batches: list[list[Any]]) -> list[list[str]]:
    return [[cell_name(node) for node in batch] for batch in batches]


def runs_of(world: World) -> list[dg.DagsterRun]:
    return unfinished(world.ledger.dagster, "embedded")


def test_first_each_corpus_is_read_by_a_run_of_its_own(world: World) -> None:
    assert names(waiter(world)._batches()) == [[cell] for cell in CORPORA]


def test_then_the_cells_of_a_setting_are_one_run_and_no_setting_waits_for_another(world: World) -> None:
    report(world, "activations", without="embedded_incorrect")
    corpus, setting = names(waiter(world)._batches())
    assert corpus == [CORPORA[1]]
    assert setting[0] == "cv_scores[embedded_correct]"
    assert setting[-1] == "deferral_plan[embedded_correct]"
    assert len(setting) == 10
    assert all("embedded_correct]" in cell for cell in setting)


def test_two_waiters_begin_one_run_for_what_both_want(world: World) -> None:
    for one in (waiter(world), waiter(world)):
        for batch in one._batches():
            one._submit(batch)
    first, second = runs_of(world)
    assert {cell_name(node) for run in (first, second) for node in cells_of_run(run)} == set(CORPORA)
    assert first.status == dg.DagsterRunStatus.QUEUED
    assert first.tags[BATCH_TAG] == "activations"
    assert first.tags["dagster-ray/config"] == GPU["activations"]["dagster-ray/config"]


def test_a_waiter_takes_over_what_another_has_begun(world: World) -> None:
    killed = waiter(world)
    for batch in killed._batches():
        killed._submit(batch)
    after = waiter(world)
    for run in runs_of(world):
        after._take(run)
    assert after._batches() == []
    assert len(runs_of(world)) == 2


def test_of_what_another_release_began_nothing_is_believed_unseen(world: World) -> None:
    killed = waiter(world)
    for batch in killed._batches():
        killed._submit(batch)
    after, instance = waiter(world), world.ledger.dagster
    for run in runs_of(world):
        after._take(run)
        instance.report_run_failed(run, message="planted: killed")
    after._look()
    assert after._outcomes == {}
    assert names(after._batches()) == [[cell] for cell in CORPORA]


def test_what_a_worker_made_of_another_study_is_no_success(world: World) -> None:
    one, node = waiter(world), batches.node_of(CORPORA[0])
    told = Outcome(CORPORA[0], "computed", "never made")
    assert one._believed(node, told).what == "failed"
    report(world, "activations")
    one._world.ledger.forget(*node)
    assert one._believed(node, told) == told


def test_a_run_that_was_never_put_into_the_queue_is_put_there(world: World) -> None:
    killed = waiter(world)
    (batch, _) = killed._batches()
    run = killed._created(killed._id_of(batch, 0), batch)
    assert run.status == dg.DagsterRunStatus.NOT_STARTED
    waiter(world)._take(run)
    assert [one.status for one in runs_of(world)] == [dg.DagsterRunStatus.QUEUED]


def test_a_cell_whose_runs_die_is_tried_again_and_then_is_lost(world: World) -> None:
    one, instance = waiter(world), world.ledger.dagster
    tried = []
    for _ in range(queue.ATTEMPTS):
        for batch in one._batches():
            one._submit(batch)
        for run in runs_of(world):
            tried.append(run.run_id)
            instance.report_run_failed(run, message="planted: killed")
        one._look()
    assert len(set(tried)) == len(tried) == 2 * queue.ATTEMPTS
    assert one._batches() == []
    lost = one._outcomes[batches.node_of(CORPORA[0])]
    assert (lost.what, lost.why.endswith("ended as FAILURE")) == ("failed", True)


def test_a_run_that_somebody_stops_is_not_begun_again(world: World) -> None:
    one = waiter(world)
    for batch in one._batches():
        one._submit(batch)
    for run in runs_of(world):
        world.ledger.dagster.report_run_canceled(run)
    one._look()
    assert one._batches() == []
    assert {outcome.what for outcome in one._outcomes.values()} == {"failed"}


def test_a_queue_that_nobody_serves_is_named_and_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "NO_DAEMON_SECONDS", 0.0)
    with pytest.raises(InputError, match="start `dagster-daemon run`"):
        waiter(world).run()


def test_a_release_that_makes_cells_itself_empties_the_queue(world: World) -> None:
    one = waiter(world)
    for batch in one._batches():
        one._submit(batch)
    let_others_end(context(world), "another")
    assert len(runs_of(world)) == 2
    let_others_end(context(world), "embedded")
    assert runs_of(world) == []
    assert {run.status for run in world.ledger.dagster.get_runs()} == {CANCELED}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}},
            "expected QueuedRunCoordinator",
        ),
        ({"concurrency": {"runs": {"max_concurrent_runs": 1}}}, "at least 2, since the release is a run as well"),
    ],
)
def test_an_instance_without_a_queue_for_it_is_named(tmp_path: Path, changed: dict[str, Any], expected: str) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance, pytest.raises(InputError, match=expected):
        require_queue(instance)


def test_the_projects_own_instance_has_a_queue(world: World) -> None:
    require_queue(world.ledger.dagster)


def test_what_a_run_says_of_its_cells_is_taken_over(world: World, definitions: dg.Definitions) -> None:
    done = definitions.resolve_job_def(batches.BATCH_JOB).execute_in_process(
        instance=world.ledger.dagster,
        run_config={
            "ops": {batches.BATCH_OP: {"config": {"cells": ["cv_scores[embedded_correct]"]}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags={STUDY_TAG: "embedded"},
    )
    told = batches.outcomes_of(world.ledger.dagster, done.run_id)
    (outcome,) = told.values()
    assert (outcome.cell, outcome.what) == ("cv_scores[embedded_correct]", "left out")
    assert json.dumps(cast("Any", outcome.why)).startswith('"activations[embedded_correct] was not made')
