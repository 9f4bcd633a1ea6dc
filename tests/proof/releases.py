"""Releases that can be killed: their start, their log, and what they leave in the instance.

Belongs here: processes, and reading files and tables. Stays out: when to kill, and judging what came of it (``kills``).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from ta_resources.storage.atomic import UNFINISHED
from tests.assets.conftest import ROOT, TinyWorld, build_world, write_model
from tests.warm import Warm

POLL_SECONDS = 0.005
MODULE = "tests.proof.planted"
RELEASE = ("job", "execute", "-j", "release")
NO_COMPUTE_LOGS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


def make_world(folder: Path, *, compute_logs: bool = True) -> TinyWorld:
    """A world of one corpus of six problems and 16 cells, whose release takes seconds.

    Args:
        folder: receives data, model and study; need not exist.
        compute_logs: keep what each step prints, as users do; it takes four processes a step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "model")
    world = build_world(folder, folder / "model")
    world.change_study(
        settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}},
        splits={"val": 0.34, "train": 0.33, "test": 0.33},
    )
    if not compute_logs:
        path = folder / "dagster.yaml"
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump({**settings, "compute_logs": NO_COMPUTE_LOGS}), encoding="utf-8")
    return world


@dataclass
class Attempt:
    """One process that runs a release, until it ends or is killed."""

    pid: int
    log: Path
    output: Path
    poll_status: Any
    """Call that gives the exit status, or None."""
    began: float = field(default_factory=time.monotonic)
    status: int | None = None

    def ended(self) -> bool:
        """Whether it has ended by itself or by a kill."""
        if self.status is None:
            self.status = self.poll_status()
        return self.status is not None

    def kill(self) -> None:
        """SIGKILL to its process group."""
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has not made its group yet
                os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = 600.0) -> int:
        """Exit status; negative for a signal.

        Raises:
            TimeoutError: it runs on.
        """
        deadline = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} runs on; see {self.output}")
            time.sleep(POLL_SECONDS)
        assert self.status is not None
        return self.status

    def events(self) -> list[dict[str, Any]]:
        """What it has written down."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def begun(self) -> list[str]:
        """Units of work, in order."""
        return [event["begun"] for event in self.events() if "begun" in event]

    @property
    def phase(self) -> str:
        """The last one that it entered."""
        return next((event["phase"] for event in reversed(self.events()) if event.keys() == {"phase", "at"}), "start")


class Starter:
    """Starts releases in a world: as commands of their own, or forked off a warm interpreter."""

    def __init__(self, world: TinyWorld) -> None:
        self.world = world
        self._logs = world.folder / "attempts"
        self._logs.mkdir(exist_ok=True)
        self._count = 0
        environment = {**os.environ, **world.environment(), "DAGSTER_MODULE_NAME": MODULE, "PYTHONPATH": str(ROOT)}
        environment.pop("DAGSTER_HOME", None)
        self._environment = environment
        self._warm = Warm("tests.proof.warm", world.folder, environment)

    def start(
        self,
        environment: Mapping[str, str] = MappingProxyType({}),
        arguments: Sequence[str] = RELEASE,
        *,
        warm: bool = True,
    ) -> Attempt:
        """Run ``dagster *arguments`` in the world; ``environment`` tells ``planted`` what to do."""
        self._count += 1
        log, output = (self._logs / f"{self._count}.{kind}" for kind in ("jsonl", "txt"))
        environment = {**environment, "TA_PROOF_LOG": str(log)}
        if warm:
            pid = self._warm.ask({"environment": environment, "arguments": list(arguments), "output": str(output)})
            return Attempt(pid, log, output, lambda: self._warm.ask({"poll": pid}))
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster", *arguments],
                cwd=self.world.folder,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Attempt(process.pid, log, output, process.poll)

    def close(self) -> None:
        """End the warm interpreter."""
        self._warm.close()


def empty(world: TinyWorld) -> None:
    """Remove everything that releases made."""
    for name in ("artifacts", ".dagster"):
        shutil.rmtree(world.folder / name, ignore_errors=True)


def runs_of(world: TinyWorld) -> dict[str, str]:
    """Run id -> status, of all runs of the instance."""
    return dict(_rows(world, "runs/runs.db", "SELECT run_id, status FROM runs"))


def open_runs(world: TinyWorld) -> set[str]:
    """Ids of runs that are not finished."""
    return {run_id for run_id, status in runs_of(world).items() if status not in FINISHED}


def slot_holders(world: TinyWorld) -> set[str]:
    """Ids of runs that hold a slot of a pool, or wait for one."""
    tables = ("SELECT run_id FROM concurrency_slots WHERE run_id IS NOT NULL", "SELECT run_id FROM pending_steps")
    return {run_id for query in tables for (run_id,) in _rows(world, "events/event_log.db", query)}


def results(world: TinyWorld) -> dict[str, Any]:
    """What must not depend on kills: the bytes of all artifacts, and every row of the verdict."""
    rows = [
        [row[key] for key in ("name", "asset", "partition", "status", "observed")] for row in world.verdict["checks"]
    ]
    return {"artifacts": world.artifact_hashes(), "verdict": [world.verdict["verdict"], *rows]}


@contextlib.contextmanager
def unread(folder: Path) -> Iterator[list[str]]:
    """Watch the unfinished files of dead processes: the list receives those that somebody reads, relative to it."""
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        watched: dict[str, int] = {}
        for path in folder.rglob(f"*{UNFINISHED}*"):
            for file in [path, *path.rglob("*")]:
                name = file.relative_to(folder).as_posix()
                if file.is_file() and name not in watched:
                    watched[name] = os.open(file, os.O_RDONLY)
                    stack.callback(os.close, watched[name])
                    os.utime(file, ns=(0, file.stat().st_mtime_ns))
        try:
            yield found
        finally:
            found += sorted(name for name, descriptor in watched.items() if os.fstat(descriptor).st_atime_ns)


def require_access_times(folder: Path) -> None:
    """What ``unread`` rests on: reading a file sets its access time.

    Raises:
        RuntimeError: the folder's disk does not keep access times.
    """
    probe = folder / f"probe{UNFINISHED}0"
    probe.write_bytes(b"probe")
    with unread(folder) as read:
        probe.read_bytes()
    probe.unlink()
    if not read:
        raise RuntimeError(f"{folder}: its disk keeps no access times (noatime), use another one")


def _rows(world: TinyWorld, database: str, query: str) -> list[Any]:
    path = world.folder / ".dagster" / database
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute(query).fetchall()
