"""No two problems of a corpus are one and the same, or traces of one question.

Stays out: which problems a setting has (``problems_as_asked``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

WORD = re.compile(r"\w+")
SHINGLE = 5
"""Words in a row that are compared."""
ALIKE = 0.8
"""Share of all shingles of two traces that both have, from which they are one trace."""
STATEMENT = "problem"
"""Key of ``problem.json`` with the question."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The question and the trace of every problem of the corpus."""
    source = evidence.world.source(evidence.partition)
    found = evidence.world.rollouts.read_problems(source, evidence.problems_of_corpus())
    problems = [problem for _, problem in found if isinstance(problem, Problem)]  # another check names the others
    return {
        "problem_ids": [problem.problem_id for problem in problems],
        "questions": [str(problem.statement.get(STATEMENT) or "") for problem in problems],
        "traces": [" ".join(problem.sentences) for problem in problems],
    }


def problems_are_distinct(problem_ids: Sequence[int], questions: Sequence[str], traces: Sequence[str]) -> Verdict:
    """Fail on problems with the same question, and on those with nearly the same trace.

    Every p-value takes problems to be independent. Of twins one is trained on when the other is tested, so noise that
    is learned looks like an effect.

    Args:
        problem_ids: [n_problems].
        questions: [n_problems] text; where it is empty only traces are compared.
        traces: [n_problems] text.
    """
    offenders: dict[tuple[int, int], str] = {}
    first: dict[str, int] = {}
    for problem_id, question in zip(problem_ids, questions, strict=True):
        words = " ".join(WORD.findall(question.lower()))
        if words and words in first:
            offenders[first[words], problem_id] = "the same question"
        first.setdefault(words, problem_id)
    share = _shared([_shingles(trace) for trace in traces])
    for i, j in zip(*np.nonzero(np.triu(share >= ALIKE, k=1)), strict=True):
        offenders.setdefault((problem_ids[i], problem_ids[j]), f"traces alike by {share[i, j]:.0%}")
    n = len(problem_ids)
    return Verdict.judge(
        len(offenders),
        "==",
        0,
        unit="pairs",
        n=n * (n - 1) // 2,
        offenders=[f"problems {one} and {other}: {why}" for (one, other), why in sorted(offenders.items())],
        message=f"{len(offenders)} pairs of {n} problems are not two problems",
    )


ROW = Invariant(
    "problems_are_distinct",
    "sentences",
    read,
    problems_are_distinct,
    "Two problems have the same question or nearly the same trace, so they are no two pieces of evidence: no p-value "
    "and no interval of this corpus holds. Keep one of each in the data.",
)


def _shingles(text: str) -> set[tuple[str, ...]]:
    """Runs of ``SHINGLE`` words, numbers included; of a shorter text the text itself."""
    words = WORD.findall(text.lower())
    return {tuple(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))} if words else set()


def _shared(sets: Iterable[set[tuple[str, ...]]]) -> np.ndarray:
    """[n, n] float64: size of the intersection by that of the union; 0 where both are empty."""
    from scipy.sparse import csr_matrix

    sets = list(sets)
    column = {shingle: at for at, shingle in enumerate(sorted(set().union(*sets)))}
    rows = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    columns = np.array([column[shingle] for one in sets for shingle in sorted(one)], dtype=np.int64)
    table = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(sets), max(len(column), 1)))
    both = np.asarray((table @ table.T).todense())
    sizes = both.diagonal()
    return both / np.maximum(sizes[:, None] + sizes - both, 1)
