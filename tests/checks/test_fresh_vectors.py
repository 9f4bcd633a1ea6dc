"""Which sentences are extracted again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.values import PooledProblem, Problem, Wanted
from ta_checks.rules.vectors import fresh_vectors
from ta_checks.rules.vectors.activations_match_text import activations_match_text, relative_difference
from ta_checks.rules.vectors.fresh_vectors import sample
from ta_checks.verdict import Verdict
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
        short = min(2, SENTENCES[problem_id]) <= n <= max(2, SENTENCES[problem_id] // 4)
        assert short or n == SENTENCES[problem_id]
        assert found.sentences(problem_id) == tuple(range(n))


def test_over_several_extractions_the_last_sentence_of_every_problem_is_read() -> None:
    read = [sample(activations(str(number))).prefixes for number in range(60)]
    late = [{one for one, n in prefixes.items() if n == SENTENCES[one]} for prefixes in read]
    assert set().union(*late) == set(SENTENCES) - {7}, "problem 7 is the shortest, and always read"
    assert 0 < sum(map(len, late)) / sum(map(len, read)) < 0.35, "the short problems have no late sentences"


def test_other_vectors_give_another_sample_and_the_same_ones_the_same() -> None:
    assert sample(activations()) == sample(activations())
    samples = [sample(activations(digest)) for digest in "abcdefgh"]
    assert len({tuple(one.whole) for one in samples}) > 4
    assert len({one.prefixes[19] for one in samples if 19 in one.prefixes}) > 3


class LengthDependent:
    """An extractor whose vectors depend on how much of a text is read, or on nothing."""

    blocks, vertical = (0,), None

    def __init__(self, *, depends: bool, wrong: Sequence[int] = ()) -> None:
        self.depends, self.wrong = depends, wrong
        self.read: list[tuple[int, bool]] = []

    def extract(self, texts: Iterable[Any], *, wanted: Mapping[int, Wanted], log: Any) -> Iterator[PooledProblem]:
        for problem_id, text, sentences in texts:
            n = wanted[problem_id].sentences
            self.read.append((problem_id, n is None))
            yield pooled(problem_id, sentences[:n], scale=1 + self.depends * (n is not None), text=text)


def pooled(problem_id: int, sentences: Sequence[str], *, scale: float, text: str = "") -> PooledProblem:
    rows = np.random.default_rng(problem_id).normal(size=(40, 8))[: len(sentences)] * scale
    spans = np.stack([np.arange(len(sentences)), np.arange(len(sentences)) + 1], axis=1)
    return PooledProblem(problem_id, 0, rows.astype(np.float32), spans, len(sentences), text)


def judged(
    extractor: LengthDependent, monkeypatch: pytest.MonkeyPatch, prefixes: Mapping[int, int], whole: Mapping[int, Any]
) -> Verdict:
    problems = {one: Problem(one, "x", {}, {}, tuple({"chunk": f"Part {i}."} for i in range(12))) for one in range(9)}

    def stored(_base: Path, shard: int) -> PooledProblem:
        scale = 3.0 if shard in extractor.wrong else 1.0
        return pooled(shard, problems[shard].sentences, scale=scale)

    monkeypatch.setattr(fresh_vectors, "read_shard", stored)
    world = SimpleNamespace(
        language_model=SimpleNamespace(open=lambda _: nullcontext(extractor)),
        rollouts=SimpleNamespace(load_problems=lambda _, ids: (problems[one] for one in ids)),
        store=SimpleNamespace(files=None),
        source=lambda _: None,
    )
    study = SimpleNamespace(extraction_spec=lambda _: None)
    value = SimpleNamespace(shards_of=lambda _: {one: one for one in problems})
    evidence = cast("Any", SimpleNamespace(value=value, world=world, study=study, partition="corpus"))

    def differs(row: fresh_vectors.Compared) -> bool:
        return relative_difference(row.stored, row.fresh) > 1e-3

    rows = fresh_vectors.compared(evidence, fresh_vectors.Sample(whole, prefixes), differs)
    return activations_match_text(rows, storage_dtype="float32", compute_dtype="float32")


def test_a_beginning_that_is_another_computation_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = LengthDependent(depends=True)
    assert judged(extractor, monkeypatch, {1: 3, 2: 4}, {0: (0, 5)}).passed
    assert extractor.read == [(0, True), (1, False), (2, False), (1, True), (2, True)]


def test_a_problem_that_is_wrong_to_its_end_is_red_and_reads_no_other_one_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extractor = LengthDependent(depends=False, wrong=(1, 2))
    verdict = judged(extractor, monkeypatch, {1: 3, 2: 4, 3: 2}, {0: (0, 5)})
    assert (verdict.status, len(verdict.offenders), verdict.n) == ("failed", 7, 11)
    assert extractor.read == [(0, True), (1, False), (2, False), (3, False), (1, True)]


def test_among_beginnings_that_are_another_computation_a_wrong_problem_alone_is_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdict = judged(LengthDependent(depends=True, wrong=(2,)), monkeypatch, {1: 3, 2: 4, 3: 2}, {0: (0, 5)})
    assert (verdict.status, len(verdict.offenders)) == ("failed", 4)
    assert all("problem 2" in offender for offender in verdict.offenders)


def test_one_problem_of_one_sentence_is_read_whole() -> None:
    one = activations()
    spans = one.spans.take(np.flatnonzero(one.spans["problem_id"] == 0))
    found = sample(Activations(spans, {"block": 0, "shards": {"0": one.record["shards"]["0"]}, "tokens": {"0": 3}}))
    assert (found.whole, found.prefixes) == ({0: (0,)}, {})
