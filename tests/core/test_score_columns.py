"""Scores come out of the packed table as they went in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.crossfit.nulls import RefitNull
from ta_assets.core.score_columns import ScoreTable, scored_models

SENTENCES = pd.DataFrame(
    {"problem_id": [1, 1, 2], "chunk_idx": [0, 1, 0], "anchor": [0, 1, 1], "token_count": [3, 4, 5]}
)
SCORES = {"order": np.arange(6.0).reshape(2, 3), "ridge@12": -np.arange(6.0).reshape(2, 3)}


def test_every_repeat_of_every_score_comes_back() -> None:
    table = ScoreTable.of_scores(SENTENCES, SCORES)
    assert table.names() == ("order", "ridge@12")
    for name, values in SCORES.items():
        np.testing.assert_array_equal(table.of(name), values)
    assert list(table.frame)[:4] == ["problem_id", "chunk_idx", "anchor", "order/0"]
    assert (table.anchors.tolist(), table.problems.tolist()) == ([0, 1, 1], [1, 1, 2])


def test_a_score_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="ridge"):
        ScoreTable.of_scores(SENTENCES, SCORES).of("ridge")


def test_permuted_refits_come_back_by_scheme() -> None:
    both = RefitNull(("ridge@3|0", "ridge@3|1", "lda@3"), np.arange(12.0).reshape(4, 3))
    stored = both.stored(("shifted", "stratified"))
    for scheme, rows in (("shifted", slice(0, 2)), ("stratified", slice(2, 4))):
        one = RefitNull.of(stored, scheme)
        assert one.hypotheses == both.hypotheses
        np.testing.assert_array_equal(one.scores, both.scores[rows])
    assert both.probes() == ("ridge@3", "ridge@3", "lda@3")


def test_models_are_read_off_the_columns_of_their_scores() -> None:
    table = pd.DataFrame(
        [], columns=pd.Index(["problem_id", "score_linear_probe", "residual_score_linear_probe", "score_x"])
    )
    assert scored_models(table) == ["linear_probe", "x"]
