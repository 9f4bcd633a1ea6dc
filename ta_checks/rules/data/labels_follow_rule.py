"""The labelled sentences are what the study's rule makes of the dataset, in every problem.

The label rule is written a second time here. Stays out: whether the numbers of the dataset are right
(``labels_recomputable`` asks the rollouts of one problem).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

POSITION_TOLERANCE = 1e-6
"""Relative positions are stored in float32."""


@dataclass(frozen=True)
class SourceProblem:
    """One problem as the dataset has it, without its last sentence where the study drops that."""

    problem_id: int
    texts: Sequence[str]
    importances: Sequence[float]


def read(evidence: Evidence) -> dict[str, Any]:
    """The labelled sentences of every problem of the corpus' settings against the dataset."""
    study = evidence.study
    rule, wanted = study.labels, evidence.problems_of_corpus()

    def problems() -> Iterator[SourceProblem]:
        for _, problem in evidence.world.rollouts.read_problems(evidence.world.source(evidence.partition), wanted):
            if isinstance(problem, InputError):
                continue  # skipped, which another check says: no row of it may be in the table
            spoken = [problem.chunks[position] for position in problem.spoken]
            kept = spoken[:-1] if rule.drop_last_chunk and len(spoken) > 1 else spoken
            found = [chunk.get(rule.field) for chunk in kept]
            if rule.missing == "error" and None in found:
                continue
            values = [float(value or 0.0) for value in found]
            yield SourceProblem(problem.problem_id, [chunk["chunk"] for chunk in kept], values)

    return {"table": evidence.value, "problems": problems(), "percentile": rule.anchor_percentile}


def labels_follow_rule(table: pd.DataFrame, problems: Iterable[SourceProblem], percentile: float) -> Verdict:
    """Fail on a problem whose rows are absent or differ from the dataset in any column that is derived from it.

    Args:
        table: labelled sentences, columns as ``ta_assets.core.traces.labels.LABEL_DTYPES``.
        problems: of the whole corpus.
        percentile: in (0, 100), of the absolute importances of a trace; anchors reach it.
    """
    faults, n, known = [], 0, set()
    for problem in problems:
        rows = table.take(np.flatnonzero(table["problem_id"] == problem.problem_id))
        faults += [f"problem {problem.problem_id}: {fault}" for fault in _faults(rows, problem, percentile)]
        n += len(problem.texts)
        known.add(problem.problem_id)
    faults += [f"problem {one}: not one of the corpus" for one in sorted(set(table["problem_id"]) - known)]
    message = f"{n} sentences of {len(known)} problems labelled again, {len(faults)} faults"
    return Verdict.no_faults(faults, n=n, message=message)


ROW = Invariant(
    "labels_follow_rule",
    "sentences",
    read,
    labels_follow_rule,
    "The labelled sentences of a problem are not what the study's rule makes of the dataset: shifted, of another "
    "problem, with another sign or percentile. Materialize sentences; if it stays red, the label rule is wrong.",
    blocking=True,
)


def _faults(rows: pd.DataFrame, problem: SourceProblem, percentile: float) -> list[str]:
    n = len(problem.texts)
    if rows["chunk_idx"].tolist() != list(range(n)):
        return [f"{len(rows)} labelled sentences, or in another order, expected 0 to {n - 1}"]
    sizes = [abs(value) for value in problem.importances]
    expected = {
        "num_chunks": [n] * n,
        "chunk_text": list(problem.texts),
        "counterfactual_raw": list(problem.importances),
        "importance_signed": list(problem.importances),
        "importance_score": sizes,
        "anchor": _anchors(sizes, percentile),
    }
    faults = []
    for column, values in expected.items():
        wrong = [index for index, (a, b) in enumerate(zip(rows[column], values, strict=True)) if a != b]
        if wrong:
            first = wrong[0]
            found = rows[column].iloc[first]
            faults.append(f"{column} of {len(wrong)} sentences, such as {first}: {found!r}, expected {values[first]!r}")
    positions = np.arange(n) / max(n - 1, 1)
    if not np.allclose(rows["relative_position"], positions, rtol=0, atol=POSITION_TOLERANCE):
        faults.append("relative_position is not index / (sentences - 1)")
    return faults


def _anchors(sizes: Sequence[float], percentile: float) -> list[int]:
    """[n] 1 for a size above zero that reaches the percentile (linear between neighbours in order), else 0."""
    ordered = sorted(sizes)
    place = (len(ordered) - 1) * (percentile / 100)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    threshold = below + (above - below) * (place - math.floor(place))
    return [int(size > 0 and size >= threshold) for size in sizes]
