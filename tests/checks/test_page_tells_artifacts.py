"""The tables of a page of results against artifacts: a page as it is rendered, and pages that lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from ta_assets.pages import block
from ta_assets.pages.spans import Line, render
from ta_assets.studies.loading import load_studies
from ta_checks.rules.files.page_tells_artifacts import page_tells_artifacts

OWN = ("readme_block", "embedded")
SETTINGS = ("embedded_correct", "embedded_incorrect")
COUNTED = {"label_support": (1, 2), "scores_refit": (2, 2), "made": (5, 5)}
KINDS = {
    "known_and_activations": "increment",
    "ridge": "probe",
    "logistic": "probe",
    "lda": "probe",
    "text_tfidf": "baseline",
    "order": "baseline",
    "support_trained": "diagnosis",
}


def comparison(shift: float) -> dict[str, Any]:
    """Probes and baselines, best first, one without an interval."""
    rows = []
    for place, (name, kind) in enumerate(KINDS.items()):
        lead = 0.2 - 0.1 * place + shift
        rows.append(
            {
                "name": name,
                "kind": kind,
                "average_precision": 0.81234 - 0.1 * place + shift,
                "against": "chance" if kind == "baseline" else "text_tfidf",
                "difference": lead,
                "low": None if place == 2 else lead - 0.0512,
                "high": None if place == 2 else lead + 0.0731,
                "twin_of": "ridge" if name == "logistic" else None,
                "p": 9.99e-5 + place / 50,
                "share_of_ceiling": None if place == 3 else 0.3 + lead,
                "share_low": None if place == 3 else 0.2 + lead,
                "share_high": None if place == 3 else 0.4 + lead,
                "verdict": "better" if lead > 0.05 else "inconclusive, needs about 426 problems",
            }
        )
    return {"rows": rows}


def aggregate(shift: float) -> dict[str, Any]:
    rows = [
        {
            "model": model,
            "depends_on_seed": model == "mlp_probe",
            "average_precision_mean": 0.61239 - 0.1 * place + shift,
            "average_precision_std": 0.01237,
            "pr_auc_mean": 0.7 + shift,
            "pr_auc_std": 0.0,
        }
        for place, model in enumerate(("linear_probe", "mlp_probe"))
    ]
    return {"seeds": [0, 1, 2, 3, 4], "summary_by_model": rows, "primary_metric": "average_precision"}


COMPARISONS = {setting: comparison(place / 37) for place, setting in enumerate(SETTINGS)}
AGGREGATES = {setting: aggregate(place / 41) for place, setting in enumerate(SETTINGS)}


def page(comparisons: dict[str, Any] = COMPARISONS, aggregates: dict[str, Any] = AGGREGATES) -> str:
    """The tables of a page by the product's own code."""
    summary = pd.DataFrame(
        [
            {"setting": setting, "seeds": len(value["seeds"]), **row}
            for setting, value in aggregates.items()
            for row in value["summary_by_model"]
        ]
    )
    checks = [["label_support", "WARN", 1, 2], ["made", "ERROR", 5, 5], ["scores_refit", "ERROR", 2, 2]]
    study = load_studies("embedded").selected
    lines: list[Line] = [
        *block._comparison(OWN, study, comparisons, headlines_only=True),
        *block._comparison(OWN, study, comparisons),
        *block._seed_means(OWN, summary),
        *block._checks(OWN, checks),
    ]
    return render(lines)


def judged(text: str) -> Any:
    return page_tells_artifacts(text, COMPARISONS, AGGREGATES, COUNTED)


def test_a_page_as_it_is_rendered_passes() -> None:
    verdict = judged(page())
    assert verdict.passed, verdict.offenders
    assert verdict.n > 150


def edited(edit: Callable[[dict[str, Any]], Any]) -> Callable[[], str]:
    """A page of rows that are changed on the way to it."""

    def make() -> str:
        changed = {setting: {"rows": [dict(row) for row in value["rows"]]} for setting, value in COMPARISONS.items()}
        for value in changed.values():
            for row in value["rows"]:
                edit(row)
        return page(changed)

    return make


def _swap(one: str, other: str) -> Callable[[dict[str, Any]], None]:
    def edit(row: dict[str, Any]) -> None:
        row[one], row[other] = row[other], row[one]

    return edit


def _turned(row: dict[str, Any]) -> None:
    row["verdict"] = {"better": "worse"}.get(row["verdict"], row["verdict"])


def _settings_swapped() -> str:
    first, second = SETTINGS
    return page({first: COMPARISONS[second], second: COMPARISONS[first]})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (edited(_turned), "verdict is printed as 'worse'"),
        (edited(_swap("low", "high")), "difference [95 %] is printed as"),
        (edited(lambda row: row.update(low=row["low"] and row["low"] - 0.01)), "difference [95 %] is printed as"),
        (edited(lambda row: row.update(p=row["p"] + 0.001)), "p is printed as"),
        (lambda: page().replace("≤ 0.0001", "  0.0001"), "p is printed as 0.0001, which is the least"),
        (edited(lambda row: row.update(average_precision=round(row["average_precision"], 2))), "average precision is"),
        (edited(lambda row: row.update(against="order")), "against is printed as 'order'"),
        (edited(lambda row: row.update(share_of_ceiling=0.99)), "of ceiling [95 %] is printed as"),
        (_settings_swapped, "average precision is printed as"),
        (lambda: page({one: {"rows": value["rows"][::-1]} for one, value in COMPARISONS.items()}), "from row 0 on"),
        (
            lambda: page({one: {"rows": value["rows"][:-1]} for one, value in COMPARISONS.items()}),
            "the whole comparison",
        ),
        (
            lambda: page(aggregates={one: {**v, "seeds": [0, 1]} for one, v in AGGREGATES.items()}),
            "2 seeds are printed",
        ),
        (lambda: page().replace("± 0.0124", "± 0.0123"), "average_precision is printed as"),
        (
            lambda: page().replace("|      1 |   2 |", "|      2 |   2 |"),
            "label_support is printed as passed in 2 of 2",
        ),
        (lambda: page().replace("|      2 |   2 |", "|      1 |   1 |"), "scores_refit is printed as passed in 1 of 1"),
    ],
)
def test_a_page_that_lies_fails(make: Callable[[], str], said: str) -> None:
    text = make()
    assert text != page()
    verdict = page_tells_artifacts(text, COMPARISONS, AGGREGATES, COUNTED)
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders


def test_a_page_without_one_of_its_tables_fails() -> None:
    text = page()
    assert judged(text[: text.rindex("| check")]).status == "failed"
    assert judged("").status == "failed"
