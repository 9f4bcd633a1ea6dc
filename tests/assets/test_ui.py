"""What the web UI shows and does, asked of one ``dagster dev`` by the queries of its own pages.

A release of a world in which a problem cannot be labelled in one of two corpora: red in the first, green in the last.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.assets.conftest import TinyWorld, build_world

RED, GREEN = "tiny_correct", "tiny_incorrect"
LOCATION = {"repositoryLocationName": "planted", "repositoryName": "__repository__"}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
EVENTS = """query($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection { events {
  __typename ... on MessageEvent { message level stepKey }
  ... on ExecutionStepFailureEvent { failureMetadata { metadataEntries { label __typename
    ... on MarkdownMetadataEntry { mdStr } ... on AssetMetadataEntry { assetKey { path } } } } }
  ... on EngineEvent { metadataEntries { label ... on PipelineRunMetadataEntry { runId } } } } } } }"""
RUNS = "query { runsOrError { ... on Runs { results { runId jobName status parentRunId tags { key value } } } } }"
LATEST = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name description partitionKeys: name
    executionForLatestMaterialization { status runId evaluation { partition success severity description
      metadataEntries { label ... on TextMetadataEntry { text } } } } } } } } } }"""
NODES = """query { assetNodes { assetKey { path } groupName kinds owners { ... on TeamAssetOwner { team } }
  tags { key value } partitionKeysByDimension { name partitionKeys } description internalFreshnessPolicy { __typename }
  metadataEntries { label __typename } } }"""


