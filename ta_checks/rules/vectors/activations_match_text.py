"""Stored vectors are those of their sentences, by the model and block that they name.

Belongs here: comparing stored with fresh vectors, and how much they may differ. Stays out: which sentences are
extracted again, and how (``fresh_vectors``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.vectors.fresh_vectors import Compared, compared, sample
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations

STORAGE_ROUNDING: Mapping[str, float] = {"float32": 2.0**-24, "float16": 2.0**-11}
"""Largest relative error of rounding to the storage dtype: half of the spacing of its numbers.
Measured on SmolLM2 with float16: at most 3.0e-4 of a row's norm."""

COMPUTE_DRIFT: Mapping[str, float] = {"float32": 1e-3, "float16": 5e-3, "bfloat16": 2e-2, "auto": 2e-2}
"""Largest relative change by another batch, device or kernel. An upper bound is what another dtype changes: SmolLM2,
block 15, against float32, largest of 59 rows: float16 1.1e-3, bfloat16 8.4e-3; about twice that for deeper models.
``auto`` may have been any. The faults lie above all of them: the block below .21 to .33, two different sentences of a
problem .042 or more (median .45), the largest row .18 when spans are off by one token and .026 when 1 % noise is on the
weights."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Stored vectors against fresh ones at every block: the beginning of every problem, and some problems whole."""
    activations: Activations = evidence.value
    stored = evidence.study.extraction_spec(evidence.partition).storage_dtype
    computed = activations.record["extraction"]["dtype"]
    tolerance = tolerance_of(stored, computed)

    def differs(row: Compared) -> bool:
        return relative_difference(row.stored, row.fresh) > tolerance

    rows = compared(evidence, sample(activations), differs) if activations.shards else None
    return {"rows": rows, "storage_dtype": stored, "compute_dtype": computed}


def activations_match_text(
    rows: Iterable[Compared] | None, *, storage_dtype: str, compute_dtype: str = "auto"
) -> Verdict:
    """Fail when any stored row differs from its fresh one by more than rounding can explain.

    The difference of a row is ||stored - fresh|| / ||fresh||, in float64; NaN, another shape and a row that cannot be
    computed again count as infinitely far.

    Args:
        rows: read once, one at a time: nothing is kept of them but their difference. None without an extracted problem.
        storage_dtype: float16 or float32.
        compute_dtype: float32, float16 or bfloat16 when both extractions are known to have used it; else ``auto``.

    Raises:
        ValueError: unknown dtype.
    """
    if rows is None:
        return Verdict.skipped("no problem was extracted")
    tolerance = tolerance_of(storage_dtype, compute_dtype)
    differences = [(row.key, relative_difference(row.stored, row.fresh)) for row in rows]
    if not differences:
        return Verdict.failed("no sentence was compared")
    wrong = sorted((pair for pair in differences if pair[1] > tolerance), key=lambda pair: -pair[1])
    message = f"{len(wrong)} of {len(differences)} stored vectors are not those of their text now"
    if wrong:
        message += ": rows in another order, of another problem, block, model, text or span"
    return Verdict.judge(
        max(difference for _, difference in differences),
        "<=",
        tolerance,
        unit="relative difference",
        n=len(differences),
        offenders=[f"{key}: {difference:.2g}" for key, difference in wrong],
        message=message,
        details={"median_difference": np.median([difference for _, difference in differences])},
    )


ROW = Invariant(
    "activations_match_text",
    "activations",
    read,
    activations_match_text,
    "Vectors computed afresh differ from the stored ones: rows shuffled, another problem, another block or another "
    "model. Materialize activations with reuse turned off. Compared are the first sentences of every problem (two "
    "to a fourth of them), three problems and one in eight of the others to their end; the stored vectors decide "
    "which. Where texts are short, that takes nearly as long as the extraction itself.",
    blocking=True,
    uses_model=True,
)


def tolerance_of(storage_dtype: str, compute_dtype: str = "auto") -> float:
    """Largest relative difference of a row that rounding can explain.

    Raises:
        ValueError: unknown dtype.
    """
    if storage_dtype not in STORAGE_ROUNDING or compute_dtype not in COMPUTE_DRIFT:
        known = f"{', '.join(STORAGE_ROUNDING)} stored; {', '.join(COMPUTE_DRIFT)} computed"
        raise ValueError(f"unknown dtype {storage_dtype!r} stored or {compute_dtype!r} computed, expected {known}")
    return STORAGE_ROUNDING[storage_dtype] + COMPUTE_DRIFT[compute_dtype]


def relative_difference(stored: np.ndarray, fresh: np.ndarray | None) -> float:
    """Distance of two rows over the fresh one's norm, float64; infinite if undefined."""
    if fresh is None or stored.shape != fresh.shape:
        return np.inf
    wide, norm = fresh.astype(np.float64), np.linalg.norm(fresh.astype(np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.linalg.norm(stored.astype(np.float64) - wide)
    if distance == 0:
        return 0.0
    return float(distance / norm) if norm > 0 and np.isfinite(distance) else np.inf
