"""Rule: the labelled sentences are what the study's rule makes of the dataset, in every problem.

Belongs here: this rule, with the label rule written a second time. Stays out: reading the dataset, whether its own
numbers are right (``labels_recomputable`` asks the rollouts of one problem), Dagster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ta_checks.verdict import Verdict

POSITION_TOLERANCE = 1e-6
"""Relative positions are stored in float32."""


@dataclass(frozen=True)
class SourceProblem:
    """What the dataset says of one problem, its last sentence left out where the study drops it."""

    problem_id: int
    texts: Sequence[str]
    importances: Sequence[float]


def labels_follow_rule(table: pd.DataFrame, problems: Iterable[SourceProblem], percentile: float) -> Verdict:
    """Fail on a problem whose rows are absent or differ from the dataset in any column that is derived from it.

    Args:
        table: labelled sentences, columns as ``ta_assets.core.traces.labels.LABEL_DTYPES``.
        problems: of the whole corpus.
        percentile: what an anchor's absolute importance must reach within its trace, in (0, 100).
    """
    offenders, n, known = [], 0, set()
    for problem in problems:
        rows = table.take(np.flatnonzero(table["problem_id"] == problem.problem_id))
        offenders += [f"problem {problem.problem_id}: {fault}" for fault in _faults(rows, problem, percentile)]
        n += len(problem.texts)
        known.add(problem.problem_id)
    offenders += [f"problem {one}: not one of the corpus" for one in sorted(set(table["problem_id"]) - known)]
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=n, offenders=offenders,
        message=f"{n} sentences of {len(known)} problems labelled again, {len(offenders)} faults",
    )  # fmt: skip


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
    """1 for a size above zero that reaches the percentile (linear between neighbours in order)."""
    ordered = sorted(sizes)
    place = (len(ordered) - 1) * (percentile / 100)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    threshold = below + (above - below) * (place - math.floor(place))
    return [int(size > 0 and size >= threshold) for size in sizes]
