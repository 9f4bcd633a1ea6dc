"""Every key of the study file at every documented value, together with every value of any other one."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.assets.option_rows import FIXED, SETTING, VALUES, outcome, rows
from tests.docs.study_keys import keys

ROWS = rows()
FIRST = 2
"""So many studies are part of ``make test``."""


def test_every_key_of_the_study_file_has_its_values_here() -> None:
    documented = {key.replace("settings.NAME.", SETTING).removesuffix(".FACTOR") for key in keys()}
    known = {*VALUES, *FIXED}
    assert {key for key in documented if key not in known and not key.startswith("models.")} == set()
    assert known - documented == {"models"}


def test_any_two_values_of_two_keys_meet() -> None:
    met = {(a, repr(row[a]), b, repr(row[b])) for row in ROWS for a, b in combinations(VALUES, 2)}
    for a, b in combinations(VALUES, 2):
        for one in VALUES[a]:
            assert {(a, repr(one), b, repr(other)) for other in VALUES[b]} <= met


def run(tmp_path: Path, tiny_model: Path, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind, faults = outcome(tmp_path, row, tiny_model)
    assert faults == [], (kind, row)


@pytest.mark.parametrize("number", range(FIRST))
def test_a_study_ends_in_verdicts_or_in_a_clear_refusal(
    tmp_path: Path, tiny_model: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, tiny_model, ROWS[number], monkeypatch)


@pytest.mark.prove
@pytest.mark.parametrize("number", range(FIRST, len(ROWS)))
def test_every_other_study_ends_so_too(
    tmp_path: Path, tiny_model: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, tiny_model, ROWS[number], monkeypatch)
