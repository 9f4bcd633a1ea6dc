"""The report of a cell: complete, the same for the same numbers, and safe whatever the dataset's text says."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.results.cells import evaluate_cell
from ta_assets.core.results.report import MAX_CHARACTERS, cell_report, shown
from ta_assets.core.values import CellResult

markdown_it = pytest.importorskip("markdown_it", reason="renders the report as a reader would see it")

OPTIONS = ProbeOptions(mlp_hidden=4, mlp_max_iter=5, bootstrap=20, residualize_against="position", anchor_percentile=80)
NASTY = [
    "a | b",
    "# heading\n\n## another\r\n- list",
    "<script>alert(1)</script><img src=x onerror=y>",
    "<!-- TA_RESULTS_END embedded -->",
    "**bold** _it_ `code` [text](http://example.org) ![image](data:x)",
    "```\nfence\n```",
    "\\| \\",
    "lone surrogate \ud800 and control \x00\x1b[31m",
    "| --- | --- |\u2028| x | y |",
]


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(4)
    n_problems, n_sentences = 6, 12
    n = n_problems * n_sentences
    index, problem = np.tile(np.arange(n_sentences), n_problems), np.repeat(np.arange(n_problems), n_sentences)
    signed = rng.normal(size=n)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"word{i % 9} word{i % 4}" for i in range(n)],
            "function_tag": "plan_generation",
            "anchor": (np.abs(signed) > 1).astype(int),
            "importance_signed": signed,
            "importance_score": np.abs(signed),
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "split": np.array(["train"] * 3 + ["val"] + ["test"] * 2)[problem],
        }
    )
    return ProbeData.of(rows, rng.normal(size=(n, 5)).astype(np.float32))


@pytest.fixture(scope="module")
def result(data: ProbeData) -> CellResult:
    return evaluate_cell(data, OPTIONS, seed=2)


def rendered(report: str) -> str:
    return markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(report)


def test_a_report_holds_counts_metrics_intervals_bins_and_sentences(data: ProbeData, result: CellResult) -> None:
    report = cell_report(result, data.rows, "tiny_correct, seed 2")
    page = rendered(report)
    for heading in (
        "Cell tiny_correct, seed 2",
        "Metrics on val",
        "Metrics on test",
        "Probes refitted on what position leaves over",
        "Differences on test, over problems",
        "Average precision on test, by position",
        "Highest-scored test sentences",
    ):
        assert re.search(rf"<h[12]>{heading}</h[12]>", page), heading
    assert "Check" not in report, "training does not grade itself"
    assert f"{result.metrics['models']['mlp_probe']['test']['average_precision']:.4f}" in report
    assert re.search(r"<td[^>]*>test</td>\s*<td[^>]*>2</td>\s*<td[^>]*>24</td>", page)
    assert page.count("<h3>") == len(OPTIONS.models)


def _differences(report: str) -> list[list[str]]:
    section = report.split("## Differences on test")[1].split("## ")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("target", ["anchor_binary", "importance_signed"])
def test_differences_show_the_t_interval_or_why_there_is_none(data: ProbeData, target: str) -> None:
    options = OPTIONS.model_copy(update={"target": target, "residualize_against": "none"})
    few = evaluate_cell(data, options, seed=2)
    headers, _, *rows = _differences(cell_report(few, data.rows, "x"))
    assert headers[2:] == ["percentile interval", "problems", "mean over problems", "t interval"]
    assert [row[3:] for row in rows] == [
        ["2", f"{one['macro_delta']:.4f}", "too few problems"] for one in few.metrics["confidence_intervals"].values()
    ]
    many = ProbeData.of(data.rows.assign(problem_id=np.arange(len(data.rows)) // 4), data.vectors)
    found = evaluate_cell(many, options, seed=2)
    for row, one in zip(
        _differences(cell_report(found, many.rows, "x"))[2:],
        found.metrics["confidence_intervals"].values(),
        strict=True,
    ):
        assert one["n_problems"] >= 5
        assert row[2] == f"{one['percentile_low']:+.4f} to {one['percentile_high']:+.4f}"
        assert row[5] == f"{one['t_low']:+.4f} to {one['t_high']:+.4f}"


def test_the_five_best_test_sentences_of_a_probe_are_listed_best_first(data: ProbeData, result: CellResult) -> None:
    test = result.predictions.query("split == 'test'").copy()
    test["score_linear_probe"] = [0.5] * 22 + [0.9, 0.7]
    planted = replace(result, predictions=test)
    section = cell_report(planted, data.rows, "x").split("### linear_probe")[1].split("###")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.strip().splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["0.9000", "5", "10"],
        ["0.7000", "5", "11"],
        ["0.5000", "4", "0"],
        ["0.5000", "4", "1"],
        ["0.5000", "4", "2"],
    ], "of equal scores the earlier sentence comes first"
    first = data.rows[(data.rows["problem_id"] == 5) & (data.rows["chunk_idx"] == 10)].iloc[0]
    assert rows[0][4:] == [
        "plan_generation",
        f"{first['importance_score']:.4f}",
        "yes" if first["anchor"] else "no",
        first["chunk_text"],
    ]


def test_equal_cells_have_equal_reports_whatever_the_order_of_their_rows(data: ProbeData, result: CellResult) -> None:
    report = cell_report(result, data.rows, "x")
    assert cell_report(evaluate_cell(data, OPTIONS, seed=2), data.rows.iloc[::-1], "x") == report
    assert report.endswith("\n")
    assert not report.endswith("\n\n")


def _with_text(data: ProbeData, text: str) -> pd.DataFrame:
    return data.rows.assign(chunk_text=text, function_tag=text)


def _is_harmless(page: str, plain: str) -> None:
    skeleton = re.compile(r"</?(?:h1|h2|h3|p|table|thead|tbody|tr|th|td)(?: style=\"text-align:right\")?>")
    left = skeleton.sub("", page)
    assert "<" not in left
    assert ">" not in left
    for tag in ("h1", "h2", "h3", "table", "tr", "td"):
        assert page.count(f"<{tag}") == plain.count(f"<{tag}"), tag


@pytest.mark.parametrize("text", NASTY)
def test_text_of_the_dataset_stays_text(data: ProbeData, result: CellResult, text: str) -> None:
    report = cell_report(result, _with_text(data, text), "x")
    page = rendered(report)
    _is_harmless(page, rendered(cell_report(result, _with_text(data, "plain"), "x")))
    seen = re.sub(r"\s+", " ", html.unescape(page))
    said = "".join(character for character in " ".join(shown(text).split()) if character.isalpha())
    assert said in "".join(character for character in seen if character.isalpha())
    assert report.encode()


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_can_break_out_of_its_cell(data: ProbeData, result: CellResult, text: str) -> None:
    page = rendered(cell_report(result, _with_text(data, text), "x"))
    _is_harmless(page, rendered(cell_report(result, _with_text(data, "plain"), "x")))


def test_long_sentences_are_cut_before_they_are_escaped() -> None:
    assert shown("a" * MAX_CHARACTERS) == "a" * MAX_CHARACTERS
    assert shown("|" * 500) == "|" * (MAX_CHARACTERS - 1) + "…"
    assert shown("two\n lines\t") == "two lines"


def test_a_continuous_cell_shows_its_importance_with_its_sign(data: ProbeData) -> None:
    options = OPTIONS.model_copy(update={"target": "importance_signed"})
    report = cell_report(evaluate_cell(data, options, 0), data.rows, "x")
    assert "by position" not in report
    assert "importance_signed" in report.split("## Highest-scored")[1]
