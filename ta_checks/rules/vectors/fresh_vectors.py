"""Vectors computed again from the texts, beside the stored ones: of which sentences, and reading both.

The models are causal: the vectors of the first sentences do not depend on what follows them, so of most problems only
the beginning is read. Stays out: how much may differ (``activations_match_text``), the language model itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ta_assets.core.values import PooledProblem, Skip, VerticalScores, Wanted
from ta_checks.evidence import Evidence
from ta_resources.language_model.extractor import Extractor
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import read_shard

WHOLE_PROBLEMS = 2
"""Number of problems that are read to their end beside the shortest one."""
VERTICAL_SCORE = "vertical_score"
SAMPLED_SENTENCES = 20
"""Sentences that are compared in each of these."""
PREFIX_SHARE = 4
"""Every other problem is read for its first sentences: at least two (one row alone may stay in its place when rows are
shuffled) and at most one in so many of all."""
LATE_SHARE = 8
"""One in so many of these, drawn anew by every extraction, is read for all sentences: else late rows of a problem
that was taken from the store would never be looked at."""


class Compared(NamedTuple):
    """One stored row and the same one computed again."""

    key: str
    """What the row is, for the offenders."""
    stored: np.ndarray
    """One row of a sentence (and block): [d_model] in the storage dtype, or [n_tokens, d_model] of all its tokens,
    whose norm is then over all of them."""
    fresh: np.ndarray | None
    """The same from the same text, computed now; None when that is not possible, and the key says why."""


@dataclass(frozen=True)
class Sample:
    """Which sentences of which problem are computed again."""

    whole: Mapping[int, tuple[int, ...]]
    """Problem id -> sentences that are compared; the text is read to its end, with vertical attention if it is on."""
    prefixes: Mapping[int, int]
    """Every other problem's id -> how many of its first sentences are read and compared."""

    def sentences(self, problem_id: int) -> tuple[int, ...]:
        """Indices of the sentences of a problem that are compared."""
        return self.whole[problem_id] if problem_id in self.whole else tuple(range(self.prefixes[problem_id]))


def sample(activations: Activations) -> Sample:
    """The sentences to compare, drawn by the content: other vectors give another sample, the same ones the same."""
    # the draw is seeded by all hashes, so what is left out is not the same with every model, corpus and extraction
    chooser = random.Random(json.dumps(activations.record, sort_keys=True))
    tokens = {int(problem_id): n for problem_id, n in activations.record["tokens"].items()}
    counts = activations.spans.groupby("problem_id").size().to_dict()
    ids = sorted(activations.shards)
    shortest = min(ids, key=lambda problem_id: (tokens[problem_id], problem_id))
    others = [problem_id for problem_id in ids if problem_id != shortest]
    whole = {shortest: tuple(range(counts[shortest]))}
    for problem_id in chooser.sample(others, min(WHOLE_PROBLEMS, len(others))):
        n_rows = min(SAMPLED_SENTENCES, counts[problem_id])
        whole[problem_id] = tuple(sorted(chooser.sample(range(counts[problem_id]), n_rows)))
    prefixes = {}
    for problem_id in ids:
        if problem_id not in whole:
            fewest = min(2, counts[problem_id])
            first = chooser.randint(fewest, max(fewest, counts[problem_id] // PREFIX_SHARE))
            prefixes[problem_id] = first if chooser.randrange(LATE_SHARE) else counts[problem_id]
    return Sample(whole, prefixes)


def compared(evidence: Evidence, chosen: Sample, differs: Callable[[Compared], bool]) -> Iterator[Compared]:
    """Stored and fresh rows of the chosen sentences at every block, one problem after the other.

    Where the beginning of a text gives other rows than the stored ones, the text is read to its end: only then is it
    the computation that the stored rows come from. When that does not mend the first such problem, the
    beginning is not what is wrong, and the other ones are left as they are.

    Args:
        evidence: of the activations.
        chosen: which sentences.
        differs: whether a row differs by more than rounding explains.
    """
    with evidence.world.language_model.open(evidence.study.extraction_spec(evidence.partition)) as extractor:
        whole = Wanted(extractor.blocks, vertical=extractor.vertical is not None)
        wanted = {
            **dict.fromkeys(chosen.whole, whole),
            **{one: Wanted(extractor.blocks, sentences=n) for one, n in chosen.prefixes.items()},
        }
        doubtful: dict[int, list[Compared]] = {}
        for problem_id, rows in _fresh(evidence, extractor, chosen, wanted):
            far = any(map(differs, rows))
            if problem_id in doubtful or (problem_id in chosen.prefixes and far):
                doubtful[problem_id] = doubtful.get(problem_id, []) + rows
            else:
                yield from rows
        mended = False
        for problem_id in list(doubtful):
            again = _fresh(evidence, extractor, chosen, {problem_id: Wanted(extractor.blocks)})
            doubtful[problem_id] = [row for _, rows in again for row in rows]
            far = any(map(differs, doubtful[problem_id]))
            mended = mended or not far
            if not mended:
                break
    for rows in doubtful.values():
        yield from rows


def _fresh(
    evidence: Evidence, extractor: Extractor, chosen: Sample, wanted: Mapping[int, Wanted]
) -> Iterator[tuple[int, list[Compared]]]:
    """Each problem's id with its rows at one block, or with its vertical scores, or with why there are none."""
    activations: Activations = evidence.value
    source = evidence.world.source(evidence.partition)
    shards = {block: activations.shards_of(block) for block in extractor.blocks}
    problems = evidence.world.rollouts.load_problems(source, sorted(wanted))
    texts = ((problem.problem_id, problem.trace_text, problem.sentences) for problem in problems)
    for result in extractor.extract(texts, wanted=wanted, log=lambda _: None):
        what = f"problem {result.problem_id}"
        if isinstance(result, Skip):
            key = f"{what} was stored but cannot be extracted now ({result.kind}: {result.reason})"
            yield result.problem_id, [Compared(key, np.zeros(0), None)]
        elif isinstance(result, VerticalScores):
            scores = activations.spans.loc[activations.spans["problem_id"] == result.problem_id, VERTICAL_SCORE]
            yield result.problem_id, [Compared(f"{what}, vertical attention", scores.to_numpy(), result.scores)]
        else:
            one = read_shard(evidence.world.store.files, shards[result.block][result.problem_id])
            yield result.problem_id, list(_rows(one, result, chosen))


def _rows(stored: PooledProblem, fresh: PooledProblem, chosen: Sample) -> Iterator[Compared]:
    what = f"problem {fresh.problem_id}, block {fresh.block}"
    n = chosen.prefixes.get(fresh.problem_id)
    if not np.array_equal(stored.token_spans[:n], fresh.token_spans[:n]):
        yield Compared(f"{what}: other token spans than stored", stored.vectors, None)
        return
    for row in chosen.sentences(fresh.problem_id):
        key = f"problem {fresh.problem_id}, sentence {row}, block {fresh.block}"
        yield Compared(key, stored.of_sentence(row), fresh.of_sentence(row))
