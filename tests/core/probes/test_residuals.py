"""What position and text leave over, against scikit-learn written out plainly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import position_features
from ta_assets.core.probes.models import ProbeData, fit_scores
from ta_assets.core.probes.residuals import residual_data, residual_metric_names, residuals
from ta_assets.core.results.aggregate import aggregate
from ta_assets.core.results.cells import evaluate_cell, seed_free_scores
from ta_assets.core.values import SeedFreeScores

OPTIONS = ProbeOptions(
    mlp_hidden=6, mlp_max_iter=15, bootstrap=20, residualize_against="position", anchor_percentile=80
)
CONTINUOUS = OPTIONS.model_copy(update={"target": "importance_signed", "residualize_against": "position_plus_text"})


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(4)
    n_problems, n_sentences = 8, 20
    n = n_problems * n_sentences
    index, problem = np.tile(np.arange(n_sentences), n_problems), np.repeat(np.arange(n_problems), n_sentences)
    vectors = rng.normal(size=(n, 5)).astype(np.float32)
    signed = rng.normal(size=n) + vectors[:, 0] - 0.2 * index
    size = np.abs(signed)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"word{i % 9} word{i % 4}" for i in range(n)],
            "anchor": (size >= np.repeat([np.percentile(size[problem == p], 80) for p in range(8)], 20)).astype(int),
            "importance_signed": signed,
            "importance_score": size,
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "split": np.array(["train"] * 4 + ["val"] * 2 + ["test"] * 2)[problem],
        }
    )
    return ProbeData.of(rows, vectors)


def plain_residuals(data: ProbeData, column: str, with_text: bool) -> np.ndarray:
    position, text = position_features(data.rows).astype(float), data.rows["chunk_text"].to_numpy()
    inputs = StandardScaler().fit(position[data.train]).transform(position)
    if with_text:
        table: Any = TfidfVectorizer(ngram_range=(1, 2)).fit(text[data.train]).transform(text)
        words = table.toarray()
        inputs = np.hstack([words, inputs])
    wanted = data.rows[column].to_numpy()
    model = Ridge(alpha=1.0, solver="cholesky").fit(inputs[data.train], wanted[data.train])
    return wanted - model.predict(inputs)


@pytest.mark.parametrize(("against", "with_text"), [("position", False), ("position_plus_text", True)])
def test_residuals_are_what_ridge_on_the_train_rows_leaves(data: ProbeData, against: str, with_text: bool) -> None:
    found = residuals(data, data.rows["importance_score"].to_numpy(), against)
    np.testing.assert_allclose(found, plain_residuals(data, "importance_score", with_text), atol=1e-5)


def test_only_train_rows_are_fitted_on(data: ProbeData) -> None:
    values = data.rows["importance_score"].to_numpy()
    changed = np.where(data.train, values, values + 100 * np.arange(len(values)))
    difference = residuals(data, changed, "position") - residuals(data, values, "position")
    np.testing.assert_allclose(difference, changed - values, atol=1e-9)


def test_residual_anchors_reach_their_percentile_within_each_problem(data: ProbeData) -> None:
    left = residual_data(data, OPTIONS)
    for _, rows in left.rows.groupby("problem_id"):
        wanted = rows["residual"] >= np.percentile(rows["residual"], 80)
        assert rows["anchor"].tolist() == rows["residual_anchor"].tolist() == wanted.astype(int).tolist()
    assert left.rows["anchor"].tolist() != data.rows["anchor"].tolist()


def test_a_cell_reports_probes_refitted_on_residual_anchors(data: ProbeData) -> None:
    result = evaluate_cell(data, OPTIONS, seed=1)
    assert json.loads(json.dumps(result.metrics, allow_nan=False)) == result.metrics
    residual = result.metrics["residual"]
    assert (residual["against"], set(residual["models"])) == ("position", {"linear_probe", "mlp_probe"})
    test = result.predictions.query("split == 'test'")
    scores = fit_scores("mlp_probe", residual_data(data, OPTIONS), OPTIONS, 1).scores
    np.testing.assert_array_equal(test["residual_score_mlp_probe"], scores[data.rows["split"] == "test"])
    for model, parts in residual["models"].items():
        assert tuple(parts["test"]) == residual_metric_names(OPTIONS)
        column = test[f"residual_score_{model}"]
        assert parts["test"]["residual_average_precision"] == pytest.approx(
            average_precision_score(test["residual_anchor"], column)
        )
        ranks: Any = [
            spearmanr(part["residual"], part[f"residual_score_{model}"])[0] for _, part in test.groupby("problem_id")
        ]
        assert parts["test"]["residual_spearman"] == pytest.approx(np.mean(ranks))
    assert (
        result.metrics["models"]
        == evaluate_cell(data, OPTIONS.model_copy(update={"residualize_against": "none"}), 1).metrics["models"]
    ), "residuals are reported beside the probes, which stay as they are"


def test_a_continuous_cell_refits_on_the_residual_itself(data: ProbeData) -> None:
    result = evaluate_cell(data, CONTINUOUS, seed=1)
    assert "residual_anchor" not in result.predictions
    for parts in result.metrics["residual"]["models"].values():
        assert tuple(parts["val"]) == residual_metric_names(CONTINUOUS) == ("residual_spearman",)
    np.testing.assert_allclose(
        result.predictions["residual"],
        plain_residuals(data, "importance_signed", with_text=True)[~data.train],
        atol=1e-5,
    )


def test_what_only_position_explains_is_gone_from_the_residual(data: ProbeData) -> None:
    position = data.rows["chunk_idx"].to_numpy(dtype=float)
    linear = replace(data, rows=data.rows.assign(importance_signed=3 * position))
    left = residual_data(linear, CONTINUOUS.model_copy(update={"residualize_against": "position"})).rows["residual"]
    assert np.abs(left).max() < 0.05 * np.ptp(3 * position)
    curved = replace(data, rows=data.rows.assign(importance_signed=np.square(position - 10)))
    left = residual_data(curved, CONTINUOUS.model_copy(update={"residualize_against": "position"})).rows["residual"]
    assert np.ptp(left) > 50, "documented: what is not linear in position stays"


def test_refits_that_no_seed_changes_are_shared(data: ProbeData) -> None:
    shared = seed_free_scores(data, OPTIONS)
    assert "residual_score_linear_probe" in shared.scores
    assert "residual_score_mlp_probe" not in shared.scores
    assert evaluate_cell(data, OPTIONS, 3, shared).metrics == evaluate_cell(data, OPTIONS, 3).metrics
    short = SeedFreeScores(shared.scores.drop(columns="residual_score_linear_probe"), shared.fits)
    with pytest.raises(ValueError, match="lack residuals of linear_probe"):
        evaluate_cell(data, OPTIONS, 3, short)


def test_residuals_are_averaged_over_seeds(data: ProbeData) -> None:
    cells = {seed: evaluate_cell(data, OPTIONS, seed).metrics for seed in (0, 1)}
    rows = {row["model"]: row for row in aggregate(cells)["residual_by_model"]}
    both = [cells[seed]["residual"]["models"]["mlp_probe"]["test"]["residual_pr_auc"] for seed in (0, 1)]
    assert rows["mlp_probe"]["residual_pr_auc_mean"] == pytest.approx(np.mean(both))
    assert rows["linear_probe"]["residual_spearman_std"] == 0
    plain = evaluate_cell(data, OPTIONS.model_copy(update={"residualize_against": "none"}), 1).metrics
    with pytest.raises(ValueError, match="differ in what they residualize against"):
        aggregate({0: cells[0], 1: plain})


@pytest.mark.parametrize("against", ["none", "tags"])
def test_nothing_and_unknown_things_cannot_be_residualized_against(data: ProbeData, against: str) -> None:
    with pytest.raises(ValueError, match="cannot residualize against"):
        residual_data(data, OPTIONS.model_copy(update={"residualize_against": against}))
