"""Rule: the stored vectors of a corpus are vectors: finite, of one width and type, and not the same over and over.

Belongs here: this rule. Stays out: whether they are those of their text (``activations_match_text``), reading, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ta_assets.core.values import PooledProblem
from ta_checks.verdict import Verdict


@dataclass(frozen=True)
class Expected:
    """What the index of a corpus says of all its vectors."""

    d_model: int
    dtype: str
    """float16 or float32."""


def vectors_are_sound(problems: Iterable[PooledProblem], expected: Expected) -> Verdict:
    """Fail on vectors that are not finite, of another width or type, too few or many, zero, or equal to another.

    Two sentences of a trace never have the same vector, since each has its own tokens before it; only sentences that
    share their token span may.

    Args:
        problems: stored problems, one (and one block) at a time.
        expected: of all of them.
    """
    offenders, n = [], 0
    for one in problems:
        n += len(one.vectors)
        offenders += [f"problem {one.problem_id}, block {one.block}: {fault}" for fault in _faults(one, expected)]
    if not n:
        return Verdict.failed("there are no vectors")
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=n, offenders=offenders,
        message=f"{n} stored vectors, {len(offenders)} faults",
    )  # fmt: skip


def _faults(one: PooledProblem, expected: Expected) -> list[str]:
    vectors, spans = one.vectors, one.token_spans
    n_rows = len(spans) if one.offsets is None else int(one.offsets[-1])
    if vectors.shape != (n_rows, expected.d_model):
        return [f"shape {vectors.shape}, expected ({n_rows}, {expected.d_model})"]
    faults = []
    if vectors.dtype.name != expected.dtype:
        faults.append(f"stored as {vectors.dtype.name}, expected {expected.dtype}")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        faults.append(f"NaN or infinity in {len(bad)} rows, such as {bad[0]}")
    zero = np.flatnonzero(~vectors.any(axis=1))
    if len(zero):
        faults.append(f"{len(zero)} rows are zero, such as {zero[0]}")
    if one.offsets is None:
        faults += _twins(vectors, spans)
    return faults


def _twins(vectors: np.ndarray, spans: np.ndarray) -> list[str]:
    first: dict[bytes, int] = {}
    pairs = []
    for index, row in enumerate(vectors):
        other = first.setdefault(row.tobytes(), index)
        if other != index and tuple(spans[other]) != tuple(spans[index]):
            pairs.append((other, index))
    return [f"{len(pairs)} rows equal an earlier one, such as {pairs[0][1]} and {pairs[0][0]}"] if pairs else []
