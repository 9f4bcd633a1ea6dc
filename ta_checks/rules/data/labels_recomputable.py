"""Rule: the labels of a problem are what its rollouts say.

Belongs here: this rule and its tolerance. Stays out: the formula (``core.traces.label_recomputation``), reading
(``label_evidence``), Dagster.

The predecessor checked one label and trained on another; on the other its formula would have refused 22 of 40 right
problems, with a bound far above any rounding (SCIENCE.md, W18).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_checks.verdict import Verdict

TOLERANCE = 1e-9
"""Differences of shares of a hundred rollouts, in float64: what is larger is no rounding."""


@dataclass(frozen=True)
class StoredLabels:
    """One stored column beside what the rollouts give.

    Raises:
        ValueError: the two have other lengths.
    """

    name: str
    stored: np.ndarray
    """[n_sentences] float64; NaN where nothing, or nothing that is a number, is stored."""
    recomputed: np.ndarray
    """[n_sentences] float64."""

    def __post_init__(self) -> None:
        if self.stored.shape != self.recomputed.shape or self.stored.ndim != 1:
            raise ValueError(f"{self.name}: {self.stored.shape} stored, {self.recomputed.shape} recomputed")


def labels_recomputable(
    columns: Sequence[StoredLabels], *, required: Sequence[str], details: Mapping[str, Any] | None = None
) -> Verdict:
    """Fail when a stored label differs from the recomputed one, or is missing where others of its column are not.

    A column that holds nothing at all is not compared and is named in the details; a required one fails.

    Args:
        columns: of one problem.
        required: names of the columns on which results rest.
        details: how the labels were recomputed.
    """
    held = [column for column in columns if not np.isnan(column.stored).all()]
    absent = sorted({*required, *(column.name for column in columns)} - {column.name for column in held})
    unverified = [name for name in absent if name in required]
    details = {**(details or {}), "columns": [column.name for column in held], "not_stored": absent}
    if unverified:
        return Verdict(
            status="failed", offenders=tuple(unverified), details=details,
            message=f"nothing is stored under {', '.join(unverified)}, on which the results rest",
        )  # fmt: skip
    differences = {column.name: np.abs(column.stored - column.recomputed) for column in held}
    faults = [
        f"sentence {index}: {column.name} is stored as {column.stored[index]:.6g}, "
        f"rollouts give {column.recomputed[index]:.6g}"
        for column in held
        for index in np.flatnonzero(~(differences[column.name] <= TOLERANCE))
    ]
    every = np.concatenate([*differences.values(), np.zeros(0)])
    details["largest_difference"] = {name: float(np.nanmax(values)) for name, values in differences.items()}
    # a missing one among stored ones is no small difference
    observed = float("inf") if np.isnan(every).any() or not len(every) else float(every.max())
    message = f"{len(every) - len(faults)} of {len(every)} stored numbers are what the rollouts give"
    if faults:
        message += ": labels are of other rollouts, of other sentences, or by another formula"
    return Verdict.judge(
        observed, "<=", TOLERANCE, unit="difference", n=len(every), offenders=faults, message=message, details=details
    )
