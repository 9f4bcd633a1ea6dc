"""Scores of vertical attention against loops over sentences and tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.traces.vertical_attention import full_scores, light_scores, masses

N_TOKENS = 24


def attention(seed: int) -> np.ndarray:
    """[n_tokens, n_tokens] float64, causal, rows that sum to 1."""
    weights = np.tril(np.random.default_rng(seed).random((N_TOKENS, N_TOKENS)) ** 4)
    return weights / weights.sum(axis=1, keepdims=True)


SPANS = st.lists(st.integers(1, N_TOKENS - 1), min_size=1, max_size=6, unique=True).map(
    lambda cuts: np.array(list(zip(sorted(cuts), [*sorted(cuts)[1:], N_TOKENS], strict=True)))
)


@given(spans=SPANS, seed=st.integers(0, 99), last=st.integers(1, N_TOKENS), depth_control=st.booleans())
@settings(max_examples=40, deadline=None)
def test_light_scores_are_those_of_loops(spans: np.ndarray, seed: int, last: int, depth_control: bool) -> None:
    weights, queries = attention(seed), range(N_TOKENS - last, N_TOKENS)
    expected = []
    for start, end in spans:
        found = [sum(weights[query, key] for key in range(start, end)) for query in queries if query >= end]
        expected.append(sum(found) / (len(found) if depth_control else 1) if found else 0.0)
    mass = masses(torch.from_numpy(weights[list(queries)]), spans)
    np.testing.assert_allclose(
        light_scores(mass, np.array(queries), spans, depth_control), expected, rtol=1e-5, atol=1e-7
    )


@given(spans=SPANS, seed=st.integers(0, 99), depth_control=st.booleans())
@settings(max_examples=40, deadline=None)
def test_full_scores_are_those_of_loops(spans: np.ndarray, seed: int, depth_control: bool) -> None:
    weights, expected = attention(seed), []
    for j, (start, end) in enumerate(spans):
        found = []
        for first, last in spans[j + 1 :]:
            tokens = [sum(weights[query, key] for key in range(start, end)) for query in range(first, last)]
            found.append(sum(tokens) / len(tokens))
        expected.append(sum(found) / (len(found) if depth_control else 1) if found else 0.0)
    mass = masses(torch.from_numpy(weights), spans)
    np.testing.assert_allclose(full_scores(mass, spans, depth_control), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("depth_control", [True, False])
def test_nothing_comes_after_the_last_sentence(depth_control: bool) -> None:
    spans = np.array([[0, 10], [10, N_TOKENS]])
    mass = masses(torch.from_numpy(attention(0)), spans)
    for scores in (
        light_scores(mass, np.arange(N_TOKENS), spans, depth_control),
        full_scores(mass, spans, depth_control),
    ):
        assert scores.dtype == np.float32
        assert scores[0] > 0
        assert scores[1] == 0