@dataclass
class Server:
    """A ``dagster dev`` that was started as a shell script would start it, in the background."""

    world: TinyWorld
    process: subprocess.Popen[bytes]
    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def launch(self, job: str, **selector: Any) -> str:
        """Press the button; the id of the run."""
        params = {"selector": {**LOCATION, "pipelineName": job, **selector}, "mode": "default"}
        answer = self.ask(LAUNCH, params=params)["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def runs(self) -> list[dict[str, Any]]:
        """All, the latest first."""
        return self.ask(RUNS)["runsOrError"]["results"]

    def run(self, run_id: str) -> dict[str, Any]:
        return next(one for one in self.runs() if one["runId"] == run_id)

    def end_of(self, run_id: str, seconds: float = 300) -> str:
        """Wait for a run to end; its status."""
        return wait(lambda: (status := self.run(run_id)["status"]) in ENDED and status, seconds)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        return self.ask(EVENTS, id=run_id)["logsForRun"]["events"]

    def lines(self, run_id: str) -> list[str]:
        """What the run's page says, without Dagster's own events."""
        return [one["message"] for one in self.events(run_id) if one["__typename"] == "LogMessageEvent"]

    def checks(self, asset: str) -> dict[str, dict[str, Any]]:
        """Name -> what colours the asset: the latest evaluation of each check."""
        node = self.ask(LATEST, key={"path": [asset]})["assetNodeOrError"]
        return {one["name"]: one for one in node["assetChecksOrError"]["checks"]}


def wait(until: Callable[[], Any], seconds: float) -> Any:
    """What ``until`` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = until()
        if found:
            return found
        time.sleep(0.3)
    raise TimeoutError(f"not within {seconds} s")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> TinyWorld:
    folder = tmp_path_factory.mktemp("ui")
    world = build_world(folder, tiny_model)
    chunks = world.problem("correct", 1) / "chunks_labeled.json"
    chunks.write_text("[]", encoding="utf-8")
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_module": "planted"}]}))
    return world


@pytest.fixture(scope="module")
def server(world: TinyWorld) -> Iterator[Server]:
    environment = {**os.environ, **world.environment("slow"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    for name in ("DAGSTER_HOME", "DAGSTER_MODULE_NAME"):
        environment.pop(name, None)
    port = free_port()
    with (world.folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)],
            cwd=world.folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        made = Server(world, process, port)
        try:
            wait(lambda: _answers(made), 120)
            yield made
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=60)
                finally:
                    os.killpg(process.pid, signal.SIGKILL)


def _answers(server: Server) -> bool:
    try:
        return len(server.ask(NODES)["assetNodes"]) > 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def terminated(server: Server) -> str:
    """A release on which Terminate was pressed while it read a corpus."""
    slow = server.world.folder / "slow"
    slow.touch()
    run_id = server.launch("release")
    wait(lambda: any("sentences[tiny_correct]: computing" in line for line in server.lines(run_id)), 120)
    server.ask(TERMINATE, id=run_id)
    server.end_of(run_id, 30)
    slow.unlink()
    return run_id


@pytest.fixture(scope="module")
def released(server: Server, terminated: str) -> str:
    """A release that was left alone, after one that was stopped."""
    run_id = server.launch("release")
    server.end_of(run_id)
    return run_id


def test_terminate_stops_the_release_and_nothing_is_written(server: Server, terminated: str) -> None:
    assert server.run(terminated)["status"] == "CANCELED"
    inside = [run for run in server.runs() if run["parentRunId"] == terminated]
    assert {run["jobName"] for run in inside} == {"make_problem_ids", "make_splits", "make_sentences"}
    assert [run["status"] for run in inside if run["jobName"] == "make_sentences"] == ["CANCELED"]
    written = server.world.folder / "artifacts/tiny"
    assert not [path for path in written.rglob("*") if path.name in {"verdict.json", "README.md"}]


def test_the_next_release_goes_on_where_it_was_stopped(server: Server, released: str) -> None:
    assert server.run(released)["status"] == "FAILURE", "one problem is skipped"
    lines = server.lines(released)
    assert not any(line.startswith("problem_ids[tiny_correct]: computing") for line in lines)
    assert any(line.startswith("sentences[tiny_correct]: computing") for line in lines)
    assert {(asset, partition) for _, asset, partition in server.world.red()} == {
        ("sentences", RED),
        ("activations", RED),
    }


def test_the_log_says_which_study_and_which_cell_is_at_work(server: Server, released: str) -> None:
    lines = server.lines(released)
    assert lines[0].startswith("release of study tiny, 30 cells: ")
    (began,) = (line for line in lines if line.startswith("activations[tiny_correct]: computing"))
    assert ": computing, cell 7 of 30, because: never made, run " in began
    assert any("tokens in" in line for line in lines), "what the extraction says of itself"
    links = [
        entry["runId"]
        for event in server.events(released)
        for entry in event.get("metadataEntries", [])
        if "runId" in entry and event["message"] == began
    ]
    assert links == [began.rpartition(" ")[2]]


def test_a_failed_release_says_what_failed_and_what_to_do(server: Server, released: str) -> None:
    (failed,) = (one for one in server.events(released) if one["__typename"] == "ExecutionStepFailureEvent")
    entries = {one["label"]: one for one in failed["failureMetadata"]["metadataEntries"]}
    assert "zero_skipped_problems" in entries["red"]["mdStr"]
    assert "sentences\\[tiny" in entries["red"]["mdStr"]
    assert {one["assetKey"]["path"][0] for one in entries.values() if "assetKey" in one} == {
        "release_verdict",
        "report",
        "sentences",
        "activations",
    }
    said = [one["message"] for one in server.events(released) if one["__typename"] == "LogMessageEvent"]
    red = [message for message in said if "What it means: " in message]
    assert len(red) == len(server.world.red())
    assert any(line.startswith("zero_skipped_problems of sentences[tiny_correct] failed: ") for line in red)


def test_red_in_one_partition_looks_red_though_the_last_one_is_green(server: Server, released: str) -> None:
    latest = server.checks("sentences")["zero_skipped_problems"]["executionForLatestMaterialization"]
    assert (latest["status"], latest["evaluation"]["partition"]) == ("FAILED", RED)
    green = server.checks("sentences")["labels_follow_rule"]["executionForLatestMaterialization"]
    assert green["status"] == "SUCCEEDED"


def test_a_rolled_up_check_is_that_of_its_study_and_says_where(server: Server, released: str) -> None:
    rolled = server.checks("release_verdict")
    red = rolled["zero_skipped_problems"]["executionForLatestMaterialization"]["evaluation"]
    assert (red["partition"], red["severity"]) == ("tiny", "ERROR")
    assert "2 of 4 cells passed; red: sentences" in red["description"]
    green = rolled["artifacts_intact"]["executionForLatestMaterialization"]["evaluation"]
    assert green["description"] == "30 of 30 cells passed"


def test_a_green_check_does_not_sound_red(server: Server, released: str) -> None:
    check = server.checks("activations")["artifacts_intact"]
    assert check["description"].startswith("Looks at: ")
    assert "**If red:** " in check["description"]
    entries = check["executionForLatestMaterialization"]["evaluation"]["metadataEntries"]
    assert next(one["text"] for one in entries if one["label"] == "found").startswith("observed 0 <= 0 files")


def test_runs_of_a_release_are_grouped_and_name_their_study(server: Server, released: str) -> None:
    runs = server.runs()
    inside = [run for run in runs if run["parentRunId"] == released]
    assert len(inside) > 20
    for run in [*inside, server.run(released)]:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        assert tags["study"] == "tiny"
        assert not [key for key in tags if "thought_anchors" in key], "who drives a run is nothing to look at"


def test_dialogs_offer_the_selected_study_only_and_the_catalog_is_kept(server: Server) -> None:
    nodes = {one["assetKey"]["path"][0]: one for one in server.ask(NODES)["assetNodes"]}
    keys = {name: one["partitionKeysByDimension"] for name, one in nodes.items()}
    assert keys["activations"][0]["partitionKeys"] == [RED, GREEN]
    assert keys["release_verdict"][0]["partitionKeys"] == ["tiny"]
    assert [one["partitionKeys"] for one in keys["probe_metrics"]] == [["0", "1", "2", "3", "4"], [RED, GREEN]]
    for node in nodes.values():
        assert node["kinds"]
        assert node["owners"]
        assert {"needs", "stage"} <= {tag["key"] for tag in node["tags"]}
        assert "dagster/code_references" in {one["label"] for one in node["metadataEntries"]}
    assert sorted({node["groupName"] for node in nodes.values()}) == [
        "0_rollouts",
        "1_data",
        "2_activations",
        "3_probes",
        "4_results",
        "5_sweeps",
    ]
    assert nodes["release_verdict"]["internalFreshnessPolicy"]


def test_execute_all_evaluates_every_made_cell(server: Server, released: str) -> None:
    key = {"path": ["sentences"]}
    names = list(server.checks("sentences"))
    handles = [{"assetKey": key, "name": name} for name in names]
    run_id = server.launch("__ASSET_JOB", assetSelection=[], assetCheckSelection=handles)
    assert server.end_of(run_id) == "SUCCESS"
    latest = server.checks("sentences")
    assert latest["labels_follow_rule"]["executionForLatestMaterialization"]["status"] == "SUCCEEDED"
    red = latest["zero_skipped_problems"]["executionForLatestMaterialization"]
    assert (red["status"], red["runId"]) == ("FAILED", run_id)
    assert red["evaluation"]["partition"] == RED, "the worst one was reported last"


def test_dagster_dev_in_the_background_ends_when_it_is_asked_to(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 0
    assert not _answers(server)
