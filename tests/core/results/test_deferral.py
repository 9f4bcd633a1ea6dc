"""Thresholds against a brute-force search over every pair, written out plainly."""

from __future__ import annotations

import itertools
import json
import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from ta_assets.core.results.deferral import (
    Objective,
    Outcome,
    Rows,
    Thresholds,
    apply,
    choose,
    plan_groups,
)
from ta_assets.core.results.deferral_cells import (
    DeferralOptions,
    grouped,
    groups_of,
    plan_cells,
    seeds_to_plan,
    trade_off,
)
from ta_assets.core.statistics.threshold_pairs import Pairs, candidates


def decide(score: float, negative: float, positive: float) -> int | None:
    """1, 0 or None (deferred), as the rule says."""
    if score >= positive:
        return 1
    return 0 if score <= negative else None


def oracle(
    scores: list[float], labels: list[int], kind: str, limit: float, quantiles: int
) -> tuple[float, float, bool]:
    tried = sorted(
        {min(scores) - 1e-6, *np.quantile(scores, np.linspace(0, 1, quantiles)).tolist(), max(scores) + 1e-6}
    )
    every = []
    for negative, positive in itertools.combinations_with_replacement(tried, 2):
        decisions = [decide(score, negative, positive) for score in scores]
        decided = [(d, label) for d, label in zip(decisions, labels, strict=True) if d is not None]
        error = sum(d != label for d, label in decided) / len(decided) if decided else math.inf
        every.append((error, (len(scores) - len(decided)) / len(scores), negative, positive))
    if kind == "budget":
        kept = [pair for pair in every if pair[1] <= limit + 1e-12 and math.isfinite(pair[0])]
        best = min(kept or every)
    else:
        kept = [pair for pair in every if pair[0] <= limit + 1e-12]
        best = min(kept, key=lambda pair: (pair[1], pair[0], *pair[2:])) if kept else min(every)
    return best[2], best[3], bool(kept)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.51, 0.9]) | st.floats(-2, 2), st.integers(0, 1)),
                  min_size=1, max_size=14),
    kind=st.sampled_from(["budget", "error"]),
    limit=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]) | st.floats(0, 1),
    quantiles=st.integers(2, 9),
)  # fmt: skip
def test_the_choice_is_that_of_a_search_over_every_pair(
    rows: list[tuple[float, int]], kind: str, limit: float, quantiles: int
) -> None:
    scores, labels = [score for score, _ in rows], [label for _, label in rows]
    plan = choose(Rows(np.array(scores), np.array(labels)), Objective(kind, limit), quantiles)
    negative, positive, kept = oracle(scores, labels, kind, limit, quantiles)
    assert (plan.thresholds.negative, plan.thresholds.positive) == (negative, positive)
    assert plan.meets_objective == kept
    assert plan.chosen_on == apply(Rows(np.array(scores), np.array(labels)), plan.thresholds)


def test_where_problems_are_known_a_limit_is_kept_with_room_for_their_spread() -> None:
    rng = np.random.default_rng(0)
    labels, problems = np.tile([1, 1, *[0] * 8], 12), np.repeat(np.arange(12), 10)
    scores = rng.normal(size=120) + labels + rng.normal(size=12)[problems]
    objective = Objective("budget", 0.3)
    plain, sure = choose(Rows(scores, labels), objective), choose(Rows(scores, labels, problems), objective)
    assert sure.promised
    assert not plain.promised
    assert sure.chosen_on.deferral_rate < plain.chosen_on.deferral_rate <= 0.3
    between = (scores > sure.thresholds.negative) & (scores < sure.thresholds.positive)
    rates = between.reshape(12, 10).mean(axis=1)
    assert rates.mean() + t.ppf(0.8, 11) * rates.std(ddof=1) / np.sqrt(12) <= 0.3 + 1e-12


