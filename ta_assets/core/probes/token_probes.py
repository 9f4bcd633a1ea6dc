"""Probes that read every token of a sentence: a small network on each token, then attention or a maximum over tokens.

Belongs here: their two heads, their training, the choice of its best epoch. Stays out: probes on one vector a sentence
(``probes``), what a cell reports (``cells``), files.

Source: the attention and MultiMax probes of Kramár et al. (2026), Building Production-Ready Probes For Gemini,
arXiv:2601.11516, with the sizes and the training of the predecessor. One difference is meant: the best epoch is
chosen by average precision, not by the trapezoidal area, which gives a dead network (one score for all)
(1 + prevalence) / 2 and so prefers it to most that have learned something.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import nn

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import TokenProbeOptions
from ta_assets.core.probes.models import Fit, ProbeData, TokenSource, require_spread
from ta_assets.core.probes.targets import TARGETS, Target
from ta_assets.core.statistics.metrics import average_precision, spearman_mean

IMPROVEMENT = 1e-8
"""A validation score must be better by more than this."""


class TokenProbe(nn.Module):
    """[batch, n_tokens, d_model] and which of the tokens there are -> [batch] scores before the sigmoid."""

    def __init__(self, d_model: int, options: TokenProbeOptions) -> None:
        super().__init__()
        sizes = [d_model] + [options.width] * options.depth
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
        self.tokens = nn.Sequential(*layers)
        self.mixer = nn.Linear(options.heads, 1)
        nn.init.xavier_uniform_(self.mixer.weight)
        nn.init.zeros_(self.mixer.bias)

    def forward(self, tokens: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """``present`` is [batch, n_tokens] bool, with at least one token a sentence."""
        return self.mixer(self.heads(self.tokens(tokens), present[:, :, None]))[:, 0]

    def heads(self, hidden: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """[batch, n_tokens, width], [batch, n_tokens, 1] bool -> [batch, heads]."""
        raise NotImplementedError


class AttentionProbe(TokenProbe):
    """Head k: the mean of v_k . y_t over tokens, weighted by the softmax over tokens of q_k . y_t."""

    def __init__(self, d_model: int, options: TokenProbeOptions) -> None:
        super().__init__(d_model, options)
        self.queries, self.values = _vectors(options), _vectors(options)

    def heads(self, hidden: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """See ``TokenProbe``."""
        logits = (hidden @ self.queries.T).masked_fill(~present, -torch.inf)
        return (torch.softmax(logits, dim=1) * (hidden @ self.values.T)).sum(dim=1)


class MultiMaxProbe(TokenProbe):
    """Head k: the largest u_k . y_t over tokens, in training as in use."""

    def __init__(self, d_model: int, options: TokenProbeOptions) -> None:
        super().__init__(d_model, options)
        self.directions = _vectors(options)

    def heads(self, hidden: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """See ``TokenProbe``."""
        return (hidden @ self.directions.T).masked_fill(~present, -torch.inf).amax(dim=1)


NETWORKS: Mapping[str, type[TokenProbe]] = dict(zip(TOKEN_PROBES, (AttentionProbe, MultiMaxProbe), strict=True))


class BestEpoch:
    """Keeps the weights of the epoch whose scores of the validation sentences measure highest."""

    def __init__(self, measure: Callable[[np.ndarray], float], patience: int) -> None:
        self._measure, self._patience = measure, patience
        self._best, self._waited = -np.inf, 0
        self.weights: dict[str, torch.Tensor] | None = None

    def offer(self, scores: np.ndarray, network: nn.Module) -> bool:
        """Judge an epoch; True when training should end. An undefined score (NaN) is never better."""
        value = self._measure(scores)
        if value > self._best + IMPROVEMENT:
            self._best, self._waited = value, 0
            self.weights = copy.deepcopy(network.state_dict())
        else:
            self._waited += 1
        return self._waited >= self._patience


def fit_token_scores(
    model: str, data: ProbeData, options: TokenProbeOptions, seed: int = 0, target: str = "anchor_binary"
) -> Fit:
    """Fit one token probe on the train rows, stop by the val rows, and score all rows; equal seeds, equal bits.

    On the cpu with one thread: sums in another order give other digits. The seed decides the first weights and the
    order of the sentences. Tokens are read batch by batch. A continuous target is fitted itself, and its best epoch
    is that of the highest rank correlation with it within problems.

    Returns:
        Scores are probabilities of being an anchor (``loss: bce``), or predicted importances (``huber``, with a
        threshold of 1, and ``mse``; those of anchors are absolute). ``converged`` says that training ended by
        patience, ``n_iter`` counts epochs.

    Raises:
        ValueError: unknown model or loss, ``bce`` for a continuous target, train rows of one class or one importance,
            no tokens, or a sentence without one.
    """
    if model not in NETWORKS:
        raise ValueError(f"unknown model {model!r}, expected one of {', '.join(NETWORKS)}")
    wanted = TARGETS[target]
    require_spread(model, data, wanted)
    tokens = _tokens_of(model, data)
    started = time.perf_counter()
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[model](tokens.of_row(0).shape[1], options)
        n_epochs, stopped = _train(network, data, options, seed, wanted)
        scores = _scores(network, tokens, np.arange(len(data.rows)), options)
    if not np.isfinite(scores).all():
        raise ValueError(f"{model} with seed {seed} gives scores that are not finite; lower the learning rate")
    return Fit(scores, stopped, n_epochs, time.perf_counter() - started, ())


def _train(
    network: TokenProbe, data: ProbeData, options: TokenProbeOptions, seed: int, target: Target
) -> tuple[int, bool]:
    """Epochs, and whether patience ended them; leaves the best epoch's weights in the network."""
    assert data.tokens is not None
    loss_of, targets = _loss(data, options, target)
    val = np.flatnonzero((data.rows["split"] == "val").to_numpy())
    best = BestEpoch(_measure(target, data.rows.take(val)), options.patience)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    train, shuffle = np.flatnonzero(data.train), np.random.default_rng(seed)
    epoch, stop = 0, False
    while epoch < options.epochs and not stop:
        order = shuffle.permutation(train)
        network.train()
        for start in range(0, len(order), options.batch):
            rows = order[start : start + options.batch]
            optimizer.zero_grad()
            loss_of(network(*_batch(data.tokens, rows)), targets[rows]).backward()
            optimizer.step()
        epoch += 1
        scores = _scores(network, data.tokens, val, options)
        # a network that has exploded is no better than none
        stop = best.offer(scores if np.isfinite(scores).all() else np.zeros_like(scores), network)
    if best.weights is not None:
        network.load_state_dict(best.weights)
    return epoch, stop


