"""The real definitions in a process that writes down its units of work and kills itself where it is told to.

Belongs here: what runs inside a release that is to be killed. Stays out: starting and killing it (``releases``), what
a kill may cost (``kills``). The environment says what to do:

- ``TA_PROOF_LOG``: file that receives one JSON object a line, as it happens: ``phase``, ``begun`` (a problem that the
  model is about to read, or a cell), ``started`` (the release has cleaned up and begins), ``point`` (if asked for).
- ``TA_PROOF_KILL``: ``phase:point:n``, SIGKILL at the n-th such point since the phase began in this process.
- ``TA_PROOF_POINTS``: any text, write down every point.
- ``TA_PROOF_MEMORY``: ``phase:bytes``, from that phase on no more than so many bytes may be allocated.
- ``TA_PROOF_ALLOCATION``: ``load``, the model does not fit into memory; or a problem's id, its forward pass does not.
- ``TA_PROOF_CLOCK``: seconds by which Python's and Dagster's clocks are off.
"""

from __future__ import annotations

import datetime
import json
import os
import resource
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import dagster._time
import sqlalchemy.event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from ta_assets.definitions import defs
from ta_assets.jobs import runs
from ta_assets.vectors.corpus_pass import MissingTexts
from ta_resources.language_model import extractor
from ta_resources.language_model import resource as language_model

__all__ = ["defs"]

PHASE_OF = {
    "activations": "extraction",
    **dict.fromkeys(("cv_scores", "probe_comparison", "seed_free_scores", "probe_metrics"), "fitting"),
    **dict.fromkeys(("aggregate_metrics", "deferral_plan", "scaling_summary", "readme_block"), "aggregation"),
    **dict.fromkeys(("release_verdict", "report"), "verdict"),
}
"""Asset -> phase; those before the extraction are the phase ``data``, and all before them is ``start``."""
AUDITED = {
    "open": "open",
    "os.mkdir": "mkdir",
    "os.rename": "rename",
    "os.remove": "remove",
    "shutil.rmtree": "rmtree",
    "sqlite3.connect": "connect",
}
"""Python's audit event -> point; it is raised before the operation."""
UNDER = ("/artifacts/", "/.dagster/")
WRITING = os.O_WRONLY | os.O_RDWR


class Recorder:
    """What this process has done since it began its present phase."""

    def __init__(self) -> None:
        self.phase, self.counts = "start", Counter()

    def write(self, **event: object) -> None:
        """Append one event; whole lines only, also when two processes write."""
        log = os.environ.get("TA_PROOF_LOG")
        if not log:
            return
        line = json.dumps({**event, "at": time.monotonic()}) + "\n"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        if phase != self.phase:
            self.phase, self.counts = phase, Counter()
            self.write(phase=phase)
            limited, _, more = os.environ.get("TA_PROOF_MEMORY", "").partition(":")
            if limited == phase:
                pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
                limit = pages * resource.getpagesize() + int(more)
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    def point(self, name: str) -> bool:
        """Pass a point; whether this is the one to die at."""
        self.counts[name] += 1
        if os.environ.get("TA_PROOF_POINTS"):
            self.write(point=name, phase=self.phase)
        return os.environ.get("TA_PROOF_KILL") == f"{self.phase}:{name}:{self.counts[name]}"

    def die_at(self, name: str) -> None:
        """Pass a point, and die if it is the one."""
        if self.point(name):
            die()


def die() -> None:
    """What the kernel does to a process out of memory, or an operator to one in the way."""
    os.kill(os.getpid(), signal.SIGKILL)


RECORDER = Recorder()


def _watch_cells() -> None:
    make, begin, problems = runs.make, runs.begin, MissingTexts.__iter__

    def recorded_make(
        definitions: dg.Definitions, instance: dg.DagsterInstance, asset: str, partition: str, *rest: Any, **named: Any
    ) -> dg.ExecuteInProcessResult:
        RECORDER.enter(PHASE_OF.get(asset, "data"))
        # of the activations, the unit of work is the problem; verdict and page are no work that could be kept
        if asset not in {"activations", "release_verdict", "report"}:
            RECORDER.write(begun=f"{asset}[{partition}]")
        return make(definitions, instance, asset, partition, *rest, **named)

    def recorded_begin(*arguments: Any) -> None:
        begin(*arguments)
        RECORDER.write(started=os.getpid())

    def recorded_problems(self: MissingTexts) -> Iterator[tuple[int, str, Any]]:
        for problem in problems(self):
            RECORDER.write(begun=f"problem {problem[0]} of {self.source.prefix}")
            yield problem

    runs.make, runs.begin, MissingTexts.__iter__ = recorded_make, recorded_begin, recorded_problems


def _watch_files() -> None:
    fsync = os.fsync

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in AUDITED or not arguments:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        if _is_ours(arguments[0]):
            RECORDER.die_at(AUDITED[event])

    def watched_fsync(descriptor: int) -> None:
        if not _is_ours(os.readlink(f"/proc/self/fd/{descriptor}")):
            return fsync(descriptor)
        RECORDER.die_at("before fsync")
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and RECORDER.point("half written"):
            os.ftruncate(descriptor, found.st_size // 2)
            die()
        fsync(descriptor)
        return RECORDER.die_at("after fsync")

    sys.addaudithook(audit)
    os.fsync = watched_fsync


def _is_ours(path: object) -> bool:
    return isinstance(path, str | os.PathLike) and any(folder in str(path) for folder in UNDER)


def _watch_instance() -> None:
    sqlalchemy.event.listen(Engine, "commit", lambda _: RECORDER.die_at("before commit"))
    sqlalchemy.event.listen(Pool, "checkin", lambda *_: RECORDER.die_at("after commit"))
    free = dg.DagsterInstance.report_run_failed

    def watched(self: dg.DagsterInstance, *arguments: Any, **named: Any) -> Any:
        RECORDER.die_at("between slot and run")
        return free(self, *arguments, **named)

    dg.DagsterInstance.report_run_failed = watched  # type: ignore[method-assign]


def _fail_allocation(where: str) -> None:
    read = extractor.read

    def no_room(*_: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    if where == "load":
        language_model.load_base_model = no_room
    else:
        extractor.read = lambda loaded, job, size: (no_room if str(job.problem_id) == where else read)(
            loaded, job, size
        )


def _set_clock(seconds: float) -> None:
    now, now_ns = time.time, time.time_ns

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)
    dagster._time.datetime = Shifted  # type: ignore[attr-defined]


def begin_to_watch() -> None:
    """Install everything that the environment asks for; once a process."""
    _watch_cells()
    _watch_files()
    _watch_instance()
    if "TA_PROOF_ALLOCATION" in os.environ:
        _fail_allocation(os.environ["TA_PROOF_ALLOCATION"])
    if "TA_PROOF_CLOCK" in os.environ:
        _set_clock(float(os.environ["TA_PROOF_CLOCK"]))


if "TA_PROOF_LOG" in os.environ:
    begin_to_watch()