def test_a_limit_that_only_all_problems_together_keep_is_kept_and_not_promised() -> None:
    scores, labels = np.array([0.5, 0.5, 0.1, 0.9]), np.array([0, 1, 0, 1])
    plan = choose(Rows(scores, labels, np.array([1, 1, 2, 2])), Objective("error", 0.3))
    assert (plan.meets_objective, plan.promised) == (True, True)
    plan = choose(Rows(scores, labels, np.array([1, 1, 1, 1])), Objective("error", 0.3))
    assert (plan.meets_objective, plan.promised) == (True, False)


def test_a_score_at_both_thresholds_is_an_anchor() -> None:
    outcome = apply(Rows(np.array([0.2, 0.5, 0.9]), np.array([0, 1, 1])), Thresholds(0.5, 0.5))
    assert outcome == Outcome(n=3, n_negative=1, n_positive=2, n_errors=0)
    assert (outcome.n_deferred, outcome.deferral_rate, outcome.accepted_coverage) == (0, 0.0, 1.0)


def test_what_lies_between_the_thresholds_is_deferred() -> None:
    outcome = apply(Rows(np.array([0.1, 0.4, 0.6, 0.9]), np.array([1, 0, 1, 1])), Thresholds(0.2, 0.8))
    assert outcome == Outcome(n=4, n_negative=1, n_positive=1, n_errors=1)
    assert (outcome.deferral_rate, outcome.accepted_error) == (0.5, 0.5)


def test_rates_of_nothing_are_undefined() -> None:
    nothing = apply(Rows(np.array([0.5, 0.5]), np.array([0, 1])), Thresholds(0.1, 0.9))
    assert nothing.deferral_rate == 1
    assert math.isnan(nothing.accepted_error)
    assert math.isnan(nothing.to_json()["accepted_accuracy"])
    assert math.isnan(Outcome(0, 0, 0, 0).deferral_rate)


def test_an_error_that_cannot_be_reached_gives_the_fewest_errors_and_says_so() -> None:
    rows = Rows(np.array([0.5] * 4), np.array([0, 1, 0, 1]))
    plan = choose(rows, Objective("error", 0.1))
    assert not plan.meets_objective
    assert (plan.chosen_on.accepted_error, plan.chosen_on.deferral_rate) == (0.5, 0.0)
    assert choose(rows, Objective("error", 0.5)).meets_objective


def test_deciding_nothing_is_never_the_best() -> None:
    rows = Rows(np.array([0.5, 0.5]), np.array([0, 1]))
    plan = choose(rows, Objective("budget", 1.0))
    assert plan.chosen_on.deferral_rate == 0


def test_candidates_are_the_predecessors() -> None:
    scores = np.arange(1000) / 1000
    tried = candidates(scores, 101)
    assert len(tried) == 103
    np.testing.assert_allclose(tried[1:-1], np.quantile(scores, np.linspace(0, 1, 101)))
    assert (tried[0], tried[-1]) == (scores.min() - 1e-6, scores.max() + 1e-6)
    assert len(candidates(np.array([0.5, 0.5]), 101)) == 3


def test_all_pairs_of_103_candidates_take_no_time() -> None:
    rng = np.random.default_rng(0)
    rows = Rows(rng.random(5000), rng.integers(0, 2, 5000))
    assert len(Pairs.of(rows.scores, rows.labels, None, 101).errors) == 103 * 104 // 2
    started = time.process_time()
    for _ in range(20):
        choose(rows, Objective("budget", 0.2))
    assert time.process_time() - started < 2, "a Python loop over 5,356 pairs of 5,000 rows takes minutes"


def test_groups_have_thresholds_of_their_own_and_a_weighted_summary() -> None:
    rng = np.random.default_rng(1)
    val, test = (Rows(rng.random(60), rng.integers(0, 2, 60)) for _ in range(2))
    groups = rng.choice(["plan", "fact", "only val"], 60), rng.choice(["plan", "fact", "only test"], 60)
    objective = Objective("budget", 0.3)
    plans = plan_groups(val, test, groups, objective, 21)  # type: ignore[arg-type]
    assert [one.group for one in plans] == ["fact", "plan"]
    for one in plans:
        alone = choose(val.at(groups[0] == one.group), objective, 21)
        assert one.plan == alone
        assert one.test == apply(test.at(groups[1] == one.group), alone.thresholds)
    total = plans[0].test + plans[1].test
    weights = [one.test.n for one in plans]
    assert total.deferral_rate == pytest.approx(np.average([one.test.deferral_rate for one in plans], weights=weights))
    decided = [one.test.n - one.test.n_deferred for one in plans]
    assert total.accepted_error == pytest.approx(
        np.average([one.test.accepted_error for one in plans], weights=decided)
    )


