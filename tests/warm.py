"""An interpreter that has imported the libraries and forks a command for each request.

Starting Python and importing Dagster and torch takes five seconds, a fork a few milliseconds; what runs in the child is
the real command all the same: its module is imported there, under the environment and in the folder of the request.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
POLL_SECONDS = 0.01
LIBRARIES = (
    "alembic.command",
    "dagster._cli.job",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "dagster._daemon.daemon",
    "dagster_pandas",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "pyarrow.parquet",
    "safetensors.numpy",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.neural_network",
    "transformers.models.llama.modeling_llama",
)


def preload() -> None:
    """Import what commands need of other projects; nothing of this one, which reads its study while it is imported."""
    for library in LIBRARIES:
        importlib.import_module(library)


def serve(child: Callable[[Mapping[str, Any]], None]) -> None:
    """Fork for each line of standard input, a JSON object, and run ``child`` on it in a process group of its own.

    ``{"output", ...}`` is answered with the pid of the child, whose standard output goes there, as its errors do
    unless there is also ``"errors"``; ``{"poll": pid}`` is answered with its exit status, or null.
    """
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        os.setsid()
        for descriptor, path in ((1, request["output"]), (2, request.get("errors", request["output"]))):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        child(request)
        return


class Warm:
    """A client of such an interpreter, which it starts."""

    def __init__(self, module: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._asking = threading.Lock()  # an answer is for who asked last, and threads ask, too
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: Mapping[str, object]) -> Any:
        """Its answer to one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """What ``python -m module *arguments`` gives in a folder, under exactly this environment.

    Raises:
        TimeoutError: it took longer than ``seconds`` and was killed.
    """
    warm = _commands()
    with tempfile.TemporaryDirectory() as scratch:
        output, errors = (Path(scratch) / name for name in ("output", "errors"))
        request = {"module": module, "arguments": list(arguments), "folder": str(folder), "environment": environment}
        pid = warm.ask({**request, "output": str(output), "errors": str(errors)})
        try:
            status = _wait(warm, pid, seconds)
        except BaseException:
            os.killpg(pid, signal.SIGKILL)
            raise
        texts = [path.read_text(encoding="utf-8") for path in (output, errors)]
    return subprocess.CompletedProcess([module, *arguments], status, *texts)


def _wait(warm: Warm, pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while (status := warm.ask({"poll": pid})) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} runs on after {seconds} s")
        time.sleep(POLL_SECONDS)
    return status


@functools.cache
def _commands() -> Warm:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    warm = Warm("tests.warm", ROOT, {**os.environ, **threads, "DAGSTER_DISABLE_TELEMETRY": "yes"})
    atexit.register(warm.close)
    return warm


def _command(request: Mapping[str, Any]) -> None:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    preload()
    serve(_command)
