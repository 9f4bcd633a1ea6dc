"""Which sentences are extracted again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ta_checks.rules.vectors.fresh_vectors import sample
from ta_resources.storage.artifacts import Activations

SENTENCES = {problem_id: 1 + 3 * problem_id for problem_id in range(20)}


def activations(digest: str = "a") -> Activations:
    """Twenty problems of 1 to 58 sentences; problem 7 has the fewest tokens."""
    rows = [(problem_id, index) for problem_id, count in SENTENCES.items() for index in range(count)]
    shards = {str(problem_id): {"0": {"file": f"{problem_id}", "sha256": digest}} for problem_id in SENTENCES}
    tokens = {str(problem_id): 100 + 7 * abs(problem_id - 7) for problem_id in SENTENCES}
    spans = pd.DataFrame(rows, columns=pd.Index(["problem_id", "chunk_idx"]))
    return Activations(spans, {"block": 0, "shards": shards, "tokens": tokens})


def test_every_problem_is_read_the_shortest_and_two_more_to_their_end() -> None:
    found = sample(activations())
    assert sorted([*found.whole, *found.prefixes]) == sorted(SENTENCES)
    assert len(found.whole) == 3
    assert found.sentences(7) == tuple(range(SENTENCES[7]))
    for problem_id, rows in found.whole.items():
        assert set(rows) <= set(range(SENTENCES[problem_id]))
        assert problem_id == 7 or len(rows) == min(20, SENTENCES[problem_id])
    for problem_id, n in found.prefixes.items():
        assert min(2, SENTENCES[problem_id]) <= n <= max(2, SENTENCES[problem_id] // 4)
        assert found.sentences(problem_id) == tuple(range(n))


def test_other_vectors_give_another_sample_and_the_same_ones_the_same() -> None:
    assert sample(activations()) == sample(activations())
    samples = [sample(activations(digest)) for digest in "abcdefgh"]
    assert len({tuple(one.whole) for one in samples}) > 4
    assert len({one.prefixes[19] for one in samples if 19 in one.prefixes}) > 3


def test_one_problem_of_one_sentence_is_read_whole() -> None:
    one = activations()
    spans = one.spans.take(np.flatnonzero(one.spans["problem_id"] == 0))
    found = sample(Activations(spans, {"block": 0, "shards": {"0": one.record["shards"]["0"]}, "tokens": {"0": 3}}))
    assert (found.whole, found.prefixes) == ({0: (0,)}, {})
