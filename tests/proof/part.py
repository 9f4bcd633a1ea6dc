"""One part of the proof in a process of its own: ``python -m tests.proof.part PART FILE`` writes its result as JSON.

Belongs here: running a part and saying on which code. Stays out: which parts there are, putting them together
(``__main__``).
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ta_assets.ledger.fingerprint import code_sha256


def measured(part: str) -> dict[str, Any]:
    """Run ``tests.proof.<part>.run`` in a folder of its own; adds the hash of the product's code and the seconds."""
    # in memory where there is such a folder: worlds are copied for every fault, and each file of them is flushed
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"proof-{part}-", dir=memory))
    started = time.monotonic()
    try:
        result = importlib.import_module(f"tests.proof.{part}").run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**result, "run": {"code_sha256": code_sha256(), "seconds": round(time.monotonic() - started)}}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measured(sys.argv[1]), allow_nan=False), encoding="utf-8")
