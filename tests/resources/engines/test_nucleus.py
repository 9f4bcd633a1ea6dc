"""Tokens are drawn with the chances of the softmax, of the fewest tokens that have the share together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare
from transformers import TopPLogitsWarper

from ta_resources.engines.nucleus import BLOCK, CANDIDATES, Streams, draw

LOGITS = torch.tensor([3.0, 2.0, 1.0, 0.0, -1.0])


def drawn(logits: torch.Tensor, n: int, temperature: float, top_p: float) -> np.ndarray:
    uniform = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return draw(logits.expand(n, -1), uniform, temperature, top_p).numpy()


def expected(logits: torch.Tensor, temperature: float, top_p: float) -> np.ndarray:
    """Chances by the library's own cut."""
    scores = logits[None] / temperature
    kept = TopPLogitsWarper(top_p)(torch.LongTensor([[0]]), torch.FloatTensor(scores)) if top_p < 1 else scores
    return torch.softmax(kept.double(), dim=-1)[0].numpy()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.95), (2.0, 0.7), (1.0, 0.01)])
def test_tokens_have_the_chances_of_the_librarys_own_cut(temperature: float, top_p: float) -> None:
    n, chances = 20_000, expected(LOGITS, temperature, top_p)
    counts = np.bincount(drawn(LOGITS, n, temperature, top_p), minlength=5)
    assert counts[chances == 0].sum() == 0
    kept = chances > 0
    if kept.sum() > 1:
        assert chisquare(counts[kept], chances[kept] / chances[kept].sum() * n).pvalue > 1e-4


def test_a_flat_row_is_drawn_from_beyond_the_first_candidates() -> None:
    n = CANDIDATES[0] * 8
    tokens = drawn(torch.zeros(n), 4000, 1.0, 0.95)
    assert len(np.unique(tokens)) > 0.9 * 0.95 * n
    assert len(np.unique(tokens)) <= 0.96 * n


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, (3, 40), elements=st.floats(-30, 30, width=32)),
    st.sampled_from([0.0, 0.3, 1 - 2**-53]),
    st.sampled_from([0.1, 0.9, 1.0]),
)
def test_every_drawn_token_is_one_that_may_be_drawn(logits: np.ndarray, uniform: float, top_p: float) -> None:
    rows = torch.tensor(logits)
    tokens = draw(rows, torch.full((3,), uniform, dtype=torch.float64), 1.0, top_p)
    for row, token in zip(rows, tokens.tolist(), strict=True):
        chance = torch.softmax(row.double(), dim=-1)
        larger = float(chance[chance > chance[token]].sum())
        assert larger < top_p + 1e-6


def test_a_row_has_a_stream_of_its_own_whatever_is_drawn_beside_it() -> None:
    alone, beside = Streams([7]), Streams([1, 7, 9])
    for _ in range(BLOCK + 3):
        assert alone.next()[0] == beside.next()[1]
