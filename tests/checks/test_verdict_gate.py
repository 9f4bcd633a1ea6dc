"""The gate on the gate: silent on a release of the embedded study, loud where something was tampered with."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.studies.loading import SHIPPED, load_studies
from ta_checks.report.formats import junit_xml
from ta_checks.report.report import CheckRow, ReleaseReport
from ta_checks.report.rows import ADDED, MADE
from ta_checks.table import INVARIANTS, invariants_of
from ta_checks.verdict import Verdict

CI = Path(__file__).parents[2] / ".ci"
PINNED = json.loads((CI / "checks.json").read_text(encoding="utf-8"))
PASSED = Verdict.judge(0, "<=", 0, n=3)
Rows = list[CheckRow]


def load(name: str) -> ModuleType:
    """A script of the gate, which is no package."""
    spec = importlib.util.spec_from_file_location(name, CI / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


gate = load("verdict_gate")


def healthy_rows() -> Rows:
    """The rows of a healthy release of the embedded study, as the product makes them."""
    study = load_studies("embedded").selected
    rows = [
        CheckRow(name, asset, partition, severity, PASSED)
        for asset in ASSETS
        for partition in partitions_of(asset, study)
        for name, severity in [(MADE.name, "ERROR"), *((one.name, one.severity) for one in invariants_of(asset, study))]
    ]
    last = [CheckRow(row.name, "release_verdict", study.name, row.severity, PASSED) for row in ADDED if row is not MADE]
    return [*rows, *last]


def found(
    folder: Path,
    rows: Rows,
    exit_code: int = 0,
    edit: Callable[[dict[str, Any], str], tuple[dict[str, Any], str]] = lambda verdict, junit: (verdict, junit),
) -> list[str]:
    report = ReleaseReport("embedded", tuple(rows), {}, {})
    verdict, junit = edit(report.to_json(), junit_xml(report))
    (folder / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    (folder / "junit.xml").write_text(junit, encoding="utf-8")
    return gate.faults(SHIPPED / "embedded.yaml", folder, exit_code, CI / "checks.json")


def as_(status: str, *, name: str = "scores_refit") -> Rows:
    """A release in which one check ended otherwise."""
    return [
        CheckRow(row.name, row.asset, row.partition, row.severity, Verdict(status, message="planted"))
        if row.name == name
        else row
        for row in healthy_rows()
    ]


def test_the_pinned_checks_are_those_of_the_table() -> None:
    """Whoever takes a check from the table, or changes its severity, has to say so a second time."""
    table = {(row.name, row.asset): row.severity for row in INVARIANTS}
    pinned = {
        (name, asset): severity
        for asset, of in PINNED["assets"].items()
        for name, severity in of["checks"].items()
        if name != MADE.name and asset != "release_verdict"
    }
    # the page is made after the verdict, which has no row of it
    later = {(name, asset): one for asset, of in PINNED["of_the_page"].items() for name, one in of.items()}
    assert not {asset for _, asset in later} & set(ASSETS)
    assert pinned | later == table
    added = {row.name: row.severity for row in ADDED if row is not MADE}
    assert PINNED["assets"]["release_verdict"]["checks"] == added
    assert all(of["checks"]["made"] == "ERROR" for asset, of in PINNED["assets"].items() if asset in ASSETS)


def test_a_healthy_release_has_no_faults(tmp_path: Path) -> None:
    assert found(tmp_path, healthy_rows()) == []


@pytest.mark.parametrize("status", ["failed", "errored", "skipped"])
def test_a_release_that_is_red_and_says_so_has_no_faults(tmp_path: Path, status: str) -> None:
    assert found(tmp_path, as_(status), exit_code=1) == []


def test_a_warning_that_was_seen_is_no_fault(tmp_path: Path) -> None:
    assert found(tmp_path, as_("warned", name="label_support")) == []


def test_a_check_that_is_gone_is_named(tmp_path: Path) -> None:
    rows = [row for row in healthy_rows() if row.name != "scores_refit"]
    faults = found(tmp_path, rows)
    assert len(faults) == 2
    assert faults[0].startswith("scores_refit of seed_free_scores[embedded_correct] has 0 rows, 1 expected")


def test_an_error_that_was_made_a_warning_is_named(tmp_path: Path) -> None:
    rows = [
        CheckRow(row.name, row.asset, row.partition, "WARN" if row.name == "scores_refit" else row.severity, PASSED)
        for row in healthy_rows()
    ]
    assert "scores_refit of seed_free_scores[embedded_correct] is WARN, pinned as ERROR" in found(tmp_path, rows)


def test_a_cell_that_nobody_judged_is_named(tmp_path: Path) -> None:
    rows = [row for row in healthy_rows() if row.partition != "4|embedded_incorrect"]
    assert any("probe_metrics[4|embedded_incorrect]" in fault for fault in found(tmp_path, rows))


def test_a_setting_that_nobody_judged_is_named(tmp_path: Path) -> None:
    rows = [row for row in healthy_rows() if "embedded_incorrect" not in str(row.partition)]
    assert len(found(tmp_path, rows)) > 50


def _word(verdict: dict[str, Any], junit: str) -> tuple[dict[str, Any], str]:
    return {**verdict, "verdict": "OK"}, junit


def _junit_of_another(verdict: dict[str, Any], _: str) -> tuple[dict[str, Any], str]:
    return verdict, junit_xml(ReleaseReport("embedded", tuple(healthy_rows()), {}, {}))


def _errored_counted_as_passed(verdict: dict[str, Any], junit: str) -> tuple[dict[str, Any], str]:
    rows = [{**row, "status": "passed" if row["status"] == "errored" else row["status"]} for row in verdict["checks"]]
    return {**verdict, "verdict": "OK", "checks": rows}, junit


@pytest.mark.parametrize(
    ("edit", "exit_code", "said"),
    [
        (_word, 1, "the verdict is OK, its rows say NOT OK"),
        (_junit_of_another, 1, "junit.xml shows scores_refit[embedded_correct] of seed_free_scores as"),
        (_errored_counted_as_passed, 0, "scores_refit of seed_free_scores[embedded_correct] passed with None"),
        (lambda verdict, junit: (verdict, junit), 0, "the exit code is 0, the rows say NOT OK"),
        (lambda verdict, junit: (verdict, junit.replace('errors="2"', 'errors="0"')), 1, "junit.xml says errors=0"),
        (lambda verdict, junit: ({**verdict, "study": "other"}, junit), 1, "the verdict is of the study other"),
    ],
)
def test_files_that_contradict_each_other_are_named(
    tmp_path: Path,
    edit: Callable[[dict[str, Any], str], tuple[dict[str, Any], str]],
    exit_code: int,
    said: str,
) -> None:
    faults = found(tmp_path, as_("errored"), exit_code, edit)
    assert any(fault.startswith(said) for fault in faults), faults


def test_a_row_that_passed_against_its_own_figures_is_named(tmp_path: Path) -> None:
    def edit(verdict: dict[str, Any], junit: str) -> tuple[dict[str, Any], str]:
        verdict["checks"][0] |= {"observed": 2, "comparison": "<=", "threshold": 0}
        return verdict, junit

    assert any("passed with 2, required <= 0" in fault for fault in found(tmp_path, healthy_rows(), edit=edit))


def test_the_command_prints_the_faults_and_exits_by_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found(tmp_path, healthy_rows())
    asked = [str(SHIPPED / "embedded.yaml"), str(tmp_path)]
    assert gate.main([*asked, "0"]) == 0
    assert gate.main([*asked, "1"]) == 1
    assert "gate: the exit code is 1, the rows say OK" in capsys.readouterr().out
