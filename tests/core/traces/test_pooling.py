"""Segment means against float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.traces.pooling import POOLINGS, SpanPooler, span_offsets


def segment_means(hidden: torch.Tensor, spans: np.ndarray) -> torch.Tensor:
    pooler = SpanPooler(spans)
    pooler.feed(hidden)
    return pooler.result()


def reference(hidden: torch.Tensor, spans: np.ndarray) -> np.ndarray:
    values = hidden.double().numpy()
    return np.stack([values[start:end].mean(axis=0) for start, end in spans])


@given(
    spans=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), min_size=1, max_size=12).map(
        lambda pairs: np.array([(start, min(start + length, 40)) for start, length in pairs])
    ),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=50)
def test_means_of_touching_and_overlapping_spans_equal_float64(spans, seed):
    hidden = torch.randn(40, 7, generator=torch.Generator().manual_seed(seed))
    found = segment_means(hidden, spans)
    assert found.dtype == torch.float32
    expected = reference(hidden, spans)
    error = np.linalg.norm(found.numpy() - expected, axis=1)
    assert (error <= 1e-6 * np.linalg.norm(expected, axis=1)).all()


def test_a_token_of_huge_norm_costs_no_digits_elsewhere():
    hidden = torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)) + 1
    hidden[0] = 1e6
    spans = np.array([[0, 10], [10, 30], [4000, 4010], [30, 5000], [4999, 5000]])
    np.testing.assert_allclose(segment_means(hidden, spans).numpy(), reference(hidden, spans), rtol=2e-6, atol=1e-6)


def test_half_precision_is_accumulated_in_float32():
    hidden = torch.full((4096, 3), 1.01, dtype=torch.bfloat16)
    found = segment_means(hidden, np.array([[0, 4096]]))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), reference(hidden, np.array([[0, 4096]])), rtol=1e-6)


def test_no_sentences_give_an_empty_matrix():
    assert segment_means(torch.zeros(3, 5), np.zeros((0, 2))).shape == (0, 5)


@pytest.mark.parametrize("span", [[2, 2], [3, 1], [-1, 2], [3, 6]])
def test_an_empty_span_or_one_that_leaves_the_text_is_refused(span):
    with pytest.raises(ValueError, match=r"spans\[1\]"):
        segment_means(torch.zeros(5, 2), np.array([[0, 1], span]))


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        segment_means(torch.zeros(1, 5, 2), np.array([[0, 1]]))
    with pytest.raises(ValueError, match="spans"):
        segment_means(torch.zeros(5, 2), np.array([0, 1, 2]))


@given(
    spans=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), min_size=1, max_size=8).map(
        lambda pairs: np.array([(start, min(start + length, 40)) for start, length in pairs])
    ),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    pooling=st.sampled_from(POOLINGS),
)
@settings(max_examples=80, deadline=None)
def test_pieces_of_a_text_pool_as_the_whole_text_does_and_nothing_else_is_held(spans, cuts, pooling):
    hidden = torch.randn(40, 7, generator=torch.Generator().manual_seed(1))
    expected = {
        "mean": [hidden[start:end].mean(0) for start, end in spans],
        "last": [hidden[end - 1] for _, end in spans],
        "tokens": [hidden[start:end] for start, end in spans],
    }[pooling]
    pooler, edges = SpanPooler(spans, pooling), sorted({0, *cuts, 40})
    for start, end in itertools.pairwise(edges):
        pooler.feed(hidden[start:end])
        waiting = [int(first) for first, last in spans if last > end]
        assert pooler._held is not None
        assert len(pooler._held) == max(end - min(waiting, default=end), 0)
    found = pooler.result()
    assert torch.equal(found, torch.cat(expected) if pooling == "tokens" else torch.stack(expected))
    if pooling == "tokens":
        assert span_offsets(spans).tolist() == np.cumsum([0, *(len(rows) for rows in expected)]).tolist()


def test_a_pooler_that_saw_too_few_tokens_says_so():
    pooler = SpanPooler(np.array([[0, 1], [3, 6]]), "last")
    with pytest.raises(ValueError, match="no tokens"):
        pooler.result()
    pooler.feed(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"spans\[1\].*5 tokens"):
        pooler.result()
    with pytest.raises(ValueError, match="pooling"):
        SpanPooler(np.array([[0, 1]]), "max")
