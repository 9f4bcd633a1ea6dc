"""The stored vectors of a corpus are vectors: finite, of one width and type, and not the same over and over.

Stays out: whether they are those of their text (``activations_match_text``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.values import PooledProblem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import read_shard


@dataclass(frozen=True)
class Expected:
    """What the index of a corpus says of all its vectors."""

    d_model: int
    dtype: str
    """float16 or float32."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every shard of every block."""
    activations: Activations = evidence.value
    files = evidence.world.store.files
    dtype = evidence.study.extraction_spec(evidence.partition).storage_dtype
    return {
        "problems": (read_shard(files, shard) for shard in activations.files()),
        "expected": Expected(activations.record["d_model"], dtype),
    }


def vectors_are_sound(problems: Iterable[PooledProblem], expected: Expected) -> Verdict:
    """Fail on vectors that are not finite, of another width or type, too few or many, zero, or equal to another.

    Two sentences of a trace never have the same vector, since each has its own tokens before it; only sentences that
    share their token span may.

    Args:
        problems: stored problems, one (and one block) at a time.
        expected: width and type of all of them.
    """
    faults, n = [], 0
    for problem in problems:
        n += len(problem.vectors)
        where = f"problem {problem.problem_id}, block {problem.block}"
        faults += [f"{where}: {fault}" for fault in _faults(problem, expected)]
    if not n:
        return Verdict.failed("there are no vectors")
    return Verdict.no_faults(faults, n=n, message=f"{n} stored vectors, {len(faults)} faults")


ROW = Invariant(
    "vectors_are_sound",
    "activations",
    read,
    vectors_are_sound,
    "Stored vectors are not finite, of another width or type, zero, or the same for several sentences. Materialize "
    "activations with reuse turned off; if it stays red, store float32 or look at the language model.",
    blocking=True,
)


def _faults(problem: PooledProblem, expected: Expected) -> list[str]:
    vectors, spans = problem.vectors, problem.token_spans
    n_rows = len(spans) if problem.offsets is None else int(problem.offsets[-1])
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
    if problem.offsets is None:
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
