"""Runs inside runs: one partition of one asset on the same instance, and the closing of runs whose process died.

A killed process cannot close its run: it stays STARTED and holds its pool slot, and the next run would wait for ever.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import dagster as dg

HOST_TAG, PROCESS_TAG = "thought_anchors/host", "thought_anchors/process"
LOCK = ".release.lock"
_HELD: dict[Path, IO[str]] = {}
UNFINISHED = [
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
]


def owner_tags() -> dict[str, str]:
    """Tags that say which process drives a run."""
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: _process(os.getpid()) or str(os.getpid())}


def make(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    asset: str,
    partition: str,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize one partition of an asset, with its checks, in a run of its own; failures are in the result."""
    return definitions.resolve_job_def(job_of(asset)).execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={"dagster/partition": partition, **owner_tags()},
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            **({"ops": {asset: {"config": dict(config)}}} if config else {}),
        },
    )


def made(result: dg.ExecuteInProcessResult, asset: str) -> bool:
    """Whether a run materialized the asset, whatever its checks said."""
    return any(event.is_step_success and event.step_key == asset for event in result.all_events)


def job_of(asset: str) -> str:
    """Name of the job that materializes an asset."""
    return f"make_{asset}"


def wait_for_turn(folder: Path, log: Callable[[str], None]) -> None:
    """Hold the folder's lock until this process ends: two releases at once would make the same cells twice.

    A lock of the kernel's goes with its process, so a killed release blocks nobody.
    """
    path = (folder / LOCK).resolve()
    if path in _HELD:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log(f"another release holds {path}: waiting for it to end")
        fcntl.flock(file, fcntl.LOCK_EX)
    _HELD[path] = file


def close_dead(instance: dg.DagsterInstance, log: Callable[[str], None]) -> None:
    """Fail the unfinished runs of this machine whose process is gone, and free their pool slots."""
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        owner, process = run.tags.get(HOST_TAG), run.tags.get(PROCESS_TAG, "")
        if owner != socket.gethostname() or _process(int(process.partition(":")[0])) == process:
            continue
        log(f"run {run.run_id} ({run.job_name}) is closed: its process {process} is gone")
        instance.report_run_failed(run, message=f"process {process} on {owner} ended without closing the run")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _process(pid: int) -> str | None:
    """``pid:start`` of a living process: a pid alone may be in use again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return str(pid) if not Path("/proc").is_dir() and _alive(pid) else None
    # the command in parentheses may hold spaces; the start time is the 20th field after it
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else f"{pid}:{fields[19]}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
