"""The page of a study says what the artifacts hold, is the same bytes each time, and no text in it is markup."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ta_assets.core.values import Problem
from ta_assets.pages.report import render as renderer
from ta_assets.pages.report import words
from ta_assets.pages.report.content import Content, content_of
from ta_assets.pages.report.render import HERE, SCRIPTS, render
from ta_assets.studies.loading import load_studies
from ta_checks.evidence import Evidence
from ta_checks.report.report import CheckRow
from ta_checks.rules.files import report_is_inert, report_tells_artifacts
from ta_checks.rules.files.report_html import Page
from ta_checks.rules.files.report_is_current import report_is_current
from ta_checks.verdict import Verdict
from tests.page.made_page import SHA, world_of

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- <script>",
    "\u2028\u2029 and ' \" & `",
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% raw %}",
    "\ud800 half a pair",
)
LARGEST = 8_000_000


def poisoned(problem: Problem) -> Problem:
    """Every text of a problem attacks."""
    chunks = [
        {
            **chunk,
            "chunk": f"{HOSTILE[at % len(HOSTILE)]} {chunk['chunk']}",
            "function_tags": [HOSTILE[at % len(HOSTILE)]],
        }
        for at, chunk in enumerate(problem.chunks)
    ]
    trace = "\n\n".join(chunk["chunk"] for chunk in chunks)
    statement = {**problem.statement, "problem": " ".join(HOSTILE)}
    return dataclasses.replace(problem, chunks=tuple(chunks), statement=statement, base_solution={"full_cot": trace})


def red_rows() -> list[CheckRow]:
    """A failed check for each hostile text, which is its name, its cell, its message and its offender."""
    return [
        CheckRow(text, "splits", text, "ERROR", Verdict.failed(text, offenders=[text]), text) for text in HOSTILE[:-1]
    ]


def read_page(html: str, folder: Path, **edits: Any) -> dict[str, Any]:
    """What the check of numbers is given of a healthy world with this page."""
    world, study = world_of(folder, **edits)
    path = folder / study.name / "report" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return dict(report_tells_artifacts.read(Evidence("report", study.name, world)))


@pytest.fixture(scope="module")
def html(content: Content) -> str:
    return render(content).decode()


@pytest.fixture(scope="module")
def evidence(html: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_page(html, tmp_path_factory.mktemp("evidence"))


def test_equal_artifacts_give_equal_bytes(content: Content, tmp_path: Path) -> None:
    again = render(content_of(*world_of(tmp_path)))
    assert again == render(content)
    assert len(again) < LARGEST


def test_a_page_tells_its_artifacts(evidence: dict[str, Any]) -> None:
    found = report_tells_artifacts.report_tells_artifacts(**evidence)
    assert found.passed, found.offenders


def changed(html: str, edit: Callable[[dict[str, Any]], None]) -> str:
    """The page with other embedded values."""
    text = next(one.text for one in Page(html).scripts if one.attributes.get("id") == "main-data")
    main = json.loads(text)
    edit(main)
    return html.replace(text, renderer.embedded(main))


def in_comparison(main: dict[str, Any]) -> None:
    main["comparison"]["embedded_correct"]["artifact"]["rows"][0]["average_precision"] += 1e-6


def in_headline(main: dict[str, Any]) -> None:
    main["settings"][0]["difference"] += 1e-6


def in_grid(main: dict[str, Any]) -> None:
    next(iter(main["checks"]["lines"][3]["cells"].values()))[0]["observed"] = 1


def no_alarm(main: dict[str, Any]) -> None:
    main["alarms"].append({})


def in_words(main: dict[str, Any]) -> None:
    main["release"]["verdict"] = "NOT OK"


@pytest.mark.parametrize("edit", [in_comparison, in_headline, in_grid, no_alarm, in_words])
def test_an_embedded_value_that_no_artifact_gives_is_noticed(
    evidence: dict[str, Any], edit: Callable[[dict[str, Any]], None]
) -> None:
    given = {**evidence, "page": changed(evidence["page"], edit)}
    assert report_tells_artifacts.report_tells_artifacts(**given).status == "failed"


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (r'("importance":\[)[-\d.e]+', r"\g<1>0.5"),
        (r'("anchor":\[)0', r"\g<1>1"),
        (r'("scores":{[^}]*"ridge@1":\[)[-\d.e]+', r"\g<1>9.5"),
        (r'("power":{[^}]*"ridge@1":\[)[-\d.e]+', r"\g<1>0.95"),
        (r'("permuted":\[)[-\d.e]+', r"\g<1>0.95"),
        (r'("precision":{[^}]*"ridge@1":)[-\d.e]+', r"\g<1>0.951"),
        (r'("blocks":\[[\d,]*\],"observed":\[)[-\d.e]+', r"\g<1>0.95"),
        (r'("counts":\[\[)\d+', r"\g<1>77"),
        (r'("text":\[")', r"\g<1>Not. "),
        (r'(class="said"><b>[^<]*</b> [^<]*by )[+-]', r"\g<1>+1"),
        (r'<script type="application/json" data-trace="embedded_correct/10">.*?</script>', ""),
    ],
)
def test_a_trace_or_a_printed_number_that_is_not_the_artifacts_is_noticed(
    evidence: dict[str, Any], pattern: str, new: str
) -> None:
    page, times = re.subn(pattern, new, evidence["page"], count=1)
    assert times == 1
    assert report_tells_artifacts.report_tells_artifacts(**{**evidence, "page": page}).status == "failed"


def test_no_text_of_a_dataset_is_markup(tmp_path: Path, html: str) -> None:
    red = red_rows()
    world, study = world_of(tmp_path, poisoned, red)
    page = render(content_of(world, study)).decode()
    assert report_is_inert.report_is_inert(page).passed
    assert page.count("<script") == html.count("<script"), "the library has some in its strings"
    assert "alert(1)" in page
    assert report_tells_artifacts.report_tells_artifacts(**read_page(page, tmp_path, edit=poisoned, red=red)).passed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<p class="note">', '<p class="note"><img src=x onerror=alert(1)>'),
        ('<p class="note">', '<p class="note" onclick="alert(1)">'),
        ('<a class="skip" href="#main">', '<a class="skip" href="javascript:alert(1)">'),
        ("</main>", "<script>alert(1)</script></main>"),
        ("</main>", '<script type="module" src="x.js"></script></main>'),
        ('id="main-data">{', 'id="main-data">{"x":"<!--",'),
        ("script-src ", "script-src 'unsafe-inline' "),
        ("default-src 'none'", "default-src *"),
        ('"use strict";', '"use strict";alert(1);'),
    ],
)
def test_a_page_that_could_run_something_is_noticed(html: str, old: str, new: str) -> None:
    assert report_is_inert.report_is_inert(html).passed
    escaped = old if old in html else old.replace("'", "&#39;")
    assert escaped in html
    found = report_is_inert.report_is_inert(html.replace(escaped, new, 1))
    assert found.status == "failed", found


def test_the_scripts_make_text_and_no_markup() -> None:
    for name in SCRIPTS:
        source = HERE.joinpath(name).read_text(encoding="utf-8")
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|https?:", source)
        assert found == [], name


LATEST = (SHA, "20260102T000000Z-cccccccccccc-00000002")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"found": "b" * 64}, "changed since"),
        ({"found": None, "shown": None}, "no page"),
        ({"shown": ("b" * 64, LATEST[1])}, "verdict bbb"),
        ({"shown": (SHA, "20260101T000000Z-cccccccccccc-00000001")}, "release 20260101"),
    ],
)
def test_a_stale_page_is_noticed(change: dict[str, Any], said: str | None) -> None:
    found = report_is_current(**{"found": SHA, "stored": SHA, "shown": LATEST, "latest": LATEST, **change})
    assert found.passed == (said is None)
    assert said is None or said in found.message


def test_a_page_names_its_verdict_and_its_release(html: str) -> None:
    page = Page(html)
    assert (page.meta("verdict-sha256"), page.meta("release")) == LATEST


def row(**changes: Any) -> dict[str, Any]:
    """A row of a comparison."""
    given = {"name": "lda", "against": "order", "kind": "probe", "difference": 0.168, "low": 0.08, "high": 0.271}
    return {**given, "verdict": "better", "reason": "than all", **changes}


def test_the_row_of_what_activations_add_is_the_one_that_is_told() -> None:
    added = row(name="known_and_activations", against="all_known", kind="increment")
    assert words.key_row([added, row()]) is added
    assert words.key_row([row(), added]) is added
    assert words.key_row([row(), row(name="ridge")]) == row()
    assert words.key_row([]) is None


@pytest.mark.parametrize(
    ("changes", "text", "verdict"),
    [
        ({}, "the best probe, lda, leads its strongest rival, order, by +.17 [.08, .27]", "better than all"),
        ({"difference": -0.01, "low": None, "verdict": "inconclusive", "reason": "cannot be told"},
         "the best probe, lda, against its strongest rival, order: -.01", "inconclusive: cannot be told"),
        ({"kind": "increment"}, "activations add +.17 [.08, .27] to all that is known without them", "better than all"),
    ],
)  # fmt: skip
def test_a_setting_is_told_of_in_words(changes: dict[str, Any], text: str, verdict: str) -> None:
    study = load_studies("embedded").selected
    found = words.headline(study, "embedded_correct", {"n_problems": 8, "rows": [row(**changes)]})
    assert (found["traces"], found["text"], found["verdict"]) == ("right traces", text, verdict)


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.168, True, "+.17"),
        (-0.04, True, "-.04"),
        (0.2, False, ".20"),
        (1.0, True, "+1.00"),
        (-0.999, False, "-1.00"),
        (-0.003, False, ".00"),
    ],
)
def test_a_number_is_short(value: float, sign: bool, text: str) -> None:
    assert words.short(value, sign=sign) == text


def test_a_page_is_made_of_what_there_is(tmp_path: Path) -> None:
    world, study = world_of(tmp_path)
    store: Any = world.store
    for key in [("probe_comparison", "embedded_correct"), ("cv_scores", "embedded_incorrect")]:
        del store.values[key]
    found = content_of(world, study)
    assert [line.partition(":")[0] for line in found.main["missing"]] == [
        "probe_comparison[embedded_correct]", "cv_scores[embedded_incorrect]"
    ]  # fmt: skip
    page = render(found).decode()
    assert report_is_inert.report_is_inert(page).passed
    path = tmp_path / study.name / "report" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    given = report_tells_artifacts.read(Evidence("report", study.name, world))
    assert report_tells_artifacts.report_tells_artifacts(**given).passed
