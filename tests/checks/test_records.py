"""What the event log and the code say of cells: rows that were edited, cells of other code or libraries."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ta_assets.ledger.fingerprint import imported_versions
from ta_checks.report import environment
from ta_checks.rules.files.made_by_this_code import Maker, made_by_this_code
from ta_checks.rules.files.records_unedited import records_unedited


def row(status: str, observed: float = 1.0, name: str = "splits") -> dict[str, Any]:
    return {"name": "a_check", "asset": name, "partition": "p", "status": status, "observed": observed, "n": 3}


OTHER = row("passed", name="other")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(row("failed"), row("passed"), id="red became green"),
        pytest.param(row("failed", 7.0), row("failed", 1.0), id="a figure became another"),
        pytest.param(row("warned"), row("passed"), id="a warning was taken back"),
    ],
)
def test_a_row_that_changed_must_have_been_evaluated_since(old: dict[str, Any], new: dict[str, Any]) -> None:
    edited = records_unedited([old, OTHER], [new, OTHER], lambda _: True)
    assert (edited.status, len(edited.offenders), edited.n) == ("failed", 1, 2)
    assert "nobody evaluated it in between" in edited.offenders[0]
    assert records_unedited([old, OTHER], [new, OTHER], lambda _: False).passed


def test_rows_that_say_the_same_new_rows_and_a_first_verdict_are_no_fault() -> None:
    assert records_unedited([row("failed")], [row("warned")], lambda _: True).passed, "the check became a warning"
    assert records_unedited([OTHER], [row("passed"), OTHER], lambda _: True).passed
    first = records_unedited([], [row("failed")], lambda _: True)
    assert (first.status, first.n, first.message) == ("passed", 0, "no earlier verdict is recorded")


NOW = Maker("a" * 64, {"scikit-learn": "1.5", "torch": "2.4+cpu"})
INSTALLED = {"scikit-learn": "1.5", "torch": "2.4", "numpy": "2.0"}


def test_cells_of_this_code_and_these_versions_are_no_fault() -> None:
    cells = {"splits[p]": NOW, "sentences[p]": Maker("a" * 64, {"numpy": "2.0"}), "older[p]": Maker("a" * 64, {})}
    assert made_by_this_code(cells, NOW, INSTALLED).passed


@pytest.mark.parametrize(
    ("maker", "said"),
    [
        pytest.param(Maker("b" * 64, {}), "made by code bbbb", id="other code"),
        pytest.param(Maker(None, {}), "made by code that nobody", id="no code"),
        pytest.param(Maker("a" * 64, {"scikit-learn": "1.4"}), "scikit-learn 1.4 (now 1.5)", id="another library"),
        pytest.param(Maker("a" * 64, {"numpy": "1.9"}), "numpy 1.9 (now 2.0)", id="one that is not imported now"),
    ],
)
def test_a_cell_of_other_code_or_versions_is_named(maker: Maker, said: str) -> None:
    found = made_by_this_code({"splits[p]": maker, "other[p]": NOW}, NOW, INSTALLED)
    assert (found.status, found.n) == ("failed", 2)
    assert said in found.offenders[0]


def test_a_library_that_is_not_the_installed_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made_by_this_code({}, Maker("a" * 64, {"numpy": "1.0"}), INSTALLED)
    assert found.offenders == ("numpy is imported as 1.0, installed is 2.0",)
    monkeypatch.setitem(sys.modules, "sklearn", SimpleNamespace(__version__="0.1"))
    assert imported_versions()["scikit-learn"] == "0.1"
    assert environment.snapshot()["packages"]["scikit-learn"] == "0.1"
    monkeypatch.delitem(sys.modules, "sklearn")
    assert "scikit-learn" not in imported_versions()
