"""Every number and word of a comparison is computed a second time, with the rivals written down in the check."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ta_assets.core.comparison import precision_table
from ta_assets.core.comparison.compare import compare
from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics import jackknife, looks
from ta_checks.rules import own_power, own_tests
from ta_checks.rules.claims import grades
from ta_checks.rules.claims.claims_recompute import claims_recompute, read
from ta_checks.verdict import Verdict
from tests.core.made_traces import made_rows, made_vectors

OPTIONS = InferenceOptions(permutations=200, ceiling_draws=20)
ROWS = made_rows(14, n_sentences=12)
LABELLED = ROWS.drop(columns="token_count")
"""What the table of sentences holds."""
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Made:
    """A comparison, and what the check reads of it."""

    fitted: Any
    value: dict[str, Any]
    evidence: dict[str, Any]


def evidence_of(fitted: Any, value: dict[str, Any]) -> dict[str, Any]:
    study = SimpleNamespace(inference=OPTIONS)
    return read(SimpleNamespace(value=value, cross_fitted=fitted, study=study, sentences=lambda: LABELLED))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made() -> Made:
    fitted = cross_fitted(ROWS, {2: made_vectors(ROWS, 3.0, d=10)}, OPTIONS)
    value = compare(ROWS, fitted, OPTIONS)
    return Made(fitted, value, evidence_of(fitted, value))


def judged(made: Made, value: dict[str, Any]) -> Verdict:
    """The verdict on other rows of the same scores."""
    numbers = {"n_problems": value["n_problems"], "family": value["family"], "chance": value["chance"]}
    whole = {name: (numbers[name], right) for name, (_, right) in made.evidence["whole"].items()}
    return claims_recompute(**{**made.evidence, "rows": value["rows"], "whole": whole})


def test_every_number_and_word_of_a_healthy_comparison_agrees(made: Made) -> None:
    verdict = claims_recompute(**made.evidence)
    assert (verdict.status, verdict.offenders) == ("passed", ())
    assert verdict.n >= 25 * len(made.value["rows"])
    words = {row["verdict"].partition(",")[0] for row in made.value["rows"]}
    assert {"better", "inconclusive"} <= words, "both are judged here"


def edited(**columns: Callable[[Row], Any]) -> Callable[[dict[str, Any]], None]:
    """Columns of the row of ridge are others."""

    def edit(value: dict[str, Any]) -> None:
        (row,) = [one for one in value["rows"] if one["name"] == "ridge"]
        row.update({column: of(row) for column, of in columns.items()})

    return edit


def without_rival(value: dict[str, Any]) -> None:
    value["rows"] = [row for row in value["rows"] if row["name"] != "text_context"]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a rival is left out": (without_rival, "text_context is not compared"),
    "the other side of a p-value": (edited(p=lambda row: 1 - row["p"]), "ridge: p is"),
    "the p-value of another column": (edited(chance_p=lambda row: row["increment_p"] + 1e-3), "ridge: chance_p"),
    "an interval of another level": (edited(low=lambda row: row["low"] + 0.1 * row["deviation"]), "ridge: low is"),
    "a row of its own interval": (edited(joint_low=lambda row: row["low"]), "ridge: joint_low is"),
    "a deviation that is a standard error": (edited(deviation=lambda row: row["deviation"] / 10**0.5), "deviation"),
    "the easiest rival": (edited(against=lambda _: "chance"), "ridge: against is chance"),
    "a share of another ceiling": (edited(share_of_ceiling=lambda row: row["share_of_ceiling"] * 1.01), "share_of"),
    "an interval without the root of n": (
        edited(low=lambda row: row["difference"] - (row["difference"] - row["low"]) * 14**0.5),
        "ridge: low is",
    ),
    "half of the problems": (edited(needed=lambda row: row["needed"] // 2), "ridge: needed is"),
    "problems for another lead": (
        edited(needed_for=lambda row: dict.fromkeys(row["needed_for"], row["needed"])),
        "needed_for",
    ),
    "the wrong word": (edited(verdict=lambda _: "no difference"), "ridge: is called no difference"),
    "supported by the other grading": (edited(supported_p=lambda row: row["p"] / 2), "supported_p"),
    "a family of one": (lambda value: value.update(family=1), "family is 1"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_number_or_word_that_the_scores_do_not_give_is_named(made: Made, name: str) -> None:
    edit, said = EDITS[name]
    value = copy.deepcopy(made.value)
    edit(value)
    verdict = judged(made, value)
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders


def fewer_rivals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(precision_table, "HURDLES", ("sentence_length",))


def no_factor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(jackknife, "factor", lambda *_: 1.0)


@pytest.mark.parametrize("plant", [fewer_rivals, no_factor])
def test_a_comparison_by_other_code_is_red(
    made: Made, plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    verdict = judged(made, compare(ROWS, made.fitted, OPTIONS))
    assert verdict.status == "failed", verdict.message


def test_the_rivals_written_down_are_those_of_the_science() -> None:
    assert grades.RIVALS == precision_table.HURDLES
    names = [*grades.RIVALS, *grades.DIAGNOSES, "known_and_activations", "ridge", "banded_ridge@3"]
    assert [grades.kind_of(name) for name in names] == [precision_table.kind_of(name) for name in names]


def test_what_the_first_block_adds_is_a_rival_of_the_others() -> None:
    names = [*grades.RIVALS, "known_and_activations@0", "known_and_activations@3", "ridge@0", "ridge@3", "ridge@best"]
    table: Any = SimpleNamespace(names=tuple(names))
    for name in names:
        assert grades.rivals_of(name, names) == precision_table.PrecisionTable.rivals(table, name)


def test_a_second_look_has_the_level_of_the_sequential_design() -> None:
    first = 0.05 * 0.8
    share = own_power.later_share(20, first, 0.8)
    for size in (22, 60, 400):
        expected = looks.levels([20, size])[1] / first
        assert share(size) == pytest.approx(expected, rel=0.03), "interpolated between sizes"
    assert share(20) == 1.0


def test_power_and_limits_are_those_of_the_noncentral_distribution() -> None:
    for lead, deviation in ((0.05, 0.2), (0.1, 0.3)):
        needed = next(n for n in range(5, 1000) if own_power.enough_problems(lead, deviation, 1.4, 0.01, n))
        at = [
            stats.nct.sf(1.4 * stats.t.isf(0.005, n - 1), n - 1, lead * n**0.5 / deviation)
            for n in (needed - 1, needed)
        ]
        assert at[0] < 0.8 <= at[1]
    assert own_power.fewest_problems(0.05) == 6


def test_the_least_number_is_the_first_from_which_on_something_holds() -> None:
    assert own_power.first_of(lambda n: n >= 17, 2, 1000) == 17
    assert own_power.first_of(lambda _: True, 5, 9) == 5


def test_flips_of_few_problems_are_all_patterns() -> None:
    leads = np.random.default_rng(0).normal(0.5, 1.0, (7, 3))
    found = own_tests.flip_signs(leads, np.ones(3), 200, 0, 0.05)
    signs = np.array(np.meshgrid(*[[1, -1]] * 7)).reshape(7, -1).T

    def size_of_t(values: np.ndarray) -> np.ndarray:
        found: Any = stats.ttest_1samp(values, 0.0)
        return np.abs(found.statistic)

    t = np.array([size_of_t(leads * one[:, None]) for one in signs])
    expected = [(t.max(axis=1) >= one - 1e-9).mean() for one in size_of_t(leads)]
    assert found.p_values == pytest.approx(expected)
