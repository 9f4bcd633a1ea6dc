"""Joining labels, spans, split and vectors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.probes.features import add_spans, add_split, position_features, stack_vectors
from ta_assets.core.values import PooledProblem, Split


def labels(sizes: dict[int, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"problem_id": problem_id, "chunk_idx": i, "num_chunks": n, "relative_position": i / max(n - 1, 1)}
            for problem_id, n in sizes.items()
            for i in range(n)
        ]
    )


def pooled(problem_id: int, n: int, width: int = 4) -> PooledProblem:
    starts = np.arange(n) * 10
    vectors = (problem_id * 100 + np.arange(n)[:, None] + np.zeros(width)).astype(np.float16)
    return PooledProblem(problem_id, 2, vectors, np.stack([starts, starts + 1 + np.arange(n)], axis=1), 10 * n, "text")


def test_spans_and_vectors_follow_their_sentences() -> None:
    problems = [pooled(2, 3), pooled(1, 3)]
    rows = add_spans(labels({1: 2, 2: 3, 3: 4}), problems)
    assert rows["problem_id"].tolist() == [1, 1, 2, 2, 2]
    assert rows["token_start"].tolist() == [0, 10, 0, 10, 20]
    assert rows["token_end"].tolist() == [1, 12, 1, 12, 23]
    assert rows["token_count"].tolist() == [1, 2, 1, 2, 3]
    shuffled = rows.sample(frac=1, random_state=0)
    vectors = stack_vectors(shuffled, problems)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 4)
    assert vectors[:, 0].tolist() == (shuffled["problem_id"] * 100 + shuffled["chunk_idx"]).tolist()


@pytest.mark.parametrize("n_pooled", [2, 5])
def test_another_number_of_sentences_is_refused(n_pooled: int) -> None:
    with pytest.raises(ValueError, match=rf"problem 1: 3 labelled, {n_pooled} pooled"):
        add_spans(labels({1: 3}), [pooled(1, n_pooled)])
    with pytest.raises(ValueError, match="problem 1: 3 labelled"):
        stack_vectors(labels({1: 3}), [pooled(1, n_pooled)])


def test_rows_without_activations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2\] have labels but no activations"):
        stack_vectors(labels({1: 3, 2: 3}), [pooled(1, 3)])


def test_problems_of_several_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[4, 6\]"):
        stack_vectors(labels({1: 3, 2: 3}), [pooled(1, 3), pooled(2, 3, width=6)])


def test_a_row_takes_the_part_of_its_problem() -> None:
    rows = add_split(labels({1: 2, 2: 1, 3: 1, 4: 1}), Split(train=(1,), val=(3,), test=(4,)))
    assert rows[["problem_id", "split"]].to_numpy().tolist() == [[1, "train"], [1, "train"], [3, "val"], [4, "test"]]


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"val \(problems \[8\]\), test \(problems \[9\]\)"):
        add_split(labels({1: 2}), Split(train=(1,), val=(8,), test=(9,)))


def test_position_features_have_their_order_and_type() -> None:
    rows = add_spans(labels({5: 3}), [pooled(5, 4)])
    features = position_features(rows)
    assert features.dtype == np.float32
    assert features.tolist() == [[0, 3, 0, 1], [1, 3, 0.5, 2], [2, 3, 1, 3]]
