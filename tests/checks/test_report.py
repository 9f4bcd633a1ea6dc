"""What makes a release OK, and that no text of a check can break out of a report."""

from __future__ import annotations

import dataclasses
import itertools
import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_checks.report import formats
from ta_checks.report.report import CheckRow, ReleaseReport
from ta_checks.verdict import Verdict

GREEN = Verdict.judge(0, "<=", 0, unit="problems", n=20, message="0 of 20 problems were skipped")
RED = Verdict.judge(2, "<=", 0, unit="problems", n=20, message="2 of 20", offenders=["problem 3: context_length"])
SKIPPED = Verdict.skipped("not evaluated: its cell was not made")
ERRORED = Verdict.errored(RuntimeError("rule broke"))

text = st.text(st.characters(), max_size=30)
nasty = text | st.sampled_from(
    [
        "| a | b |\n|---|",
        "</testcase><failure/>",
        "\x1b[31mred\x1b[0m",
        "<script>alert(1)</script>",
        "]]>",
        "\ufffe\x00",
        "a\rb",
    ]
)
verdicts = st.builds(
    Verdict,
    status=st.sampled_from(["passed", "failed", "errored", "skipped"]),
    observed=st.floats() | st.integers() | nasty | st.none(),
    comparison=st.sampled_from(["<=", "", ">="]),
    threshold=st.floats() | st.none(),
    unit=nasty,
    n=st.integers(0, 1000),
    offenders=st.lists(nasty, max_size=12).map(tuple),
    message=nasty,
)
rows = st.builds(
    CheckRow,
    name=nasty,
    asset=nasty,
    partition=st.none() | nasty,
    severity=st.sampled_from(["ERROR", "WARN"]),
    verdict=verdicts,
    description=nasty,
)
reports = st.builds(
    ReleaseReport,
    study=nasty,
    rows=st.lists(rows, max_size=6).map(tuple),
    cells=st.dictionaries(nasty, nasty, max_size=3),
    environment=st.dictionaries(nasty, nasty | st.dictionaries(nasty, nasty, max_size=2), max_size=3),
)


def row(verdict: Verdict, severity: str = "ERROR", name: str = "zero_skipped_problems") -> CheckRow:
    return CheckRow(name, "activations", "llama_correct", severity, verdict)


def report(*of: CheckRow) -> ReleaseReport:
    cells = {"activations[llama_correct]": "computed"}
    return ReleaseReport("embedded", of, cells, {"python": "3.11", "git": {"commit": "ab", "clean": True}})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(GREEN)], "OK"),
        ([row(GREEN), row(RED, "WARN")], "OK"),
        ([row(GREEN), row(ERRORED, "WARN"), row(SKIPPED, "WARN")], "OK"),
        ([row(GREEN), row(RED)], "NOT OK"),
        ([row(GREEN), row(SKIPPED)], "NOT OK"),
        ([row(GREEN), row(ERRORED)], "NOT OK"),
        ([row(GREEN), row(RED.as_warning())], "NOT OK"),
        ([row(GREEN, "WARN")], "NOT OK"),
        ([], "NOT OK"),
    ],
)
def test_only_a_release_whose_error_checks_all_passed_is_ok(rows: list[CheckRow], expected: str) -> None:
    assert report(*rows).verdict == expected


def test_an_unknown_severity_is_an_error() -> None:
    with pytest.raises(ValueError, match="severity 'INFO'"):
        row(GREEN, "INFO")


def test_a_failure_that_only_warns_reads_warned() -> None:
    assert row(RED, "WARN").status == "warned"
    assert row(ERRORED, "WARN").status == "errored"


def test_verdict_json_has_the_fields_of_the_contract() -> None:
    made = report(row(RED)).to_json()
    assert list(made) == ["study", "verdict", "checks", "environment", "cells"]
    assert made["checks"] == [
        {
            "name": "zero_skipped_problems",
            "asset": "activations",
            "partition": "llama_correct",
            "status": "failed",
            "severity": "ERROR",
            "observed": 2,
            "comparison": "<=",
            "threshold": 0,
            "unit": "problems",
            "n": 20,
            "message": "2 of 20",
            "offenders": ["problem 3: context_length"],
        }
    ]


