"""Rule: stored vectors are those of their sentences, by the model and block that they name.

Belongs here: comparing stored with fresh vectors, and how much they may differ. Stays out: which sentences are
extracted again, the language model, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ta_checks.verdict import Verdict

STORAGE_ROUNDING: Mapping[str, float] = {"float32": 2.0**-24, "float16": 2.0**-11}
"""Largest relative error of rounding to the storage dtype: half of the spacing of its numbers.
Measured on SmolLM2 with float16: at most 3.0e-4 of a row's norm."""

COMPUTE_DRIFT: Mapping[str, float] = {"float32": 1e-3, "float16": 5e-3, "bfloat16": 2e-2, "auto": 2e-2}
"""What another batch, device or kernel may change. An upper bound is what another dtype changes: SmolLM2, block 15,
against float32, largest of 59 rows: float16 1.1e-3, bfloat16 8.4e-3; about twice that for deeper models. ``auto`` may
have been any. The faults lie above all of them: the block below .21 to .33, two different sentences of a problem .042
or more (median .45), the largest row .18 when spans are off by one token and .026 when 1 % noise is on the weights."""


def activations_match_text(
    stored: Sequence[np.ndarray],
    fresh: Sequence[np.ndarray],
    keys: Sequence[str],
    *,
    storage_dtype: str,
    compute_dtype: str = "auto",
) -> Verdict:
    """Fail when any stored row differs from its fresh one by more than rounding can explain.

    The difference of a row is ||stored - fresh|| / ||fresh||, in float64; NaN counts as infinitely far.

    Args:
        stored: one row a sentence (and block): [d_model] in the storage dtype, or [n_tokens, d_model] of all its
            tokens, whose norm is then over all of them.
        fresh: the same from the same texts, extracted now.
        keys: what each row is, for the offenders.
        storage_dtype: float16 or float32.
        compute_dtype: float32, float16 or bfloat16 when both extractions are known to have used it; else ``auto``.

    Raises:
        ValueError: unknown dtype.
    """
    if storage_dtype not in STORAGE_ROUNDING or compute_dtype not in COMPUTE_DRIFT:
        known = f"{', '.join(STORAGE_ROUNDING)} stored; {', '.join(COMPUTE_DRIFT)} computed"
        raise ValueError(f"unknown dtype {storage_dtype!r} stored or {compute_dtype!r} computed, expected {known}")
    tolerance = STORAGE_ROUNDING[storage_dtype] + COMPUTE_DRIFT[compute_dtype]
    if not len(stored):
        return Verdict.failed("no sentence was compared")
    if not len(stored) == len(fresh) == len(keys) or [row.shape for row in stored] != [row.shape for row in fresh]:
        shapes = f"stored {_shapes(stored)}, fresh {_shapes(fresh)}, {len(keys)} keys"
        return Verdict.failed(f"stored and fresh vectors do not have the same shape: {shapes}", n=len(stored))
    differences = relative_differences(stored, fresh)
    wrong = np.flatnonzero(differences > tolerance)
    worst_first = wrong[np.argsort(-differences[wrong], kind="stable")]
    message = f"{len(wrong)} of {len(stored)} stored vectors are not those of their text now"
    if len(wrong):
        message += ": rows in another order, of another problem, block, model or text"
    return Verdict.judge(
        differences.max(),
        "<=",
        tolerance,
        unit="relative difference",
        n=len(stored),
        offenders=[f"{keys[row]}: {differences[row]:.2g}" for row in worst_first],
        message=message,
        details={"median_difference": np.median(differences)},
    )


def relative_differences(stored: Sequence[np.ndarray], fresh: Sequence[np.ndarray]) -> np.ndarray:
    """[n_rows] float64: distance of each pair of rows over the fresh row's norm; infinite if undefined."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        flat = ([row.astype(np.float64).ravel() for row in rows] for rows in (stored, fresh))
        pairs = list(zip(*flat, strict=True))
        distance = np.array([np.linalg.norm(a - b) for a, b in pairs])
        relative = np.where(distance == 0, 0.0, distance / np.array([np.linalg.norm(b) for _, b in pairs]))
    return np.where(np.isnan(relative), np.inf, relative)


def _shapes(rows: Sequence[np.ndarray]) -> str:
    return f"{len(rows)} rows of {', '.join(str(shape) for shape in sorted({row.shape for row in rows}))}"
