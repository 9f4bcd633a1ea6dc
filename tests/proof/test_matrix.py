"""A fast part of the proof: one planted fault of each kind, a few clean releases; ``make prove`` runs all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ta_checks.report.rows import ADDED
from tests.proof import __main__ as command
from tests.proof import document, matrix
from tests.proof.faults import REFUSED, catalogue
from tests.proof.matrix import OF_DATASETS
from tests.proof.world import World


def test_the_catalogue_names_every_check_and_each_fault_once() -> None:
    faults = catalogue()
    named = {(fault.check, fault.asset) for fault in faults}
    assert len(faults) >= 60
    assert len({fault.name for fault in faults}) == len(faults)
    assert {(one.name, one.asset) for one in OF_DATASETS} <= named
    assert all(bool(fault.expected) == (fault.check == REFUSED) for fault in faults)
    assert {name for name, _ in named} >= {*(row.name for row in ADDED), REFUSED}
    warnings = {(one.name, one.asset) for one in OF_DATASETS if one.severity == "WARN"}
    warnings |= {(one.name, "release_verdict") for one in ADDED if one.severity == "WARN"}
    assert {(fault.check, fault.asset) for fault in faults if fault.status == "warned"} == warnings


def rows() -> list[dict[str, Any]]:
    """One fault for every check, all caught."""
    checks = [f"{one.name}[{one.asset}]" for one in OF_DATASETS]
    return [
        {
            "part": "matrix",
            "name": f"fault of <b>{check}</b>",
            "check": check,
            "caught": True,
            "caught_by_named_check": True,
            "said": "it | is\nwrong",
            "alarms": [f"{check} failed", "made[splits] skipped", "release[release_verdict] failed"],
            "error": "",
            "seconds": 1.0,
        }
        for check in [*checks, "made[splits]", *matrix.ROLLED_UP[1:]]
    ]


def test_counts_and_checks_without_a_fault() -> None:
    made = rows()
    counts = matrix.counts(made)
    assert counts["caught"] == counts["caught_by_named_check"] == counts["faults"] == len(made)
    assert counts["checks_without_fault"] == 0
    made[3]["caught_by_named_check"] = False
    assert matrix.checks_without_fault(made) == [made[3]["check"]]
    assert matrix.counts(made)["caught_by_named_check"] == len(made) - 1


KILL = {"part": "kills", "name": "kill 1", "phase": "fitting", "repeated": [], "faults": [], "outcome": "kept"}
CLEAN = {"part": "clean", "name": "clean 1", "problems": 20, "alarms": [], "warnings": ["enough"], "error": ""}
RUN = {"code_sha256": "0123456789abcdef", "seconds": 7}


def test_a_document_says_what_the_file_says_and_no_text_becomes_markup() -> None:
    found = {**matrix.counts(rows()), "rows": [*rows(), CLEAN, KILL], "runs": {"kills": RUN}}
    text = document.render(found)
    assert "<b>" not in text + document.render_rows(found)
    assert "| fitting | 1 | 1 | 0 | 0 |" in text
    assert "| kills | 7 | 0123456789ab |" in text
    assert "| enough | 1 |" in text
    assert "kill 1" not in text
    assert "kill 1" in document.render({**found, "rows": [KILL | {"outcome": "lost"}]})
    assert "clean 1" not in text
    assert "clean 1" in document.render({**found, "rows": [CLEAN | {"alarms": ["random_label"]}]})
    assert "| not run" in text
    assert "made[splits]" not in document.render({**found, "rows": rows()[:1]})
    assert "made[splits]" not in document.render_rows({**found, "rows": rows()[:1]})


INPUT = {"part": "bad_inputs", "kind": "manifest", "name": "an input", "outcome": "clear", "answer": "found 3"}
WAY = {"part": "determinism", "name": "a way", "artifacts": 3, "verdict_rows": 1, "different": []}


def test_every_row_is_in_the_rows_and_the_document_names_those_that_are_not_as_claimed() -> None:
    missed = {**rows()[0], "name": "a missed fault", "caught_by_named_check": False}
    unclear, differs = INPUT | {"name": "unclear", "outcome": "leaks"}, WAY | {"name": "differs", "different": ["x"]}
    found = {"rows": [missed, *rows()[1:], CLEAN, KILL, INPUT, unclear, WAY, differs], "runs": {"kills": RUN}}
    text, every = document.render(found), document.render_rows(found)
    for row in found["rows"]:
        name = row["name"].replace("<b>", "").replace("</b>", "").split("[")[0]
        assert name in every.replace("\\", "").replace("&lt;b&gt;", "").replace("&lt;/b&gt;", ""), row["name"]
    assert [name in text for name in ("a missed fault", "unclear", "differs")] == [True] * 3
    assert [name in text for name in ("an input", "a way", "fault of")] == [False] * 3
    assert "| Bad inputs: manifest | 2 | 1 |" in text
    assert "| Determinism | 2 | 1 |" in text


def test_the_written_document_is_short_and_has_a_line_for_each_check() -> None:
    text = (command.ROOT / document.PATH).read_text(encoding="utf-8")
    assert len(text.encode()) <= 10_000
    for words in (words for _, words, _, _ in document.CLAIMS):
        assert f"| {words} |" in text
    for invariant in OF_DATASETS:
        assert f"| {invariant.name}\\[{invariant.asset}\\] |" in text, invariant.name


@pytest.mark.parametrize(
    "change",
    [
        {"caught": 63}, {"checks_without_fault": 1}, {"clean_runs": 10}, {"false_alarms": 1}, {"kills_lost": 2},
        {"code_versions": 2}, {"disasters": 19}, {"disasters_not_passed": 1},
    ],
)  # fmt: skip
def test_a_claim_that_does_not_hold_is_named(change: dict[str, int]) -> None:
    found = {
        "faults": 64, "caught": 64, "caught_by_named_check": 64, "checks_without_fault": 0, "clean_runs": 200,
        "false_alarms": 0, "kills": 200, "kills_lost": 0, "bad_inputs": 120, "bad_inputs_unclear": 0,
        "disasters": 20, "disasters_not_passed": 0,
        "determinism_runs": 6, "determinism_differences": 0, "code_versions": 1,
    }  # fmt: skip
    assert document.unmet(found) == []
    assert document.unmet(found | change) == list(change)
    assert set(document.unmet({})) == set(found)


def test_a_part_replaces_its_own_keys_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command.record("kills", {"kills": 2, "rows": [{"part": "kills", "name": "a"}], "run": RUN})
    command.record("matrix", {"faults": 1, "rows": [{"part": "matrix", "name": "b"}], "run": RUN})
    command.record("kills", {"kills": 3, "rows": [{"part": "kills", "name": "c"}], "run": RUN})
    found = json.loads(command.FILE.read_text(encoding="utf-8"))
    assert (found["faults"], found["kills"], found["code_versions"]) == (1, 3, 1)
    assert [row["name"] for row in found["rows"]] == ["b", "c"]
    command.record("matrix", {"faults": 1, "rows": [], "run": RUN | {"code_sha256": "other"}})
    assert command.read()["code_versions"] == 2


def test_a_part_that_fails_is_named_and_leaves_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command.record("kills", {"kills": 2, "rows": [], "run": RUN})
    assert command.run(["no_such_part"]) == ["no_such_part"]
    assert "No module named 'tests.proof.no_such_part'" in capfd.readouterr().err
    assert command.read()["kills"] == 2


@pytest.mark.parametrize("edit", [lambda world: world.study_file.unlink(), lambda world: world.readme.write_text("")])
def test_a_child_does_not_touch_the_world_it_was_copied_from(
    healthy: tuple[World, set[str]], tmp_path: Path, edit: Callable[[World], Any]
) -> None:
    from tests.proof.world import in_child

    def destroy(copy: World) -> dict[str, Any]:
        edit(copy)
        return {}

    in_child(healthy[0], tmp_path / "copy", destroy)
    assert healthy[0].study_file.is_file()
    assert healthy[0].readme.stat().st_size
