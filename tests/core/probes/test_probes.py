"""The five models against the same models written out plainly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ta_assets.core.option_values import KNOWN_MODELS, VERTICAL_MODELS
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import position_features
from ta_assets.core.probes.models import MODELS, NEEDS_ACTIVATIONS, SEED_FREE, SEEDED, ProbeData, fit_scores

OPTIONS = ProbeOptions(mlp_hidden=8, mlp_max_iter=40)


def made_up(n_problems: int = 6, n_sentences: int = 20, width: int = 12) -> ProbeData:
    """Sentences whose first direction and whose word "wait" tell a little about anchors."""
    rng = np.random.default_rng(0)
    n = n_problems * n_sentences
    anchor = (rng.random(n) < 0.25).astype(np.int64)
    index = np.tile(np.arange(n_sentences), n_problems)
    problem = np.repeat(np.arange(n_problems), n_sentences)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"wait number {i % 7}" if a or i % 5 == 0 else f"so {i % 3}" for i, a in enumerate(anchor)],
            "anchor": anchor,
            "importance_score": anchor + rng.random(n),
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "vertical_score": (rng.random(n) / 10).astype(np.float32),
            "split": np.array(["train", "train", "train", "train", "val", "test"])[problem % 6],
        }
    )
    vectors = rng.normal(size=(n, width)).astype(np.float16)
    vectors[:, 0] += anchor
    return ProbeData.of(rows, vectors)


@pytest.fixture(scope="module")
def data() -> ProbeData:
    return made_up()


def plain_logistic(inputs: np.ndarray, data: ProbeData) -> np.ndarray:
    scaler = StandardScaler().fit(inputs[data.train])
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(scaler.transform(inputs[data.train]), data.rows["anchor"][data.train])
    return model.predict_proba(scaler.transform(inputs))[:, 1].astype(np.float32)


def test_linear_models_are_balanced_logistic_regressions_of_scaled_inputs(data: ProbeData) -> None:
    assert data.vectors is not None
    vectors, position = data.vectors.astype(np.float32), position_features(data.rows)
    vertical = data.rows[["vertical_score"]].to_numpy()
    inputs = {
        "position_baseline": position,
        "linear_probe": vectors,
        "activations_plus_position": np.hstack([vectors, position]),
        "vertical_attention_baseline": vertical,
        "vertical_attention_plus_position": np.hstack([vertical, position]),
    }
    for model, matrix in inputs.items():
        np.testing.assert_array_equal(fit_scores(model, data, OPTIONS).scores, plain_logistic(matrix, data))


def test_the_mlp_is_that_of_the_predecessor(data: ProbeData) -> None:
    assert data.vectors is not None
    scaler = StandardScaler().fit(data.vectors.astype(np.float32)[data.train])
    model = MLPClassifier((8, 8), max_iter=40, early_stopping=True, n_iter_no_change=20, random_state=3)
    model.fit(scaler.transform(data.vectors.astype(np.float32)[data.train]), data.rows["anchor"][data.train])
    expected = np.asarray(model.predict_proba(scaler.transform(data.vectors.astype(np.float32))))[:, 1]
    np.testing.assert_array_equal(fit_scores("mlp_probe", data, OPTIONS, seed=3).scores, expected.astype(np.float32))


@pytest.mark.parametrize("name", ["pilot", "qwen_correct"])
def test_stored_scores_of_both_baselines_come_back(shared_folder: Path, name: str) -> None:
    reference = shared_folder / "reference"
    labels = pd.read_parquet(reference / f"labels/{name}.parquet")
    published = pd.read_parquet(reference / f"predictions/{name}.parquet").query("seed == 0")
    ids = json.loads((reference / f"splits/splits_{'pilot' if name == 'pilot' else 'scaling_shared'}.json").read_text())
    part_of = {one: part for part, members in ids.items() for one in members}
    data = ProbeData.of(
        labels.assign(split=[part_of.get(one) for one in labels["problem_id"]]).dropna(subset="split"), None
    )
    for model in ("position_baseline", "text_only_baseline"):
        scored = data.rows[["problem_id", "chunk_idx"]].assign(score=fit_scores(model, data, ProbeOptions()).scores)
        both = published.merge(scored, on=["problem_id", "chunk_idx"])
        assert len(both) == len(published)
        np.testing.assert_allclose(both["score"], both[f"score_{model}"], atol=1e-5)


def test_every_model_is_either_seeded_or_seed_free() -> None:
    assert sorted(SEED_FREE + SEEDED) == sorted(KNOWN_MODELS)
    assert set(SEED_FREE) < set(MODELS)
    assert ProbeOptions().models + VERTICAL_MODELS == MODELS
    assert set(NEEDS_ACTIVATIONS) < set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_only_seeded_models_depend_on_the_seed(data: ProbeData, model: str) -> None:
    first, again, other = (fit_scores(model, data, OPTIONS, seed).scores for seed in (0, 0, 1))
    assert first.dtype == np.float32
    assert first.shape == (len(data.rows),)
    assert ((first >= 0) & (first <= 1)).all()
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (model in SEED_FREE)


@pytest.mark.parametrize("model", MODELS)
def test_scores_do_not_depend_on_labels_outside_train(data: ProbeData, model: str) -> None:
    flipped = data.rows.assign(anchor=np.where(data.train, data.rows["anchor"], 1 - data.rows["anchor"]))
    np.testing.assert_array_equal(
        fit_scores(model, replace(data, rows=flipped), OPTIONS).scores, fit_scores(model, data, OPTIONS).scores
    )


@pytest.mark.parametrize("model", MODELS)
def test_scores_do_not_depend_on_the_number_of_threads(data: ProbeData, model: str) -> None:
    scores = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            scores.append(fit_scores(model, data, OPTIONS).scores)
    np.testing.assert_array_equal(*scores)


def test_words_of_test_sentences_are_unknown_to_the_text_baseline(data: ProbeData) -> None:
    strange = data.rows["chunk_text"].where(data.train, "zebra quagga")
    scores = fit_scores("text_only_baseline", replace(data, rows=data.rows.assign(chunk_text=strange)), OPTIONS).scores
    assert len(set(scores[~data.train].tolist())) == 1


def test_a_fit_that_reached_its_limit_says_so(data: ProbeData) -> None:
    stopped = fit_scores("mlp_probe", data, OPTIONS.model_copy(update={"mlp_max_iter": 2}))
    assert (stopped.converged, stopped.n_iter) == (False, 2)
    assert any("ConvergenceWarning" in warning for warning in stopped.warnings)
    finished = fit_scores("linear_probe", data, OPTIONS)
    assert finished.converged
    assert finished.warnings == ()
    assert json.loads(json.dumps(finished.facts())) == finished.facts()
    assert "seconds" not in finished.facts()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("label", [0, 1])
def test_train_sentences_of_one_class_are_refused(data: ProbeData, model: str, label: int) -> None:
    rows = data.rows.assign(anchor=np.where(data.train, label, data.rows["anchor"]))
    with pytest.raises(ValueError, match=f"the 80 train sentences hold {80 * label} anchors"):
        fit_scores(model, replace(data, rows=rows), OPTIONS)


@pytest.mark.parametrize("n_anchors", [1, 2])
def test_the_mlp_fits_a_handful_of_sentences(data: ProbeData, n_anchors: int) -> None:
    train = np.arange(len(data.rows)) < 8
    rows = data.rows.assign(anchor=(np.arange(len(data.rows)) < n_anchors).astype(int))
    fit = fit_scores("mlp_probe", replace(data, rows=rows, train=train), OPTIONS)
    assert np.isfinite(fit.scores).all()


@pytest.mark.parametrize("model", NEEDS_ACTIVATIONS)
def test_absent_or_broken_activations_are_refused(data: ProbeData, model: str) -> None:
    with pytest.raises(ValueError, match="needs activations"):
        fit_scores(model, replace(data, vectors=None), OPTIONS)
    assert data.vectors is not None
    broken = data.vectors.copy()
    broken[[3, 100], 0] = [np.nan, np.inf]
    with pytest.raises(ValueError, match="2 of 120 vectors"):
        fit_scores(model, replace(data, vectors=broken), OPTIONS)


@pytest.mark.parametrize("model", VERTICAL_MODELS)
def test_a_sentence_without_a_vertical_score_is_refused(data: ProbeData, model: str) -> None:
    scores = data.rows["vertical_score"].where(np.arange(len(data.rows)) != 5)
    with pytest.raises(ValueError, match="1 of 120 sentences have no vertical_score"):
        fit_scores(model, replace(data, rows=data.rows.assign(vertical_score=scores)), OPTIONS)
    with pytest.raises(ValueError, match="120 of 120"):
        fit_scores(model, replace(data, rows=data.rows.drop(columns="vertical_score")), OPTIONS)


def test_an_unknown_model_is_refused(data: ProbeData) -> None:
    with pytest.raises(ValueError, match="unknown model 'oracle'"):
        fit_scores("oracle", data, OPTIONS)


def test_arrays_that_do_not_match_the_rows_are_refused(data: ProbeData) -> None:
    with pytest.raises(ValueError, match="vectors have shape"):
        ProbeData.of(data.rows, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="train mask"):
        ProbeData(data.rows, None, np.zeros(len(data.rows)))
