"""Disasters, hostile input, any two options, signals, a queue and two releases at once: tests whose outcomes are
recorded, for they may also be skipped.

Belongs here: running them in a process of their own, and reading what came of each. Stays out: the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

PART = "disasters"
TESTS = (
    "tests/proof/test_disasters.py",
    "tests/proof/test_hostile.py",
    "tests/proof/test_token.py",
    "tests/proof/test_kills.py",
    "tests/proof/test_prove_campaign_kills.py",
    "tests/assets/test_every_option.py",
    "tests/assets/test_stopped_command.py",
    "tests/postgres/test_queued_release.py",
)
REPEATS = 10
"""Of two releases at once, the second one a little later each time."""
SOME_FAILED = 1
"""Exit status of pytest when all tests were run and some failed; above it nothing is known of them."""
NOT_PASSED = ("failure", "error", "skipped")


def run(folder: Path, tests: Sequence[str] = TESTS) -> dict[str, Any]:
    """Run the tests.

    Args:
        folder: scratch, there already.
        tests: files and ids of pytest.

    Returns:
        disasters, disasters_not_passed (a skipped test proves nothing), and rows: part, name, outcome, seconds.

    Raises:
        RuntimeError: pytest could not run them.
    """
    report = folder / "report.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *tests, "-p", "no:cacheprovider", "-n", "0", "-m", ""),
            *(f"--junit-xml={report}", f"--basetemp={folder / 'tests'}"),
        ],
        env={**os.environ, "TA_PROOF_REPEATS": str(REPEATS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode > SOME_FAILED or not report.is_file():
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    rows = outcomes(report)
    return {
        "disasters": len(rows),
        "disasters_not_passed": sum(row["outcome"] != "passed" for row in rows),
        "rows": rows,
    }


def outcomes(report: Path) -> list[dict[str, Any]]:
    """One row a test of a JUnit report; a test whose clean-up fails as well has one row all the same."""
    rows: dict[str, dict[str, Any]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '')}"
        found = {child.tag for child in case}.intersection(NOT_PASSED)
        outcome = "failed" if found - {"skipped"} else "skipped" if found else "passed"
        before = rows.get(name, {"outcome": "passed", "seconds": 0.0})
        rows[name] = {
            "part": PART,
            "name": name,
            "outcome": before["outcome"] if outcome == "passed" else outcome,
            "seconds": round(before["seconds"] + float(case.get("time", 0)), 1),
        }
    return list(rows.values())
