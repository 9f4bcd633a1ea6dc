"""``make prove``: run every part of the proof, print it, write ``artifacts/proof/matrix.json`` and ``docs/proof.md``.

``python -m tests.proof matrix`` runs one part and replaces its keys only; ``python -m tests.proof document`` renders
the document from the file alone. Ends with 1 when a claim does not hold, or a part has not been run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ta_resources.atomic import write_file
from tests.proof import document

FILE = Path("artifacts/proof/matrix.json")
PARTS = ("matrix", "kills", "bad_inputs", "determinism")
"""Modules of this package with ``run(folder) -> dict``: counts, and ``rows`` whose ``part`` is the module's name."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; 0 when everything that is claimed holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} or document; by default all")
    parts = parser.parse_args(arguments).parts or list(PARTS)
    unknown = sorted(set(parts) - {*PARTS, "document"})
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}, expected {', '.join(PARTS)} or document")
    for part in (part for part in parts if part != "document"):
        record(part, measured(part))
    found = read()
    document.write(found)
    print(document.counts_text(found))
    return 0 if not document.unmet(found) else 1


def measured(part: str) -> Mapping[str, Any]:
    """Run one part in a folder of its own."""
    # in memory where there is such a folder: worlds are copied for every fault, and each file of them is flushed
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"proof-{part}-", dir=memory))
    try:
        return importlib.import_module(f"tests.proof.{part}").run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def record(part: str, result: Mapping[str, Any]) -> None:
    """Replace the counts and rows of one part in the file."""
    known = read()
    rows = [row for row in known["rows"] if row["part"] != part] + list(result["rows"])
    rows.sort(key=lambda row: PARTS.index(row["part"]))
    content = {**known, **result, "rows": rows}
    write_file(FILE, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read() -> dict[str, Any]:
    """What is known so far."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"rows": []}


if __name__ == "__main__":
    # sums in another order give other digits; read when the libraries load in a child
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
