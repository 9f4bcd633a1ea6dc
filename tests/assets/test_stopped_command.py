"""SIGINT and SIGTERM end the release command within seconds: run CANCELED, no verdict, no README."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from tests.assets.conftest import TinyWorld

SECONDS_TO_END = 30.0
"""Of a loaded machine; it takes two."""
SECONDS_TO_BEGIN = 120.0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.prove)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_ends_the_release_and_nothing_is_written(
    tiny_world: TinyWorld, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_world.folder)  # the instance's folders are relative
    tiny_world.change_study(settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}})
    slow, log = tiny_world.folder / "slow", tiny_world.folder / "release.log"
    slow.touch()
    environment = {**os.environ, **tiny_world.environment("slow")}
    environment.pop("DAGSTER_HOME", None)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "job", "execute", "-j", "release"],
            cwd=tiny_world.folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_BEGIN
        while b"sentences[tiny_correct]: computing" not in log.read_bytes():
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(SECONDS_TO_END) != 0
    finally:
        process.kill()
    with dg.DagsterInstance.from_config(".") as instance:
        statuses = {run.job_name: run.status for run in instance.get_runs()}
    assert statuses["release"] == statuses["make_sentences"] == dg.DagsterRunStatus.CANCELED
    assert not (tiny_world.folder / "artifacts/tiny").exists(), "neither a verdict nor a README"