def test_sets_without_a_common_group_are_refused() -> None:
    rows = Rows(np.array([0.5]), np.array([1]))
    with pytest.raises(ValueError, match="no group in common"):
        plan_groups(rows, rows, (["a"], ["b"]), Objective("budget", 0.2), 5)
    with pytest.raises(ValueError, match="one a row"):
        plan_groups(rows, rows, (["a", "a"], ["b"]), Objective("budget", 0.2), 5)


def test_a_larger_budget_never_errs_more_where_it_was_chosen() -> None:
    rng = np.random.default_rng(2)
    val, test = (Rows(rng.random(80), rng.integers(0, 2, 80)) for _ in range(2))
    rows = trade_off([(val, test)], np.linspace(0, 0.5, 6), 21)  # type: ignore[arg-type]
    errors = [row["val_accepted_error"] for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert all(row["val_deferral_rate"] <= row["budget"] + 1e-12 for row in rows)


@pytest.mark.parametrize(("scores", "labels"), [([0.1, math.nan], [0, 1]), ([0.1], [0, 1]), ([[0.1]], [[1]])])
def test_rows_that_cannot_be_scored_are_refused(scores: list, labels: list) -> None:
    with pytest.raises(ValueError, match=r"finite|one a row"):
        Rows(np.array(scores), np.array(labels))


@pytest.mark.parametrize(("kind", "limit"), [("cost", 0.1), ("budget", -0.1), ("error", 1.1), ("error", math.nan)])
def test_an_objective_without_meaning_is_refused(kind: str, limit: float) -> None:
    with pytest.raises(ValueError, match="expected budget or error"):
        Objective(kind, limit)


def test_no_rows_and_one_quantile_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 quantiles and 1 score"):
        candidates(np.array([]), 101)
    with pytest.raises(ValueError, match="at least 2 quantiles and 1 score"):
        candidates(np.array([0.5]), 1)


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Two seeds' worth of nothing special: 40 val and 50 test rows."""
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "split": ["val"] * 40 + ["test"] * 50,
            "problem_id": np.arange(90) // 10,
            "anchor": rng.integers(0, 2, 90),
            "relative_position": rng.random(90).astype(np.float32),
            "function_tag": rng.choice(["plan_generation", "fact_retrieval"], 90),
            "score_linear_probe": rng.random(90).astype(np.float32),
            "score_mlp_probe": rng.random(90).astype(np.float32),
        }
    )


def test_a_plan_is_chosen_on_val_and_reported_on_test_only(predictions: pd.DataFrame) -> None:
    options = DeferralOptions(probe="linear_probe", objective="error", error=0.4, quantiles=21)
    value = plan_cells({0: predictions}, options)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    (plan,) = value["plans"]
    val, test = (predictions.take(np.flatnonzero(predictions["split"] == part)) for part in ("val", "test"))
    rows = Rows(val["score_linear_probe"].to_numpy(), val["anchor"].to_numpy(), val["problem_id"].to_numpy())
    alone = choose(rows, Objective("error", 0.4), 21)
    assert (plan["t_neg"], plan["t_pos"]) == (alone.thresholds.negative, alone.thresholds.positive)
    outcome = apply(Rows(test["score_linear_probe"].to_numpy(), test["anchor"].to_numpy()), alone.thresholds)
    assert plan["test"] == outcome.to_json()
    changed = predictions.assign(anchor=predictions["anchor"].where(predictions["split"] == "val", 0))
    again = plan_cells({0: changed}, options)["plans"][0]
    assert (again["t_neg"], again["t_pos"], again["val"]) == (plan["t_neg"], plan["t_pos"], plan["val"])


