"""``make prove``: run every part of the proof, print it, write ``artifacts/proof/matrix.json`` and ``docs/proof.md``.

``python -m tests.proof matrix`` runs one part and replaces its keys only; ``python -m tests.proof document`` renders
the document from the file alone. Ends with 1 when a claim does not hold, or a part has failed or not been run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ta_resources.storage.atomic import write_file
from tests.proof import document

ROOT = Path(__file__).resolve().parents[2]
FILE = Path("artifacts/proof/matrix.json")
PARTS = ("clean", "matrix", "kills", "disasters", "determinism", "bad_inputs")
"""Modules of this package with ``run(folder) -> dict``: counts, and ``rows`` whose ``part`` is the module's name. The
longest first, so that none is left to run alone at the end."""
AT_ONCE = 2
"""Parts that run at once, each in a process of its own; more of them get into each other's way on two cores."""
_RECORDING = threading.Lock()


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; 0 when everything that is claimed holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} or document; by default all")
    parts = parser.parse_args(arguments).parts or list(PARTS)
    unknown = sorted(set(parts) - {*PARTS, "document"})
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}, expected {', '.join(PARTS)} or document")
    failed = run([part for part in PARTS if part in parts])
    found = read()
    document.write(found)
    print(document.counts_text(found))
    return 1 if failed or document.unmet(found) else 0


def run(parts: Sequence[str]) -> list[str]:
    """Run and record parts; one that fails, or dies, leaves the others and what is known of itself alone.

    Returns:
        The parts that failed; what they said is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as threads:
        file_of = {part: Path(folder) / f"{part}.json" for part in parts}
        return [part for part in threads.map(lambda part: _recorded(part, file_of[part]), parts) if part]


def _recorded(part: str, file: Path) -> str:
    """Empty, or the part's name when it failed."""
    if subprocess.run([sys.executable, "-m", "tests.proof.part", part, str(file)], cwd=ROOT).returncode:
        return part
    with _RECORDING:
        record(part, json.loads(file.read_text(encoding="utf-8")))
    return ""


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
