"""Metrics against scikit-learn, scipy and the published tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from ta_assets.core.statistics.metrics import (
    auroc_by_problem,
    average_precision,
    evaluate,
    macro_average_precision,
    position_bins,
    pr_auc_trapezoid,
    spearman_mean,
    top_k_recall,
)


@st.composite
def scored(draw: Any, both_classes: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with many ties or none, and problems of a few rows."""
    n = draw(st.integers(2, 40))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    if both_classes:
        labels[:2] = [0, 1]
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0]) if draw(st.booleans()) else st.floats(-5, 5, width=32)
    scores = np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float32)
    groups = np.array(draw(st.lists(st.integers(3, 6), min_size=n, max_size=n)))
    return labels, scores, groups


@given(scored())
def test_areas_equal_those_of_scikit_learn_also_with_ties(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, scores, _ = data
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert pr_auc_trapezoid(labels, scores) == pytest.approx(auc(recall, precision), abs=1e-14)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-14)


@given(scored(both_classes=False))
def test_macro_average_precision_is_the_mean_over_problems_with_both_classes(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, scores, groups = data
    members = [groups == one for one in np.unique(groups) if len(set(labels[groups == one])) == 2]
    expected = np.mean([average_precision_score(labels[at], scores[at]) for at in members]) if members else math.nan
    assert macro_average_precision(labels, scores, groups) == pytest.approx(expected, nan_ok=True)


@given(scored())
def test_spearman_equals_that_of_scipy_over_problems_that_can_be_ranked(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    importance, scores, groups = data
    values = []
    for one in np.unique(groups):
        at = groups == one
        if len(set(importance[at])) > 1 and len(set(scores[at])) > 1:
            values.append(np.asarray(spearmanr(scores[at], importance[at]))[0])
    expected = np.mean(values) if values else math.nan
    assert spearman_mean(scores, importance, groups) == pytest.approx(expected, nan_ok=True, abs=1e-12)


@given(scored(both_classes=False))
def test_auroc_equals_that_of_scikit_learn_in_every_problem_and_column(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, scores, groups = data
    columns = np.stack([scores, -scores, np.zeros_like(scores)], axis=1)
    areas = auroc_by_problem(labels, columns, groups)
    assert areas.shape == (len(np.unique(groups)), 3)
    for row, one in zip(areas, np.unique(groups), strict=True):
        at = groups == one
        if len(set(labels[at])) < 2:
            assert np.isnan(row).all()
            continue
        expected = roc_auc_score(labels[at], scores[at])
        np.testing.assert_allclose(row, [expected, 1 - expected, 0.5], atol=1e-12)
    np.testing.assert_array_equal(auroc_by_problem(labels, scores, groups), areas[:, 0])


@pytest.mark.parametrize("n_anchors", [1, 7, 50, 99])
def test_a_constant_scorer_gets_the_prevalence_exactly(n_anchors: int) -> None:
    labels = np.arange(100) < n_anchors
    assert average_precision(labels, np.full(100, 0.3, np.float32)) == n_anchors / 100
    assert pr_auc_trapezoid(labels, np.full(100, 0.3)) == pytest.approx((1 + n_anchors / 100) / 2)


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1]])
def test_areas_without_both_classes_are_undefined(labels: list[int]) -> None:
    scores = np.linspace(0, 1, len(labels))
    assert math.isnan(pr_auc_trapezoid(np.array(labels), scores))
    assert math.isnan(average_precision(np.array(labels), scores))


def test_a_perfect_score_gets_one_everywhere() -> None:
    importance = np.array([0.9, 0.1, 0.2, 0.8, 0.3, 0.0])
    rows = pd.DataFrame(
        {"problem_id": [1, 1, 1, 2, 2, 2], "anchor": [1, 0, 0, 1, 0, 0], "importance_score": importance}
    )
    assert all(value == pytest.approx(1.0) for value in evaluate(rows, importance, (1, 5)).values())


def test_of_tied_values_the_earlier_row_is_taken_on_both_sides() -> None:
    groups = np.zeros(4)
    assert top_k_recall(np.array([1.0, 1, 1, 1]), np.array([0.5, 0.5, 0.5, 0.5]), groups, 2) == 1
    assert top_k_recall(np.array([1.0, 1, 1, 1]), np.array([0.1, 0.5, 0.5, 0.5]), groups, 2) == 0.5


def test_k_is_cut_to_the_sentences_of_the_problem() -> None:
    groups = np.array([1, 1, 2, 2, 2])
    scores = np.array([0.1, 0.9, 0.1, 0.2, 0.3])
    assert top_k_recall(scores, -scores, groups, 2) == pytest.approx((1 + 0.5) / 2)


def test_rankings_of_nothing_are_undefined() -> None:
    empty = np.zeros(0)
    assert math.isnan(spearman_mean(empty, empty, empty))
    assert math.isnan(top_k_recall(empty, empty, empty, 5))
    assert math.isnan(spearman_mean(np.ones(3), np.arange(3), np.zeros(3)))
    assert auroc_by_problem(empty, empty, empty).shape == (0,)


def test_scores_that_are_not_finite_are_refused() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.1, np.nan, np.inf])
    for metric in (pr_auc_trapezoid, average_precision):
        with pytest.raises(ValueError, match="2 of 3 scores"):
            metric(labels, scores)
    with pytest.raises(ValueError, match="2 of 3 scores"):
        auroc_by_problem(labels, scores, np.zeros(3))


def test_another_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="one for each of the 3 scores"):
        average_precision(np.array([0, 1]), np.zeros(3))


def test_no_bins_give_no_entries_and_an_empty_bin_is_undefined() -> None:
    rows = pd.DataFrame({"relative_position": np.array([0.0, 0.1, 1.0], np.float32), "anchor": [0, 1, 1]})
    scores = np.array([0.2, 0.3, 0.4])
    assert position_bins(rows, scores, 0) == []
    first, middle, last = position_bins(rows, scores, 3)
    assert (first["count"], first["prevalence"], first["pr_auc"], first["average_precision"]) == (2, 0.5, 1.0, 1.0)
    assert middle["count"] == 0
    assert math.isnan(middle["prevalence"])
    assert (last["count"], last["prevalence"]) == (1, 1.0)
    assert math.isnan(last["pr_auc"])


@pytest.mark.parametrize("name", ["pilot", "full", "llama_correct", "qwen_correct"])
def test_the_published_metrics_of_all_seeds_and_bins_come_back(shared_folder: Path, name: str) -> None:
    predictions = pd.read_parquet(shared_folder / f"reference/predictions/{name}.parquet")
    published = json.loads((shared_folder / f"reference/published/{name}.json").read_text())["seeds"]
    for seed, cell in published.items():
        for part in ("val", "test"):
            rows = predictions.query(f"seed == {seed} and split == '{part}'")
            for model, expected in cell[part].items():
                scores = rows[f"score_{model}"].to_numpy()
                measured = evaluate(rows, scores, (5, 10))
                assert {key: measured[key] for key in expected} == pytest.approx(expected, abs=1e-12)
                bins = position_bins(rows, scores, 5)
                for ours, theirs in zip(bins, cell["position_bin_metrics"][part][model], strict=True):
                    kept = {key: value for key, value in theirs.items() if key != "right_inclusive"}
                    assert {key: ours[key] for key in kept} == pytest.approx(kept, abs=1e-12, nan_ok=True)