def test_red_rows_come_first_and_then_warnings() -> None:
    made = report(row(GREEN, name="a"), row(RED, "WARN", "b"), row(SKIPPED, name="c"), row(RED, name="d"))
    assert [one.name for one in made.red_first] == ["d", "c", "b", "a"]
    for shown in (formats.text(made), formats.markdown(made)):
        at = [shown.index(f" {name} ") for name in "dcba"]
        assert at == sorted(at)


def test_the_last_line_on_the_terminal_is_the_verdict() -> None:
    lines = formats.text(report(row(GREEN), row(RED), row(SKIPPED))).splitlines()
    assert lines[-1] == "embedded: NOT OK: 1 of 3 checks passed, 1 failed, 1 skipped"
    assert " ".join(lines[2].split()) == (
        "FAILED zero_skipped_problems activations[llama_correct] 2 <= 0 problems 2 of 20"
    )


def test_a_long_message_is_cut_in_the_table_and_whole_below_it() -> None:
    long = Verdict.failed("x" * 150 + " the end")
    lines = formats.text(report(row(GREEN), row(long))).splitlines()
    assert lines[2].endswith("x…")
    assert lines[5] == f"zero_skipped_problems of activations[llama_correct]: {'x' * 150} the end"
    assert lines[-1].startswith("embedded: NOT OK")


def test_columns_of_the_terminal_table_are_aligned() -> None:
    header, rule, *body = formats.text(report(row(GREEN), row(RED, name="x"))).splitlines()[:4]
    starts = [0, *(at + 2 for at in range(len(rule)) if rule[at : at + 2] == "  ")]
    assert len(starts) == len(header.split())
    assert all(line[start - 1] == " " for line in body for start in starts[1:] if len(line) > start)


def test_junit_has_a_case_for_every_row_with_its_element() -> None:
    made = report(row(GREEN), row(RED), row(ERRORED), row(SKIPPED), row(RED, "WARN"), row(ERRORED, "WARN"))
    suite = ET.fromstring(formats.junit_xml(made))[0]
    kinds = [[child.tag for child in case] for case in suite.iter("testcase")]
    assert sorted(itertools.chain(*kinds)) == ["error", "failure", "skipped", "skipped", "system-out"]
    assert len(kinds) == 6
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "1", "errors": "1", "skipped": "2"}
    failure = suite.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "2 of 20"
    assert failure.text == "2 of 20\nobserved 2, required <= 0 problems, n 20\nproblem 3: context_length"


def test_junit_has_the_time_of_every_row_and_the_json_has_none() -> None:
    timed = [dataclasses.replace(row(GREEN, name=name), seconds=s) for name, s in (("a", 1.25), ("b", 0.5))]
    made = report(*timed, row(SKIPPED, name="c"))
    suite = ET.fromstring(formats.junit_xml(made))[0]
    assert {case.get("name"): case.get("time") for case in suite.iter("testcase")} == {
        "a[llama_correct]": "1.250",
        "b[llama_correct]": "0.500",
        "c[llama_correct]": "0.000",
    }
    assert suite.get("time") == "1.750"
    plain = report(row(GREEN, name="a"), row(GREEN, name="b"), row(SKIPPED, name="c"))
    assert made.to_json() == plain.to_json()


WHAT_TO_DO = "Some problems are missing. Use | a longer <context>."


def test_a_row_that_is_not_passed_says_what_it_means_and_a_passed_one_does_not() -> None:
    def described(verdict: Verdict, severity: str = "ERROR") -> CheckRow:
        return CheckRow("zero_skipped_problems", "activations", "llama_correct", severity, verdict, WHAT_TO_DO)

    healthy = report(described(GREEN))
    plain = report(row(GREEN))
    assert formats.text(healthy) == formats.text(plain)
    assert formats.markdown(healthy) == formats.markdown(plain)
    assert formats.junit_xml(healthy) == formats.junit_xml(plain)
    for verdict in (RED, SKIPPED, ERRORED):
        for severity in ("ERROR", "WARN"):
            made = report(row(GREEN, name="x"), described(verdict, severity))
            assert formats.text(made).splitlines()[3] == f"    {WHAT_TO_DO}"
            assert r"| Some problems are missing. Use \| a longer &lt;context&gt;. " in formats.markdown(made)
            texts = [element.text for element in ET.fromstring(formats.junit_xml(made)).iter() if element.text]
            assert sum(WHAT_TO_DO in text for text in texts) == 1
            assert "description" not in made.to_json()["checks"][1]