def _measure(target: Target, rows: pd.DataFrame) -> Callable[[np.ndarray], float]:
    """Scores of these rows -> the target's primary metric on them."""
    values, problems = target.values(rows), rows["problem_id"].to_numpy()
    if target.continuous:
        return lambda scores: spearman_mean(scores, values, problems)
    return lambda scores: average_precision(values, scores)


def _loss(data: ProbeData, options: TokenProbeOptions, target: Target) -> tuple[nn.Module, torch.Tensor]:
    if target.continuous and options.loss == "bce":
        raise ValueError(f"loss bce is one of anchors; {target.name} needs huber or mse")
    column = target.column if target.continuous else "importance_score"
    anchors = torch.from_numpy(data.rows["anchor"].to_numpy(dtype=np.float32))
    if options.loss == "bce":
        n_anchors = float(anchors[torch.from_numpy(data.train)].sum())
        weight = torch.tensor((float(data.train.sum()) - n_anchors) / max(n_anchors, 1.0))
        return nn.BCEWithLogitsLoss(pos_weight=weight), anchors
    losses = {"huber": nn.HuberLoss(delta=1.0), "mse": nn.MSELoss()}
    if options.loss not in losses:
        raise ValueError(f"unknown loss {options.loss!r}, expected bce, huber or mse")
    return losses[options.loss], torch.from_numpy(data.rows[column].to_numpy(dtype=np.float32))


def _scores(network: TokenProbe, tokens: TokenSource, rows: np.ndarray, options: TokenProbeOptions) -> np.ndarray:
    """[n_rows] float32."""
    network.eval()
    with torch.inference_mode():
        batches = [rows[start : start + options.batch] for start in range(0, len(rows), options.batch)]
        pieces = [network(*_batch(tokens, batch)) for batch in batches]
        scores = torch.cat(pieces) if pieces else torch.zeros(0)
        return (torch.sigmoid(scores) if options.loss == "bce" else scores).numpy()


def _batch(tokens: TokenSource, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """[batch, longest, d_model] float32, zero where a sentence is shorter, and [batch, longest] bool."""
    sentences = [torch.from_numpy(np.asarray(tokens.of_row(int(row)), dtype=np.float32)) for row in rows]
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    padded = nn.utils.rnn.pad_sequence(sentences, batch_first=True)
    return padded, torch.arange(padded.shape[1])[None] < lengths[:, None]


def _tokens_of(model: str, data: ProbeData) -> TokenSource:
    if data.tokens is None:
        raise ValueError(f"cannot fit {model}: it needs every token of a sentence (extraction.pooling: tokens)")
    lengths = np.asarray(data.tokens.lengths)
    if len(lengths) != len(data.rows):
        raise ValueError(f"cannot fit {model}: tokens of {len(lengths)} sentences for {len(data.rows)} rows")
    if (lengths < 1).any():
        row = int(np.argmax(lengths < 1))
        where = f"problem {data.rows['problem_id'].iloc[row]}, sentence {data.rows['chunk_idx'].iloc[row]}"
        raise ValueError(f"cannot fit {model}: {where} has no tokens")
    return data.tokens


def _vectors(options: TokenProbeOptions) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(options.heads, options.width)))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
