"""The sentences that the checks on probes look at.

Belongs here: a frozen value whose parts fit together. Stays out: how it is read (``Evidence.labelled_vectors``), what
is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelledVectors:
    """The sentences of one setting with their activations, labels and parts of the split, row by row.

    Raises:
        ValueError: lengths differ, a mask is not boolean, a label is neither 0 nor 1, or a target is not finite; all
            faults at once.
    """

    vectors: np.ndarray
    """[n_sentences, d_model] float."""
    anchors: np.ndarray
    """[n_sentences] int: 1 for an anchor, else 0."""
    problems: np.ndarray
    """[n_sentences] int64: problem id of each row."""
    train: np.ndarray
    """[n_sentences] bool."""
    test: np.ndarray
    """[n_sentences] bool."""
    importance: np.ndarray | None = None
    """[n_sentences] float, the labels of probes of a continuous target; None when they were fitted on anchors."""

    @property
    def target(self) -> np.ndarray:
        """[n_sentences] labels that probes predict: int64 anchors, or float64 importance."""
        return self.anchors.astype(np.int64) if self.importance is None else self.importance.astype(np.float64)

    def __post_init__(self) -> None:
        n = len(self.vectors)
        faults = []
        if self.vectors.ndim != 2:
            faults.append(f"vectors have shape {self.vectors.shape}, expected [n_sentences, d_model]")
        for name in ("anchors", "problems", "train", "test"):
            shape = getattr(self, name).shape
            if shape != (n,):
                faults.append(f"{name} has shape {shape}, expected ({n},)")
        faults += [
            f"{name} is {getattr(self, name).dtype}, expected bool"
            for name in ("train", "test")
            if getattr(self, name).dtype != bool
        ]
        if self.importance is not None:
            if self.importance.shape != (n,):
                faults.append(f"importance has shape {self.importance.shape}, expected ({n},)")
            if not np.isfinite(self.importance).all():
                faults.append("importance holds NaN or infinity")
        if not np.isin(self.anchors, (0, 1)).all():
            faults.append("anchors hold values other than 0 and 1")
        if faults:
            raise ValueError("; ".join(faults))
