"""A release through the queue of a Postgres instance, as ``deploy`` describes it: same results, and kills lose nothing.

Takes minutes, so it is run by hand: ``python -m pytest -m prove tests/postgres``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from ta_assets.jobs.batches import BATCH_JOB
from ta_assets.jobs.runs import job_of
from ta_resources.turns import LOCK
from tests.assets.conftest import ROOT, TinyWorld, build_world, write_model
from tests.postgres.conftest import Server, free_port

pytestmark = pytest.mark.prove
COMMAND = [sys.executable, "-m", "dagster"]
SECONDS = 1500


@dataclass
class Deployment:
    """A tiny study and the processes that serve its instance."""

    world: TinyWorld
    environment: dict[str, str]

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A process of its own group, which writes to ``name.log``."""
        with (self.world.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*COMMAND, *command],
                cwd=self.world.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def release(self) -> subprocess.Popen[bytes]:
        """The releasing process."""
        job = ("job", "execute", "-m", "ta_assets.definitions", "-j", "release")
        return self.start("release", *job, "-c", str(ROOT / "deploy/queued.yaml"))

    @property
    def instance(self) -> dg.DagsterInstance:
        """As another process sees it."""
        return dg.DagsterInstance.from_config(str(self.world.folder))


def end(process: subprocess.Popen[bytes]) -> None:
    """A process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def deployed(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    write_model(tmp_path / "model")
    (tmp_path / "world").mkdir()
    world, port = build_world(tmp_path / "world", tmp_path / "model"), str(free_port())
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / "deploy" / name, world.folder / name)
    own = {"TA_POSTGRES": server.database(), "TA_CODE_HOST": "127.0.0.1", "TA_CODE_PORT": port}
    environment = {**os.environ, **world.environment(), **own, "DAGSTER_HOME": str(world.folder)}
    environment.pop("DAGSTER_MODULE_NAME")
    monkeypatch.setenv("TA_POSTGRES", own["TA_POSTGRES"])
    made = Deployment(world, environment)
    with made.instance:
        pass  # creates the schema
    code = made.start("code", "code-server", "start", "-m", "ta_assets.definitions", "-h", "127.0.0.1", "-p", port)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "dagster._daemon", "run"],
        cwd=world.folder,
        env=environment,
        stdout=(world.folder / "daemon.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    yield made
    for process in (daemon, code):
        end(process)


def test_a_queued_release_gives_what_a_release_in_one_process_gives(deployed: Deployment, tmp_path: Path) -> None:
    done = deployed.release()
    assert done.wait(timeout=SECONDS) == 0, (deployed.world.folder / "release.log").read_text(encoding="utf-8")[-3000:]
    assert deployed.world.verdict["verdict"] == "OK"
    alone = TinyWorld(tmp_path / "alone")
    alone.folder.mkdir()
    shutil.copytree(deployed.world.folder / "data", alone.folder / "data")
    shutil.copy(deployed.world.study, alone.study)
    shutil.copy(ROOT / "dagster.yaml", alone.folder / "dagster.yaml")
    assert alone.release().returncode == 0
    found = {name: one for name, one in alone.artifact_hashes().items() if name != LOCK}
    assert found == deployed.world.artifact_hashes()
    with deployed.instance as instance:
        batches = instance.get_runs(dg.RunsFilter(job_name=BATCH_JOB))
        assert len(batches) == 4, "each corpus, then each setting"
        assert {run.status for run in batches} == {dg.DagsterRunStatus.SUCCESS}


def test_kills_of_workers_and_of_the_release_lose_nothing_and_make_nothing_twice(deployed: Deployment) -> None:
    killed = 0
    releasing = deployed.release()
    deadline = time.monotonic() + SECONDS
    with deployed.instance as instance:
        while releasing.poll() is None and time.monotonic() < deadline:
            at_work = instance.get_runs(dg.RunsFilter(job_name=BATCH_JOB, statuses=[dg.DagsterRunStatus.STARTED]))
            owners = [run.tags[".dagster/thought_anchors_process"] for run in at_work]
            if killed == 0 and owners:
                os.kill(int(owners[0].partition(":")[0]), signal.SIGKILL)
                killed = 1
            elif killed == 1 and at_work:
                end(releasing)
                killed, releasing = 2, deployed.release()
            time.sleep(1)
        assert (killed, releasing.wait(timeout=60)) == (2, 0)
        assert deployed.world.verdict["verdict"] == "OK"
        made = Counter(
            (run.job_name, run.tags["dagster/partition"])
            for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
            if run.job_name.startswith(job_of("")) and run.job_name != BATCH_JOB
        )
        assert {cell: count for cell, count in made.items() if count > 1} == {}
        unfinished = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert unfinished == []
        assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots


def test_a_release_that_is_stopped_stops_what_it_gave_to_the_queue(deployed: Deployment) -> None:
    releasing = deployed.release()
    deadline = time.monotonic() + SECONDS
    with deployed.instance as instance:

        def batches(*statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
            return list(instance.get_runs(dg.RunsFilter(job_name=BATCH_JOB, statuses=statuses or None)))

        while not batches(dg.DagsterRunStatus.STARTED) and time.monotonic() < deadline:
            assert releasing.poll() is None
            time.sleep(0.5)
        releasing.send_signal(signal.SIGINT)
        assert releasing.wait(timeout=120) != 0
        while any(not run.is_finished for run in batches()) and time.monotonic() < deadline:
            time.sleep(0.5)
        # Dagster calls a run a failure that is asked to stop while its process still starts
        assert {run.status for run in batches()} <= {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}
        unfinished = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert unfinished == []