def test_seeds_are_averaged_and_groups_added_up(predictions: pd.DataFrame) -> None:
    other = predictions.assign(score_mlp_probe=1 - predictions["score_mlp_probe"])
    options = DeferralOptions(probe="mlp_probe", budget=0.3, quantiles=21, group="function_tag")
    value = plan_cells({0: predictions, 1: other}, options)
    assert [(one["seed"], one["group"]) for one in value["plans"]] == [
        (0, "fact_retrieval"), (0, "plan_generation"), (1, "fact_retrieval"), (1, "plan_generation"),
    ]  # fmt: skip
    for seed in (0, 1):
        own = [one["test"] for one in value["plans"] if one["seed"] == seed]
        assert value["summary_by_seed"][seed]["test"]["n_errors"] == sum(one["n_errors"] for one in own)
        assert value["summary_by_seed"][seed]["test"]["n"] == 50
    rates = [one["test"]["deferral_rate"] for one in value["summary_by_seed"]]
    assert value["summary"]["test"]["deferral_rate"] == pytest.approx(np.mean(rates))


def test_a_probe_that_no_seed_changes_is_planned_once() -> None:
    assert seeds_to_plan("linear_probe", [4, 2, 3]) == [2]
    assert seeds_to_plan("mlp_probe", [4, 2, 3]) == [2, 3, 4]
    assert seeds_to_plan("attention_probe", [4, 2, 3]) == [2, 3, 4]


def test_predictions_of_every_fold_get_the_tag_of_their_sentence() -> None:
    sentences = pd.DataFrame(
        {"problem_id": [1, 1, 2], "chunk_idx": [0, 1, 0], "function_tag": ["plan", "fact", "check"]}
    )
    predictions = pd.DataFrame({"problem_id": [2, 1, 1], "chunk_idx": [0, 1, 1], "fold_id": [1, 2, 3]})
    assert grouped(predictions, sentences)["function_tag"].tolist() == ["check", "fact", "fact"]
    with pytest.raises(ValueError, match="many-to-one"):
        grouped(predictions, pd.concat([sentences, sentences]))


def test_groups_are_tags_or_thirds_of_the_trace(predictions: pd.DataFrame) -> None:
    assert set(groups_of(predictions, "none")) == {"all"}
    assert groups_of(predictions, "function_tag").tolist() == predictions["function_tag"].tolist()
    edges = pd.DataFrame({"relative_position": [0.0, 0.33, 0.34, 0.66, 0.67, 1.0]})
    assert groups_of(edges, "position_third").tolist() == ["early", "early", "middle", "middle", "late", "late"]


def test_each_fold_has_thresholds_that_never_saw_its_test_problem() -> None:
    rng = np.random.default_rng(0)
    tables = []
    for fold in (1, 2):
        table = pd.DataFrame(
            {
                "fold_id": fold,
                "problem_id": [3 - fold] * 40 + [fold] * 40,
                "split": ["val"] * 40 + ["test"] * 40,
                "anchor": rng.integers(0, 2, 80),
            }
        )
        # scores of another scale in every fold: a threshold of one is worthless in the other
        tables.append(table.assign(score_linear_probe=(table["anchor"] + rng.normal(size=80)) * 10.0**fold))
    options = DeferralOptions(probe="linear_probe", budget=0.2)
    joined = plan_cells({0: pd.concat(tables, ignore_index=True)}, options)
    assert [plan["group"] for plan in joined["plans"]] == ["fold 1, all", "fold 2, all"]
    for plan, table in zip(joined["plans"], tables, strict=True):
        (alone,) = plan_cells({0: table.drop(columns="fold_id")}, options)["plans"]
        assert {**plan, "group": "all"} == alone
    assert joined["summary_by_seed"][0]["test"]["n"] == 80
    assert {row["budget"] for row in joined["trade_off"]} >= {0.0, 0.2}
