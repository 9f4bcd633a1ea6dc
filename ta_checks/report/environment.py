"""What a release ran on.

Belongs here: reading versions, commit and hardware of this process. Stays out: environment variables, user names,
host names and absolute paths, none of which a result depends on and all of which may be private; judging any of it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ta_assets.ledger.fingerprint import imported_versions

COMMAND_SECONDS = 20
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Of the drivers of NVIDIA's and AMD's GPUs, and of Windows' below Linux; without one there is no GPU."""


def snapshot() -> dict[str, Any]:
    """Describe this process; what cannot be found out is None.

    Returns:
        python, platform, packages {name: version}, git {commit, clean}, device, driver, cpu_count, memory_bytes,
        device_memory_bytes (of all GPUs; None without); strict JSON values only.
    """
    device, driver, device_memory = _device()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "git": git_state(Path(__file__).resolve().parent),
        "device": device,
        "driver": driver,
        "cpu_count": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "device_memory_bytes": device_memory,
    }


def git_state(folder: Path) -> dict[str, Any]:
    """Commit of the checkout that holds ``folder``, and whether its tree had no changes and no untracked files.

    Returns:
        {"commit": 40 hex digits, "clean": bool}; both None without git, outside a checkout, before the first commit, or
        when the checkout tracks nothing in the folder (an installed package below somebody else's repository).
    """
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if not commit or not _output("git", "-C", str(folder), "ls-files", "--", "."):
        return {"commit": None, "clean": None}
    changes = _output("git", "-C", str(folder), "status", "--porcelain")
    return {"commit": commit, "clean": None if changes is None else not changes}


def _packages() -> dict[str, str]:
    """What is installed; of libraries that were imported, what these say themselves."""
    found = {str(one.metadata["Name"]).lower(): str(one.version) for one in distributions() if one.metadata["Name"]}
    return dict(sorted({**found, **imported_versions()}.items()))


def _device() -> tuple[str | None, str | None, int | None]:
    """What torch would compute on, the version of NVIDIA's driver, and the memory of the GPUs in bytes."""
    if "torch" not in sys.modules and sys.platform == "linux" and not any(map(os.path.exists, GPU_FILES)):
        # a release with nothing to do needs no torch, and to import it takes as long as all the rest
        return ("cpu" if find_spec("torch") else None), None, None
    try:
        import torch
    except ImportError:
        return None, None, None
    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        names, memory = ", ".join(one.name for one in found), sum(one.total_memory for one in found)
        driver = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        return f"cuda: {names}", f"{driver.splitlines()[0]}, CUDA {torch.version.cuda}" if driver else None, memory
    return ("mps" if torch.backends.mps.is_available() else "cpu"), None, None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _output(*command: str) -> str | None:
    """Standard output of a command; None when it is absent, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
