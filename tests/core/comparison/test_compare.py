"""The comparison: it finds what is planted, claims nothing from noise, and says what it would take."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from ta_assets.core.comparison import claims
from ta_assets.core.comparison.compare import compare
from ta_assets.core.comparison.comparison_row import ComparisonRow
from ta_assets.core.comparison.precision_table import HURDLES, Family, PrecisionTable, kind_of, reads_activations
from ta_assets.core.comparison.twins import twins
from ta_assets.core.crossfit.cross_fitted import CrossFitted, cross_fitted
from ta_assets.core.crossfit.increment import partial_products
from ta_assets.core.crossfit.spectrum import within_problems
from ta_assets.core.options import InferenceOptions
from ta_assets.core.probes.feature_sets import position_splines
from ta_assets.core.statistics.intervals import Interval, nadeau_bengio, one_sided_p, t_interval
from ta_assets.core.statistics.looks import Looked
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS
from tests.core.made_traces import campaign, made_rows, made_vectors

OPTIONS = InferenceOptions(permutations=200, ceiling_draws=20)


@cache
def fitted_to(signal: float, n_problems: int = 14) -> CrossFitted:
    """Scores of ``made_rows(n_problems)`` and activations that know the anchors as ``signal`` says."""
    rows = made_rows(n_problems)
    return cross_fitted(rows, {2: made_vectors(rows, signal)}, OPTIONS)


@cache
def compared(signal: float, n_problems: int = 14) -> dict[str, Any]:
    return compare(made_rows(n_problems), fitted_to(signal, n_problems), OPTIONS)


@pytest.fixture(scope="module")
def many() -> tuple[pd.DataFrame, CrossFitted, InferenceOptions, dict[str, Any]]:
    """42 problems, so that folds are repeated: sentences, scores, options and their comparison."""
    rows = made_rows(42, n_sentences=12)
    options = InferenceOptions.model_construct(permutations=30, ceiling_draws=20)
    fitted = cross_fitted(rows, {2: made_vectors(rows, 2.0, d=6)}, options)
    return rows, fitted, options, compare(rows, fitted, options)


def by_name(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in value["rows"]}


def test_a_planted_direction_is_better_than_every_baseline() -> None:
    value = compared(signal=2.0)
    rows = by_name(value)
    for name in ("ridge", "logistic", "banded_ridge", "lda"):
        row = rows[name]
        assert row["verdict"] == "better", row
        assert row["low"] > 0
        assert max(row["p"], row["increment_p"], row["chance_p"]) <= 0.05
    assert rows["sentence_length"]["verdict"] != "better"
    assert rows["function_tags"]["verdict"] != "better"
    assert value["rows"][0]["name"] == "known_and_activations"
    assert rows["known_and_activations"]["verdict"] == "better", rows["known_and_activations"]
    assert rows["known_and_activations"]["against"] == "all_known"


def test_noise_is_never_better_and_says_how_many_problems_would_tell() -> None:
    value = compared(signal=0.0)
    probes = [row for row in value["rows"] if row["kind"] == "probe"]
    assert {row["verdict"].split(",")[0] for row in probes} <= {"inconclusive", "worse", "no difference"}
    undecided = [row for row in probes if row["verdict"].startswith("inconclusive")]
    assert all(f"needs about {row['needed']} problems" in row["verdict"] for row in undecided)
    assert all(row["needed_low"] < row["needed"] < row["needed_high"] for row in undecided)
    assert set(probes[0]["needed_for"]) == {"0.02", "0.05", "0.1"}


@pytest.mark.parametrize("n_problems", [4, 5])
def test_below_six_problems_nothing_is_claimed_whatever_the_scores(n_problems: int) -> None:
    value = compared(signal=3.0, n_problems=n_problems)
    assert {row["verdict"] for row in value["rows"]} == {"inconclusive, needs at least 6 problems"}
    assert all("no scores whatever" in row["reason"] for row in value["rows"])
    assert n_problems == 5 or {row["low"] for row in value["rows"]} == {None}


def test_a_probe_is_held_against_every_baseline_and_its_hardest_rival_is_shown() -> None:
    value = compared(signal=1.0)
    rows = by_name(value)
    best = max(rows[name]["average_precision"] for name in HURDLES)
    for row in value["rows"]:
        if row["kind"] == "probe":
            assert row["difference"] == pytest.approx(row["average_precision"] - max(best, value["chance"]))
    assert rows["order"]["against"] == "chance"


def test_a_score_that_says_nothing_scores_as_chance_does_and_spoils_no_other_test() -> None:
    rows = made_rows(14)
    fitted = fitted_to(2.0)
    constant = replace(fitted, scores=fitted.scores.assign(**{"order/0": 0.0, "sentence_length/0": 1.0}))
    found, plain = by_name(compare(rows, constant, OPTIONS)), by_name(compare(rows, fitted, OPTIONS))
    assert found["order"]["verdict"] == found["sentence_length"]["verdict"] == "inconclusive, needs about 63 problems"
    assert found["order"]["average_precision"] == pytest.approx(compare(rows, constant, OPTIONS)["chance"], abs=1e-12)
    assert found["text_tfidf"]["chance_p"] == pytest.approx(plain["text_tfidf"]["chance_p"], abs=0.05)


def test_a_difference_carries_the_factor_of_the_fits_that_problems_share() -> None:
    table = PrecisionTable.of(fitted_to(0.0))
    assert table.factor(("order", "chance")) == table.own_factor("order") == 1.0
    factors = [table.factor((name, "text_tfidf")) for name in ("ridge", "logistic", "all_known")]
    assert 1.1 <= min(factors) <= max(factors) <= 1.25 * nadeau_bengio(14, 13) * (1 + 1e-9)
    assert table.factor(("ridge", "order")) != table.factor(("ridge", "text_tfidf"))


def test_a_lead_that_is_gone_among_sentences_that_could_be_anchors_is_none() -> None:
    rows = made_rows(20, n_sentences=24)
    rng = np.random.default_rng(3)
    able = rng.random(len(rows)) < 0.25
    rows = rows.assign(n_different=np.where(able, 30.0, 0.0), anchor=(able & (rng.random(len(rows)) < 0.5)).astype(int))
    vectors = rng.normal(size=(len(rows), 12)) + 3.0 * np.outer(able, np.ones(12))
    value = compare(rows, cross_fitted(rows, {2: vectors}, OPTIONS), OPTIONS)
    found = by_name(value)
    for name in ("ridge", "known_and_activations"):
        assert found[name]["difference"] > 0.1
        assert found[name]["supported_difference"] < 0.05
        assert found[name]["supported_p"] > 0.05
        assert found[name]["verdict"].startswith("inconclusive"), found[name]
        assert found[name]["support_share"] > 0.8
    assert found["support_trained"]["average_precision"] >= found["ridge"]["average_precision"] - 0.05
    assert found["support_trained"]["kind"] == "diagnosis"
    assert value["supported"]["sentences"] == able.sum()


def test_settings_and_looks_at_fewer_problems_take_from_the_level() -> None:
    rows, fitted = made_rows(14), fitted_to(2.0)
    alone = compare(rows, fitted, OPTIONS)
    looked = Looked(3, (frozenset(range(1, 9)),))
    again = compare(rows, fitted, OPTIONS, looked)
    assert (alone["level"], alone["looks"]) == (pytest.approx(0.04), [{"problems": 14, "level": alone["level"]}])
    assert [look["problems"] for look in again["looks"]] == [8, 14]
    assert again["level"] == looked.levels(sorted(set(rows["problem_id"])))[-1] < 0.04 / 3
    one, other = by_name(alone)["ridge"], by_name(again)["ridge"]
    assert (one["p"], one["low"]) == (other["p"], other["low"])
    assert other["level"] < one["level"]
    assert other["needed"] > one["needed"]
    assert other["joint_low"] < one["joint_low"]


def test_a_probe_and_its_twin_are_one_finding() -> None:
    value = compared(signal=2.0)
    found = {row["name"]: row["twin_of"] for row in value["rows"]}
    first = next(row["name"] for row in value["rows"] if row["name"] in ("ridge", "banded_ridge"))
    assert found[first] is None or found[first] not in ("ridge", "banded_ridge")
    second = "ridge" if first == "banded_ridge" else "banded_ridge"
    assert found[second] == (found[first] or first)
    assert {found[name] for name in HURDLES} == {None}


def test_what_the_first_block_adds_is_a_rival_of_later_blocks() -> None:
    rows = made_rows(10)
    told = made_vectors(rows, 2.0)
    options = InferenceOptions.model_construct(permutations=40, ceiling_draws=20)
    value = compare(rows, cross_fitted(rows, {0: told, 2: made_vectors(rows, 0.0)}, options), options)
    found = by_name(value)
    assert found["known_and_activations@2"]["against"] == found["ridge@2"]["against"] == "known_and_activations@0"
    assert found["known_and_activations@0"]["against"] == "all_known"
    assert found["ridge@0"]["against"] != "known_and_activations@0"
    assert found["known_and_activations@2"]["verdict"] != "better"


def test_probes_of_other_orders_are_findings_of_their_own() -> None:
    fitted = fitted_to(2.0)
    noise = np.random.default_rng(0).normal(size=len(fitted.scores))
    other = replace(fitted, scores=fitted.scores.assign(**{"lda/0": noise}))
    assert twins(other, ("ridge", "lda")) == {}
    assert twins(fitted, ("ridge", "order", "known_and_activations")) == {}


def test_without_rollout_counts_there_is_one_grading() -> None:
    rows = made_rows(8).drop(columns=list(COUNT_COLUMNS))
    value = compare(rows, cross_fitted(rows, {2: made_vectors(rows, 1.0)}, OPTIONS), OPTIONS)
    assert value["supported"] is None
    assert {row["supported_p"] for row in value["rows"]} == {None}
    assert "support_trained" not in by_name(value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("known_and_activations@3", "increment"),
        ("ridge@best", "probe"),
        ("all_known", "baseline"),
        ("support_trained", "diagnosis"),
        ("label_support", "diagnosis"),
    ],
)
def test_every_score_is_of_a_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_joint_intervals_are_wider_than_those_alone_by_students() -> None:
    rows = made_rows(14)
    ridge = by_name(compare(rows, fitted_to(1.0), OPTIONS))["ridge"]
    assert ridge["joint_high"] - ridge["joint_low"] > 0
    assert ridge["joint_low"] + ridge["joint_high"] == pytest.approx(2 * ridge["difference"])


def test_a_score_that_puts_anchors_last_is_below_chance_and_a_low_draw_of_nothing_is_not() -> None:
    rows = made_rows(14)
    fitted = fitted_to(1.0)

    def p_value(score: np.ndarray) -> float:
        scores = fitted.scores.assign(**{"order/0": score})
        return PrecisionTable.of(replace(fitted, scores=scores)).below_chance("order")

    assert p_value(-rows["anchor"].to_numpy()) == pytest.approx(2 / 4001)
    assert sum(p_value(np.random.default_rng(seed).permutation(len(rows))) <= 0.05 for seed in range(40)) <= 5


def test_being_behind_is_corrected_over_rivals_too() -> None:
    table = PrecisionTable.of(fitted_to(1.0))
    family = Family.of(table, [name for name in table.names if reads_activations(name)], OPTIONS)
    assert set(family.behind) == set(family.adjusted)
    assert all(family.behind[pair] >= family.adjusted[pair] for pair in family.behind)


def test_the_share_of_the_ceiling_has_the_interval_of_the_lead_over_chance() -> None:
    counts, rows = campaign(0, 0.5, 0.3)[0], made_rows(14)
    rows = rows.assign(**{name: counts[name].to_numpy()[: len(rows)] for name in COUNT_COLUMNS})
    ridge = by_name(compare(rows, fitted_to(0.7), OPTIONS))["ridge"]
    assert ridge["share_low"] < ridge["share_of_ceiling"] < ridge["share_high"]


def test_repeats_are_averaged_in_every_number(many: tuple) -> None:
    rows, fitted, options, value = many
    backwards = {f"ridge/{repeat}": fitted.scores[f"ridge/{4 - repeat}"] for repeat in range(5)}
    turned = replace(fitted, scores=fitted.scores.assign(**backwards))
    first, second = (by_name(one)["ridge"] for one in (value, compare(rows, turned, options)))
    for key in ("average_precision", "increment_p", "spearman", "top_5_recall"):
        assert first[key] == pytest.approx(second[key], rel=1e-9), key


def test_other_sentences_are_refused() -> None:
    rows = made_rows(5)
    fitted = cross_fitted(rows, {2: made_vectors(rows, 1.0)}, InferenceOptions.model_construct(permutations=5))
    with pytest.raises(ValueError, match="other sentences"):
        compare(rows.assign(problem_id=rows["problem_id"] + 1), fitted, OPTIONS)


def test_many_problems_are_compared_with_the_correction_for_resampled_folds(many: tuple) -> None:
    value = many[-1]
    assert value["scheme"] == "repeated_group_k_fold"
    assert by_name(value)["ridge"]["verdict"] == "better"


def around(lead: float) -> Interval:
    return Interval(lead, lead - 0.05, lead + 0.05, 20, 0.02)


def row(lead: float, **fields: Any) -> ComparisonRow:
    tests = dict.fromkeys(("p", *claims.BEYOND), 0.01)
    planned = {"needed": 77, "needed_low": 50, "needed_high": 140}
    known = {"difference": lead, "against": "order", "deviation": 0.1, **planned, **tests, **fields}
    every: dict[str, Any] = dict.fromkeys((one.name for one in dataclasses.fields(ComparisonRow)), None)
    return ComparisonRow(**{**every, **known})


@pytest.mark.parametrize(
    ("lead", "fields", "n", "verdict"),
    [
        (0.1, {}, 20, "better"),
        (0.1, {"p": 0.2}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"chance_p": 0.3}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"increment_p": 0.3}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"stratified_p": 0.3}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"stratified_p": None}, 20, "better"),
        (0.1, {"supported_p": 0.3}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"strata_p": 0.3}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"supported_p": None, "strata_p": None}, 20, "better"),
        (0.1, {"needed": 0, "p": 0.3}, 20, "inconclusive, needs over 100000 problems"),
        (-0.1, {"chance_p": 0.9}, 20, "worse"),
        (-0.1, {"p": 0.4}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {}, 5, "inconclusive, needs at least 6 problems"),
        (0.0, {"deviation": 0.0, "p": 1.0}, 80, "no difference"),
        (0.0, {"deviation": 0.0, "p": 1.0}, 20, "inconclusive, needs about 63 problems"),
        (0.1, {"p": 0.045}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (-0.1, {"p": 0.045}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.04, {}, 20, "inconclusive, needs about 77 problems (50 to 140)"),
        (0.1, {"p": 0.4, "needed": None}, 20, "inconclusive, needs over 100000 problems"),
    ],
)
def test_verdicts_follow_the_rule(lead: float, fields: dict[str, Any], n: int, verdict: str) -> None:
    tested = claims.Tested(row(lead, **fields), n, around(lead), None, OPTIONS.margin, 0.04)
    assert claims.verdict_of(tested).verdict == verdict


def test_where_looks_have_spent_the_error_nothing_is_claimed() -> None:
    claim = claims.verdict_of(claims.Tested(row(0.1), 20, around(0.1), None, OPTIONS.margin, 0.0))
    assert claim.verdict.startswith("inconclusive")
    assert claim.reason == "earlier looks have spent the error"


def test_an_interval_inside_the_margin_is_no_difference() -> None:
    narrow = t_interval(np.tile([0.001, -0.001], 20), level=0.9)
    tested = claims.Tested(row(0.0, p=0.9), 40, None, narrow, OPTIONS.margin, 0.05)
    assert claims.verdict_of(tested).verdict == "no difference"


def linear_p(rows: pd.DataFrame, score: np.ndarray) -> float:
    """The predecessor's way: residuals on linear position, in-sample, and the same test of their products."""
    position = rows[["chunk_idx", "num_chunks", "relative_position", "token_count"]].to_numpy(float)
    problems = rows["problem_id"].to_numpy()
    residuals = [
        within_problems(target - LinearRegression().fit(position, target).predict(position), problems)
        for target in (rows["anchor"].to_numpy(float), score)
    ]
    products = residuals[0] * residuals[1]
    return one_sided_p(np.array([products[problems == one].mean() for one in np.unique(problems)]))


def test_a_smooth_function_of_position_is_no_increment_though_linear_residuals_say_so() -> None:
    rows = made_rows(20, early=6.0)
    score = np.exp(-rows["chunk_idx"].to_numpy() / 4.0)
    products = partial_products(
        rows["anchor"].to_numpy(), score[:, None], rows["problem_id"].to_numpy(), position_splines(rows)
    )
    assert one_sided_p(products[:, 0]) > 0.05
    assert linear_p(rows, score) < 0.001


def test_what_position_does_not_tell_is_an_increment() -> None:
    rows = made_rows(20, early=1.0)
    rng = np.random.default_rng(0)
    score = (
        np.exp(-rows["chunk_idx"].to_numpy() / 4.0) + 0.5 * rows["anchor"].to_numpy() + 0.3 * rng.normal(size=len(rows))
    )
    products = partial_products(
        rows["anchor"].to_numpy(), score[:, None], rows["problem_id"].to_numpy(), position_splines(rows)
    )
    assert one_sided_p(products[:, 0]) < 0.01
