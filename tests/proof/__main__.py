"""``make prove``: run every part of the proof, print it, write ``artifacts/proof/matrix.json`` and ``docs/proof.md``.

``python -m tests.proof matrix`` runs one part and replaces its keys only; ``python -m tests.proof document`` renders
the document from the file alone. Ends with 1 when a claim does not hold, or a part has failed or not been run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ta_assets.provenance import code_sha256
from ta_resources.atomic import write_file
from tests.proof import document

FILE = Path("artifacts/proof/matrix.json")
PARTS = ("matrix", "clean", "kills", "bad_inputs", "determinism", "disasters")
"""Modules of this package with ``run(folder) -> dict``: counts, and ``rows`` whose ``part`` is the module's name."""
LONGEST_FIRST = ("clean", "kills", "matrix", "disasters", "determinism", "bad_inputs")
AT_ONCE = 2
"""Parts that run at once, each in a process of its own; more of them get into each other's way on two cores."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; 0 when everything that is claimed holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} or document; by default all")
    parts = parser.parse_args(arguments).parts or list(PARTS)
    unknown = sorted(set(parts) - {*PARTS, "document"})
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}, expected {', '.join(PARTS)} or document")
    failed = run([part for part in LONGEST_FIRST if part in parts])
    found = read()
    document.write(found)
    print(document.counts_text(found))
    return 1 if failed or document.unmet(found) else 0


def run(parts: Sequence[str]) -> list[str]:
    """Run and record parts; one that fails leaves the others and what is known of itself alone.

    Returns:
        The parts that failed; their tracebacks are printed.
    """
    failed = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, mp_context=spawn, max_tasks_per_child=1) as processes:
        part_of = {processes.submit(measured, part): part for part in parts}
        for done in as_completed(part_of):
            try:
                record(part_of[done], done.result())
            except Exception:
                failed.append(part_of[done])
                print(f"part {part_of[done]} failed:\n{traceback.format_exc()}", file=sys.stderr)
    return failed


def measured(part: str) -> dict[str, Any]:
    """Run one part in a folder of its own; adds the hash of the product's code and how long it took."""
    # in memory where there is such a folder: worlds are copied for every fault, and each file of them is flushed
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"proof-{part}-", dir=memory))
    started = time.monotonic()
    try:
        result = importlib.import_module(f"tests.proof.{part}").run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**result, "run": {"code_sha256": code_sha256(), "seconds": round(time.monotonic() - started)}}


def record(part: str, result: Mapping[str, Any]) -> None:
    """Replace the counts and rows of one part in the file."""
    known = read()
    runs = {**known["runs"], part: result["run"]}
    rows = [row for row in known["rows"] if row["part"] != part] + list(result["rows"])
    rows.sort(key=lambda row: PARTS.index(row["part"]))
    counts = {key: value for key, value in result.items() if key not in {"run", "rows"}}
    content = {**known, **counts, "runs": runs, "rows": rows}
    content["code_versions"] = len({one["code_sha256"] for one in runs.values()})
    write_file(FILE, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read() -> dict[str, Any]:
    """What is known so far."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"runs": {}, "rows": []}


if __name__ == "__main__":
    # sums in another order give other digits; read when the libraries load in a child
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
