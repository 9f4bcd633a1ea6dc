"""A release of the embedded study from an empty instance against one with nothing to do.

Whole processes, CPU seconds of the process and its children, one BLAS thread; the real command.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WARM_RELEASES = 3
MAX_COLD_SECONDS, MAX_WARM_SECONDS = 180.0, 20.0


def run() -> list[dict[str, Any]]:
    """Two records: wall seconds of the cold and of the median warm release; the CPU ratio is in the detail."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("dagster.yaml", "workspace.yaml", "README.md"):
            shutil.copy(ROOT / name, folder / name)
        cold = _release(folder)
        warm = sorted(_release(folder) for _ in range(WARM_RELEASES))[WARM_RELEASES // 2]
    detail = f"CPU {cold[1]:.1f} s cold, {warm[1]:.1f} s warm: ratio {cold[1] / warm[1]:.1f}"
    return [
        _record("release of the embedded study from an empty instance", cold[0], MAX_COLD_SECONDS, 1, detail),
        _record("release with nothing to do", warm[0], MAX_WARM_SECONDS, WARM_RELEASES, detail),
    ]


def _release(folder: Path) -> tuple[float, float]:
    environment = {
        **os.environ,
        "DAGSTER_MODULE_NAME": "ta_assets.definitions",
        "TA_STUDY": "embedded",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("DAGSTER_HOME", None)
    command = [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-j", "release"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu


def _record(claim: str, seconds: float, bar: float, n: int, detail: str) -> dict[str, Any]:
    return {"claim": claim, "value": seconds, "comparison": "<=", "bar": bar, "n": n, "detail": detail}
