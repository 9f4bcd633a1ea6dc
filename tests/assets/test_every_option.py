"""Every key of the study file at every documented value, together with every value of any other one."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import yaml

from ta_assets.core.errors import InputError
from ta_assets.studies.loading import read_study
from tests.assets.option_rows import FIXED, SETTING, VALUES, fits, misfits, outcome, rows, study_of
from tests.docs.study_keys import keys

ROWS = rows()


def test_every_key_of_the_study_file_has_its_values_here() -> None:
    documented = {key.replace("settings.NAME.", SETTING).removesuffix(".FACTOR") for key in keys()}
    known = {*VALUES, *FIXED}
    assert {key for key in documented if key not in known and not key.startswith(("models.", "generation."))} == set()
    assert known - documented == {"models"}


def test_any_two_values_that_go_together_meet() -> None:
    met = {(a, repr(row[a]), b, repr(row[b])) for row in ROWS for a, b in combinations(VALUES, 2)}
    for a, b in combinations(VALUES, 2):
        pairs = [(one, other) for one in VALUES[a] for other in VALUES[b] if fits({a: one, b: other})]
        assert {(a, repr(one), b, repr(other)) for one, other in pairs} <= met
    assert all(fits(row) for row in ROWS)


def test_two_values_that_do_not_go_together_are_refused_by_the_name_of_one_of_their_keys(tmp_path: Path) -> None:
    found = misfits()
    assert len(found) >= 8
    for row in found:
        changed = [key for key in row if row[key] != VALUES[key][0]]
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study_of(row, tmp_path)), encoding="utf-8")
        with pytest.raises(InputError) as refusal:
            read_study(path)
        assert any(key.rpartition(".")[2] in str(refusal.value) for key in changed), (changed, str(refusal.value))


@pytest.mark.prove
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_study_ends_in_verdicts_or_names_an_input(
    tmp_path: Path, tiny_model: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(tmp_path, ROWS[number], tiny_model) == []
