"""Which process does something, in words that outlast it: a pid alone may be in use again.

Belongs here: naming processes of this machine and asking whether they live. Stays out: what is done about dead ones
(``ta_assets.jobs.runs`` closes their runs, ``atomic`` removes their unfinished files).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


def own_process() -> str:
    """This process as ``pid:start``, or as its pid alone where the system does not tell the start."""
    return _process(os.getpid()) or str(os.getpid())


def is_dead(owner: str, process: str) -> bool:
    """Whether a process of this machine is gone; nothing is known of other machines' processes, so they live.

    Args:
        owner: ``host()`` where it ran.
        process: ``own_process()`` as it said there.

    Raises:
        ValueError: ``process`` does not start with a number.
    """
    return owner == host() and _process(int(process.partition(":")[0])) != process


def _process(pid: int) -> str | None:
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
