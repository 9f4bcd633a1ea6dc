"""The part of the proof that runs tests: what it makes of each outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof import disasters

TESTS = """
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("mounting is not allowed here")
@pytest.fixture
def broken():
    yield
    raise OSError
def test_cannot_be_cleaned_up(broken): pass
"""


def test_only_what_passed_counts_as_passed(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(TESTS, encoding="utf-8")
    found = disasters.run(tmp_path, [str(file)])
    assert {row["name"]: row["outcome"] for row in found["rows"]} == {
        "test_some: test_passes": "passed",
        "test_some: test_fails": "failed",
        "test_some: test_is_skipped": "skipped",
        "test_some: test_cannot_be_cleaned_up": "failed",
    }
    assert (found["disasters"], found["disasters_not_passed"]) == (4, 3)


def test_tests_that_cannot_be_run_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no_such_file"):
        disasters.run(tmp_path, ["tests/proof/no_such_file.py"])
