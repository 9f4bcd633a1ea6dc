"""One setting with one seed."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import SEED_FREE, ProbeData, fit_scores
from ta_assets.core.results.cells import PREDICTION_COLUMNS, SeedFreeScores, evaluate_cell, seed_free_scores
from ta_assets.core.statistics.metrics import average_precision, evaluate
from ta_assets.core.statistics.resampling import grouped_delta_bootstrap
from ta_assets.core.values import jsonable

OPTIONS = ProbeOptions(mlp_hidden=6, mlp_max_iter=15, bootstrap=50)


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(1)
    n_problems, n_sentences = 9, 15
    n = n_problems * n_sentences
    importance = rng.random(n)
    index = np.tile(np.arange(n_sentences), n_problems)
    problem = np.repeat(np.arange(n_problems), n_sentences)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"word{i % 9} word{i % 4}" for i in range(n)],
            "anchor": (importance > 0.8).astype(np.int64),
            "importance_score": importance,
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "split": np.array(["train", "test", "train", "val", "train", "test", "train", "val", "test"])[problem],
        }
    )
    vectors = rng.normal(size=(n, 8)).astype(np.float32) + importance[:, None].astype(np.float32)
    return ProbeData.of(rows, vectors)


def test_a_cell_measures_every_model_on_val_and_test(data: ProbeData) -> None:
    result = evaluate_cell(data, OPTIONS, seed=2)
    metrics = result.metrics
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert (metrics["seed"], metrics["primary_metric"]) == (2, "average_precision")
    assert metrics["splits"] == {"train": 4, "val": 2, "test": 3}
    assert metrics["rows"] == {"train": 60, "val": 30, "test": 45}
    assert tuple(metrics["models"]) == OPTIONS.models
    inside = (data.rows["split"] == "test").to_numpy()
    for model in OPTIONS.models:
        fit = fit_scores(model, data, OPTIONS, 2)
        assert metrics["models"][model]["fit"] == fit.facts()
        expected = evaluate(data.rows[inside], fit.scores[inside], (5, 10))  # type: ignore[arg-type]
        assert metrics["models"][model]["test"] == pytest.approx(expected)
        assert len(metrics["position_bins"]["val"][model]) == metrics["position_bins"]["num_bins"] == 5


def test_intervals_use_the_test_rows_and_the_seed_of_the_cell(data: ProbeData) -> None:
    test = (data.rows["split"] == "test").to_numpy()
    both, position = (
        fit_scores(model, data, OPTIONS).scores[test] for model in ("activations_plus_position", "position_baseline")
    )
    expected = grouped_delta_bootstrap(
        data.rows["anchor"].to_numpy()[test],
        both,
        position,
        data.rows["problem_id"].to_numpy()[test],
        iterations=50,
        seed=3,
    )
    intervals = evaluate_cell(data, OPTIONS, seed=3).metrics["confidence_intervals"]
    assert list(intervals) == [
        "activations_plus_position - position_baseline",
        "activations_plus_position - text_only_baseline",
    ]
    assert intervals["activations_plus_position - position_baseline"] == jsonable(vars(expected))


def test_predictions_hold_val_and_test_rows_in_order(data: ProbeData) -> None:
    shuffled = np.random.default_rng(0).permutation(len(data.rows))
    assert data.vectors is not None
    mixed = ProbeData.of(data.rows.take(shuffled), data.vectors[shuffled])
    for given in (data, mixed):
        table = evaluate_cell(given, OPTIONS, seed=4).predictions
        assert list(table.columns) == [*PREDICTION_COLUMNS, *(f"score_{model}" for model in OPTIONS.models)]
        assert table["split"].tolist() == ["val"] * 30 + ["test"] * 45
        for _, part in table.groupby("split"):
            keys = part[["problem_id", "chunk_idx"]].to_numpy().tolist()
            assert keys == sorted(keys)
        assert set(table["seed"]) == {4}
        assert all(str(table[f"score_{model}"].dtype) == "float32" for model in OPTIONS.models)


def test_metrics_can_be_computed_again_from_the_predictions(data: ProbeData) -> None:
    result = evaluate_cell(data, OPTIONS, seed=0)
    rows = result.predictions.query("split == 'test'")
    for model, measured in result.metrics["models"].items():
        again = average_precision(rows["anchor"].to_numpy(), rows[f"score_{model}"].to_numpy())
        assert measured["test"]["average_precision"] == again


def test_seed_free_scores_are_shared_by_all_cells(data: ProbeData) -> None:
    shared = seed_free_scores(data, OPTIONS)
    fitted = [f"score_{model}" for model in OPTIONS.models if model in SEED_FREE]
    assert list(shared.scores.columns) == ["problem_id", "chunk_idx", *fitted]
    with_shared, without = evaluate_cell(data, OPTIONS, 1, shared), evaluate_cell(data, OPTIONS, 1)
    assert with_shared.metrics == without.metrics
    pd.testing.assert_frame_equal(with_shared.predictions, without.predictions)
    only_frame = evaluate_cell(data, OPTIONS, 1, SeedFreeScores(shared.scores, {}))
    assert only_frame.metrics["models"]["linear_probe"]["fit"] is None


def test_seed_free_scores_of_other_rows_are_refused(data: ProbeData) -> None:
    shared = seed_free_scores(data, OPTIONS)
    with pytest.raises(ValueError, match="other rows"):
        evaluate_cell(data, OPTIONS, 1, SeedFreeScores(shared.scores.iloc[::-1], {}))
    with pytest.raises(ValueError, match="lack linear_probe"):
        evaluate_cell(data, OPTIONS, 1, SeedFreeScores(shared.scores.drop(columns="score_linear_probe"), {}))


def test_a_cell_without_activations_measures_the_baselines(data: ProbeData) -> None:
    options = ProbeOptions(models=("position_baseline", "text_only_baseline"), bootstrap=10)
    result = evaluate_cell(ProbeData.of(data.rows, None), options, 0)
    assert list(result.metrics["models"]) == list(options.models)
    assert result.metrics["confidence_intervals"] == {}


def test_an_undefined_metric_is_none(data: ProbeData) -> None:
    rows = data.rows.assign(anchor=data.rows["anchor"].where(data.rows["split"] != "val", 0))
    metrics = evaluate_cell(ProbeData.of(rows, data.vectors), OPTIONS, 0).metrics
    assert metrics["models"]["linear_probe"]["val"]["average_precision"] is None
    assert metrics["models"]["linear_probe"]["test"]["average_precision"] is not None
    assert jsonable({"a": [math.nan, (1.5, math.inf)], "b": "nan"}) == {"a": [None, [1.5, None]], "b": "nan"}


def test_a_part_without_rows_is_refused(data: ProbeData) -> None:
    rows = data.rows.assign(split=data.rows["split"].replace("val", "train"))
    with pytest.raises(ValueError, match="no rows in val"):
        evaluate_cell(ProbeData.of(rows, data.vectors), OPTIONS, 0)


def test_seed_free_scores_of_other_data_are_refused(data: ProbeData) -> None:
    shared = seed_free_scores(data, OPTIONS)
    assert data.vectors is not None
    with pytest.raises(ValueError, match="other labels, splits or vectors"):
        evaluate_cell(ProbeData(data.rows, data.vectors + 1, data.train), OPTIONS, 0, shared)
    relabelled = data.rows.assign(anchor=1 - data.rows["anchor"])
    with pytest.raises(ValueError, match="other labels, splits or vectors"):
        evaluate_cell(ProbeData(relabelled, data.vectors, data.train), OPTIONS, 0, shared)
