"""Continuous targets: their models, metrics and intervals against scikit-learn and scipy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr, ttest_1samp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import position_features
from ta_assets.core.probes.models import MODELS, ProbeData, fit_scores
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results.aggregate import aggregate
from ta_assets.core.results.cells import evaluate_cell, seed_free_scores
from ta_assets.core.statistics.metrics import spearman_by_problem
from ta_assets.core.statistics.ranks import rank_delta_interval

SIGNED = ProbeOptions(mlp_hidden=6, mlp_max_iter=15, bootstrap=50, target="importance_signed")
ABSOLUTE = SIGNED.model_copy(update={"target": "importance_abs"})


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(1)
    n_problems, n_sentences = 9, 15
    n = n_problems * n_sentences
    signed = rng.normal(size=n)
    index = np.tile(np.arange(n_sentences), n_problems)
    problem = np.repeat(np.arange(n_problems), n_sentences)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"word{i % 9} word{i % 4}" for i in range(n)],
            "anchor": (np.abs(signed) > 1.5).astype(np.int64),
            "importance_signed": signed,
            "importance_score": np.abs(signed),
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "split": np.array(["train", "test", "train", "val", "train", "test", "train", "val", "test"])[problem],
        }
    )
    vectors = rng.normal(size=(n, 8)).astype(np.float32) + signed[:, None].astype(np.float32)
    return ProbeData.of(rows, vectors)


@pytest.mark.parametrize("options", [SIGNED, ABSOLUTE], ids=lambda one: one.target)
def test_linear_models_are_ridge_regressions_of_scaled_inputs(data: ProbeData, options: ProbeOptions) -> None:
    assert data.vectors is not None
    wanted = data.rows[TARGETS[options.target].column].to_numpy()[data.train]
    position = position_features(data.rows)
    inputs = {
        "position_baseline": position,
        "linear_probe": data.vectors,
        "activations_plus_position": np.hstack([data.vectors, position]),
    }
    for model, matrix in inputs.items():
        scaler = StandardScaler().fit(matrix[data.train])
        plain = Ridge(alpha=1.0).fit(scaler.transform(matrix[data.train]), wanted)
        np.testing.assert_allclose(
            fit_scores(model, data, options).scores, plain.predict(scaler.transform(matrix)), atol=1e-5
        )
    text = data.rows["chunk_text"].to_numpy()
    words: Any = TfidfVectorizer(ngram_range=(1, 2)).fit(text[data.train])
    dense = Ridge(alpha=1.0, solver="cholesky").fit(words.transform(text[data.train]).toarray(), wanted)
    found = fit_scores("text_only_baseline", data, options).scores
    np.testing.assert_allclose(found, dense.predict(words.transform(text).toarray()), atol=1e-5)


def test_the_mlp_regressor_stops_early_which_the_predecessors_never_did(data: ProbeData) -> None:
    assert data.vectors is not None
    options = SIGNED.model_copy(update={"mlp_max_iter": 2000})
    fit = fit_scores("mlp_probe", data, options, seed=3)
    assert fit.converged
    assert fit.n_iter < 2000
    scaled = StandardScaler().fit(data.vectors[data.train]).transform(data.vectors)
    plain = MLPRegressor(
        hidden_layer_sizes=(6, 6), max_iter=2000, early_stopping=True, n_iter_no_change=20, random_state=3
    )
    plain.fit(scaled[data.train], data.rows["importance_signed"].to_numpy()[data.train])
    np.testing.assert_allclose(fit.scores, np.asarray(plain.predict(scaled)), atol=1e-5)
    few = np.arange(len(data.rows)) < 10
    assert np.isfinite(fit_scores("mlp_probe", replace(data, train=few), SIGNED).scores).all()


@pytest.mark.parametrize("model", MODELS)
def test_train_sentences_of_equal_importance_are_refused(data: ProbeData, model: str) -> None:
    seen = data.rows.assign(vertical_score=np.linspace(0, 1, len(data.rows)))
    flat = replace(data, rows=seen.assign(importance_signed=0.25))
    with pytest.raises(ValueError, match="60 train sentences do not differ in importance_signed"):
        fit_scores(model, flat, SIGNED)
    assert np.isfinite(fit_scores(model, flat, ABSOLUTE).scores).all(), "another target is not touched"


def test_an_unknown_target_is_refused(data: ProbeData) -> None:
    with pytest.raises(ValueError, match="unknown target 'loudness'"):
        fit_scores("linear_probe", data, SIGNED.model_copy(update={"target": "loudness"}))


@pytest.mark.parametrize("options", [SIGNED, ABSOLUTE], ids=lambda one: one.target)
def test_a_continuous_cell_has_rank_metrics_and_intervals_only(data: ProbeData, options: ProbeOptions) -> None:
    result = evaluate_cell(data, options, seed=2)
    metrics, column = result.metrics, TARGETS[options.target].column
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert (metrics["target"], metrics["primary_metric"]) == (options.target, "spearman_mean")
    assert metrics["position_bins"]["num_bins"] == 0
    test = result.predictions.query("split == 'test'")
    for model in options.models:
        assert set(metrics["models"][model]["test"]) == {"spearman_mean"}
        by_problem: Any = [spearmanr(part[f"score_{model}"], part[column])[0] for _, part in test.groupby("problem_id")]
        assert metrics["models"][model]["test"]["spearman_mean"] == pytest.approx(np.mean(by_problem))
    assert len(metrics["confidence_intervals"]) == 2
    interval = metrics["confidence_intervals"]["activations_plus_position - position_baseline"]
    a, b = (metrics["models"][m]["test"]["spearman_mean"] for m in ("activations_plus_position", "position_baseline"))
    assert interval["point_delta"] == pytest.approx(a - b)
    assert interval["n_problems"] == 3
    summary = aggregate({2: metrics}, primary_metric="spearman_mean")
    assert summary["best_model"] in options.models
    assert summary["best_seed"]["val"] is not None


def test_the_sign_of_a_signed_target_reaches_the_scores(data: ProbeData) -> None:
    flipped = replace(data, rows=data.rows.assign(importance_signed=-data.rows["importance_signed"]))
    for model in ("linear_probe", "position_baseline"):
        here, there = (fit_scores(model, one, SIGNED).scores for one in (data, flipped))
        np.testing.assert_allclose(here, -there, atol=1e-5)


def test_seed_free_scores_of_a_continuous_target_are_shared_by_all_cells(data: ProbeData) -> None:
    shared = seed_free_scores(data, SIGNED)
    assert evaluate_cell(data, SIGNED, 1, shared).metrics == evaluate_cell(data, SIGNED, 1).metrics


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_problems=st.integers(1, 6), ties=st.booleans())
def test_correlations_of_many_scores_are_scipys(seed: int, n_problems: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_problems, 40)
    target, scores = rng.normal(size=40), rng.normal(size=(40, 3))
    if ties:
        target, scores = np.round(target), np.round(scores)
    found = spearman_by_problem(target, scores, groups)
    for row, group in enumerate(np.unique(groups)):
        at = groups == group
        for column in range(3):
            constant = len(np.unique(target[at])) < 2 or len(np.unique(scores[at, column])) < 2
            wanted = np.nan if constant else spearmanr(target[at], scores[at, column])[0]
            assert found[row, column] == pytest.approx(wanted, nan_ok=True)


def test_the_t_interval_is_scipys_and_the_bootstrap_draws_whole_problems() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(7), 9)
    target = rng.normal(size=63)
    a, b = target + rng.normal(size=63), rng.normal(size=63)
    found = rank_delta_interval(target, (a, b), groups, iterations=400, seed=5)
    deltas = spearman_by_problem(target, a, groups) - spearman_by_problem(target, b, groups)
    wanted = ttest_1samp(deltas, 0).confidence_interval(0.95)
    assert (found.t_low, found.t_high) == pytest.approx((wanted.low, wanted.high))
    generator = np.random.default_rng(5)
    means = [deltas[generator.integers(0, 7, 7)].mean() for _ in range(400)]
    assert (found.percentile_low, found.percentile_high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert (found.n_valid, found.n_problems, found.macro_delta) == (400, 7, found.point_delta)


def test_a_problem_that_cannot_be_ranked_counts_for_neither_score() -> None:
    groups = np.repeat([0, 1, 2], 4)
    target = np.tile([1.0, 2.0, 3.0, 4.0], 3)
    target[8:] = 1.0
    found = rank_delta_interval(target, (target.copy(), -target), groups, iterations=300, seed=0)
    assert (found.point_delta, found.n_problems) == (2.0, 2)
    assert 0 < found.n_valid < 300, "draws that hold the third problem only are left out"
    none = rank_delta_interval(np.ones(12), (target, -target), groups, iterations=10, seed=0)
    assert np.isnan(none.point_delta)
    assert (none.n_valid, none.n_problems) == (0, 0)
