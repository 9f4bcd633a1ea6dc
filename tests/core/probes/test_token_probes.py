"""Probes on tokens: against loops, on a planted signal, and what decides their training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import TokenProbeOptions
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.probes.token_probes import NETWORKS, BestEpoch, TokenProbe, fit_token_scores
from ta_assets.core.statistics.metrics import average_precision, pr_auc_trapezoid, spearman_mean

OPTIONS = TokenProbeOptions(width=16, epochs=40, learning_rate=1e-2)


@dataclass(frozen=True)
class InMemory:
    """A list of sentences as a ``TokenSource``."""

    sentences: list[np.ndarray]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(sentence) for sentence in self.sentences])

    def of_row(self, row: int) -> np.ndarray:
        return self.sentences[row]

    def sha256(self) -> str:
        return hashlib.sha256(b"".join(sentence.tobytes() for sentence in self.sentences)).hexdigest()


def planted(width: int = 8, seed: int = 0) -> ProbeData:
    """One token of an anchor, at a random place, points along the first axis; other tokens are long noise."""
    rng = np.random.default_rng(seed)
    n = 400
    anchor = (rng.random(n) < 0.25).astype(np.int64)
    sentences = []
    for is_anchor in anchor:
        tokens = rng.normal(size=(rng.integers(4, 20), width))
        tokens[:, 0] = 0.3 * rng.normal(size=len(tokens))
        if is_anchor:
            tokens[rng.integers(len(tokens)), 0] = 4.0
        sentences.append(tokens.astype(np.float16))
    rows = pd.DataFrame(
        {
            "problem_id": np.arange(n) // 20,
            "chunk_idx": np.arange(n) % 20,
            "anchor": anchor,
            "importance_score": anchor + 0.1 * rng.random(n),
            "split": np.array(["train", "train", "val", "test"])[(np.arange(n) // 20) % 4],
        }
    )
    means = np.stack([tokens.mean(axis=0, dtype=np.float32) for tokens in sentences])
    return ProbeData.of(rows, means, tokens=InMemory(sentences))


@pytest.fixture(scope="module")
def data() -> ProbeData:
    return planted()


def by_loops(network: TokenProbe, sentence: np.ndarray) -> float:
    """The score of one sentence, written out."""
    weights = {name: value.detach().double().numpy() for name, value in network.state_dict().items()}
    hidden = sentence.astype(np.float64)
    for layer in range(len(network.tokens)):
        hidden = np.maximum(hidden @ weights[f"tokens.{layer}.0.weight"].T + weights[f"tokens.{layer}.0.bias"], 0)
    pooled = []
    for head in range(weights["mixer.weight"].shape[1]):
        if "directions" in weights:
            pooled.append(max(float(weights["directions"][head] @ token) for token in hidden))
            continue
        masses = [np.exp(float(weights["queries"][head] @ token)) for token in hidden]
        values = [float(weights["values"][head] @ token) for token in hidden]
        pooled.append(sum(m * v for m, v in zip(masses, values, strict=True)) / sum(masses))
    return float(weights["mixer.weight"][0] @ pooled + weights["mixer.bias"][0])


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_a_padded_batch_scores_every_sentence_as_loops_over_its_own_tokens_do(model: str, depth: int) -> None:
    torch.manual_seed(0)
    network = NETWORKS[model](6, TokenProbeOptions(depth=depth, width=5, heads=3))
    rng = np.random.default_rng(0)
    sentences = [rng.normal(size=(length, 6)).astype(np.float32) for length in (1, 7, 3)]
    padded = torch.full((3, 7, 6), 1e4)  # what lies in the padding must not matter
    present = torch.zeros((3, 7), dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        padded[row, : len(sentence)], present[row, : len(sentence)] = torch.from_numpy(sentence), True
    found = network(padded, present).detach().numpy()
    np.testing.assert_allclose(found, [by_loops(network, one) for one in sentences], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", TOKEN_PROBES)
@pytest.mark.parametrize("loss", ["bce", "huber", "mse"])
def test_a_signal_in_one_token_is_found(data: ProbeData, model: str, loss: str) -> None:
    fit = fit_token_scores(model, data, OPTIONS.model_copy(update={"loss": loss}), seed=1)
    assert fit.scores.dtype == np.float32
    test = (data.rows["split"] == "test").to_numpy()
    assert average_precision(data.rows["anchor"].to_numpy()[test], fit.scores[test]) > 0.9
    if loss == "bce":
        assert ((fit.scores >= 0) & (fit.scores <= 1)).all()


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_a_seed_decides_every_bit_whatever_else_draws_numbers_or_how_many_threads_there_are(
    data: ProbeData, model: str
) -> None:
    options, threads = OPTIONS.model_copy(update={"epochs": 3}), torch.get_num_threads()
    first = fit_token_scores(model, data, options, seed=3)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        again = fit_token_scores(model, data, options, seed=3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert torch.equal(before, torch.get_rng_state())
    assert not np.array_equal(first.scores, fit_token_scores(model, data, options, seed=4).scores)


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_labels_of_test_sentences_change_nothing(data: ProbeData, model: str) -> None:
    test = data.rows["split"] == "test"
    flipped = data.rows.assign(anchor=np.where(test, 1 - data.rows["anchor"], data.rows["anchor"]))
    options = OPTIONS.model_copy(update={"epochs": 3})
    np.testing.assert_array_equal(
        fit_token_scores(model, replace(data, rows=flipped), options).scores,
        fit_token_scores(model, data, options).scores,
    )


def test_a_dead_network_with_one_score_for_all_is_not_the_best_epoch() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0] * 4)
    learned = np.random.default_rng(0).normal(size=40) + labels
    dead = np.full(40, 0.5)
    assert pr_auc_trapezoid(labels, dead) > pr_auc_trapezoid(labels, learned) + 1e-8
    network, best = torch.nn.Linear(1, 1), BestEpoch(lambda scores: average_precision(labels, scores), patience=5)
    torch.nn.init.constant_(network.weight, 1.0)
    best.offer(learned, network)
    torch.nn.init.constant_(network.weight, 0.0)
    best.offer(dead, network)
    assert best.weights is not None
    assert best.weights["weight"].item() == 1.0


def test_training_ends_after_so_many_epochs_without_a_better_one_and_undefined_is_not_better() -> None:
    labels, network = np.array([0, 1, 0]), torch.nn.Linear(1, 1)
    best = BestEpoch(lambda scores: average_precision(labels, scores), patience=2)
    good, bad = np.array([0.1, 0.9, 0.2]), np.array([0.9, 0.1, 0.2])
    assert [best.offer(scores, network) for scores in (bad, good, good, bad)] == [False, False, False, True]
    undefined = BestEpoch(lambda scores: average_precision(np.zeros(3), scores), patience=2)
    assert [undefined.offer(good, network) for _ in range(2)] == [False, True]
    assert undefined.weights is None


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_the_weights_of_the_best_epoch_are_restored(data: ProbeData, model: str) -> None:
    val = (data.rows["split"] == "val").to_numpy()
    labels = data.rows["anchor"].to_numpy()[val]
    # so high a rate that later epochs are often worse
    options = OPTIONS.model_copy(update={"learning_rate": 0.3, "patience": 40})
    by_limit = [
        fit_token_scores(model, data, options.model_copy(update={"epochs": epochs})).scores[val]
        for epochs in range(1, 9)
    ]
    precisions = [average_precision(labels, scores) for scores in by_limit]
    assert precisions == sorted(precisions)
    stopped = fit_token_scores(model, data, OPTIONS.model_copy(update={"patience": 1, "epochs": 40}))
    assert stopped.converged
    assert stopped.n_iter < 40
    assert not fit_token_scores(model, data, OPTIONS.model_copy(update={"epochs": 1})).converged


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_what_cannot_be_fitted_is_refused(data: ProbeData, model: str) -> None:
    with pytest.raises(ValueError, match="pooling: tokens"):
        fit_token_scores(model, replace(data, tokens=None), OPTIONS)
    assert isinstance(data.tokens, InMemory)
    sentences = list(data.tokens.sentences)
    sentences[45] = sentences[45][:0]
    with pytest.raises(ValueError, match="problem 2, sentence 5 has no tokens"):
        fit_token_scores(model, replace(data, tokens=InMemory(sentences)), OPTIONS)
    with pytest.raises(ValueError, match="399 sentences for 400 rows"):
        fit_token_scores(model, replace(data, tokens=InMemory(sentences[1:])), OPTIONS)
    with pytest.raises(ValueError, match="hold 0 anchors"):
        fit_token_scores(model, replace(data, rows=data.rows.assign(anchor=0)), OPTIONS)
    with pytest.raises(ValueError, match="unknown loss"):
        fit_token_scores(model, data, OPTIONS.model_copy(update={"loss": "hinge"}))
    with pytest.raises(ValueError, match="unknown model 'oracle'"):
        fit_token_scores("oracle", data, OPTIONS)


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_a_signed_importance_is_fitted_with_its_sign(data: ProbeData, model: str) -> None:
    signed = replace(data, rows=data.rows.assign(importance_signed=-data.rows["importance_score"]))
    options = OPTIONS.model_copy(update={"loss": "huber"})
    absolute, own = (
        fit_token_scores(model, signed, options, 1, one) for one in ("importance_abs", "importance_signed")
    )
    test = (data.rows["split"] == "test").to_numpy()
    problems = data.rows["problem_id"].to_numpy()[test]
    for fit, column in ((absolute, "importance_score"), (own, "importance_signed")):
        assert spearman_mean(fit.scores[test], signed.rows[column].to_numpy()[test], problems) > 0.5
    assert np.corrcoef(absolute.scores[test], own.scores[test])[0, 1] < -0.5


@pytest.mark.parametrize("model", TOKEN_PROBES)
def test_a_continuous_target_needs_a_loss_of_its_own_and_knows_no_anchors(data: ProbeData, model: str) -> None:
    with pytest.raises(ValueError, match="importance_abs needs huber or mse"):
        fit_token_scores(model, data, OPTIONS, target="importance_abs")
    options = OPTIONS.model_copy(update={"loss": "mse", "epochs": 2})
    without = replace(data, rows=data.rows.assign(anchor=0))
    np.testing.assert_array_equal(
        fit_token_scores(model, without, options, target="importance_abs").scores,
        fit_token_scores(model, data, options, target="importance_abs").scores,
    )


def test_other_tokens_are_other_data(data: ProbeData) -> None:
    assert isinstance(data.tokens, InMemory)
    reordered = [sentence[::-1] for sentence in data.tokens.sentences]
    assert replace(data, tokens=InMemory(reordered)).sha256() != data.sha256()
    assert planted().sha256() == data.sha256()