def test_what_several_rows_mean_is_said_once_in_a_table_and_in_every_case_of_junit() -> None:
    made = report(*(CheckRow("a", "b", key, "ERROR", RED, WHAT_TO_DO) for key in "cde"))
    lines = formats.text(made).splitlines()
    assert [at for at, line in enumerate(lines) if WHAT_TO_DO in line] == [3]
    assert formats.markdown(made).count("longer") == 1
    assert formats.junit_xml(made).count("longer") == 3


def test_offenders_that_were_not_kept_are_counted() -> None:
    verdict = Verdict.judge(30, "<=", 0, offenders=[f"p{one}" for one in range(30)])
    assert "and 20 more" in formats.markdown(report(row(verdict)))


@given(reports)
def test_any_report_is_strict_json(made: ReleaseReport) -> None:
    encoded = json.dumps(made.to_json(), allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(encoded)["verdict"] == made.verdict


@given(reports)
def test_any_report_is_valid_junit(made: ReleaseReport) -> None:
    root = ET.fromstring(formats.junit_xml(made).encode("utf-8"))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(made.rows)
    assert sum(case.find("failure") is not None for case in cases) == int(root.get("failures", "-1"))
    assert {child.tag for case in cases for child in case} <= {"failure", "error", "skipped", "system-out"}


@given(reports)
def test_no_text_of_a_check_breaks_a_markdown_table(made: ReleaseReport) -> None:
    shown = formats.markdown(made)
    tables = [line for line in shown.split("\n") if line.startswith("|")]
    expected = len(made.rows) + len(meanings(made)) + 2 if made.rows else 0
    checks = [line for line in tables if unescaped_bars(line) == 10]
    assert len(checks) == expected
    assert all(unescaped_bars(line) in (3, 10) for line in tables)
    assert "<" not in "".join(tables).replace("&lt;", "")
    assert len([line for line in shown.split("\n") if line.startswith("#")]) <= 3


def unescaped_bars(line: str) -> int:
    return sum(char == "|" and (at == 0 or line[at - 1] != "\\") for at, char in enumerate(line))


@given(reports)
def test_no_control_character_reaches_the_terminal(made: ReleaseReport) -> None:
    shown = formats.text(made)
    assert all(char.isprintable() for char in shown.replace("\n", ""))
    assert len(shown.splitlines()) == len(made.rows) + len(meanings(made)) + 4


def meanings(made: ReleaseReport) -> set[str]:
    return {one.description for one in made.rows if not one.verdict.passed} - {""}


def test_an_object_that_is_no_json_does_not_stop_the_report() -> None:
    made: Any = ReleaseReport("embedded", (row(GREEN),), {"cell": object()}, {"device": float("nan")})
    assert made.to_json()["environment"] == {"device": "NaN"}


def test_rows_that_were_not_evaluated_for_one_reason_are_counted_on_the_terminal_and_listed_elsewhere() -> None:
    skipped = [row(SKIPPED, name=f"check_{number}") for number in range(40)]
    left_out = [row(Verdict.skipped(f"left out: sentences[{number}] was not made"), name="made") for number in range(9)]
    crashed = [row(Verdict.skipped("crashed: no network"), name="made")]
    told = report(*crashed, *skipped, *left_out, row(RED))
    shown = formats.text(told)
    assert len(shown.splitlines()) < 20
    assert "and 37 more rows: not evaluated: its cell was not made" in shown
    assert "and 6 more rows: left out" in shown
    assert "crashed: no network" in shown
    assert formats.markdown(told).count("its cell was not made") == 40
    assert formats.junit_xml(told).count("<testcase") == 51
    few = formats.text(report(*skipped[:3]))
    assert "more rows" not in few
    assert few.count("SKIPPED") == 3
