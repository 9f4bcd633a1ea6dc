"""What a probe is asked to predict, and which metrics say how well it does.

Belongs here: the three targets, their columns and their metrics. Stays out: fitting (``probes``), residuals of a
target (``residuals``), intervals.

Signs: ``importance_signed`` is the dataset's ``counterfactual_raw`` as it stands, in which a positive number means
that the sentence *lowers* the accuracy. The paper (Bogdan et al. 2025, section 3) counts the other way round: its
importance is positive where a sentence helps. A probe of ``importance_signed`` therefore ranks harmful sentences
first; negate its scores to compare them with the paper's figures. ``importance_abs`` and anchors know no sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ta_assets.core.statistics.metrics import evaluate, spearman_mean

BINARY_METRICS = ("pr_auc", "average_precision", "macro_average_precision", "spearman_mean")


@dataclass(frozen=True)
class Target:
    """One thing to predict."""

    name: str
    """As a study says it: ``labels.target``."""
    column: str
    """Column of the labelled sentences that is fitted on."""
    primary_metric: str
    """What probes, seeds and settings are ranked by."""
    continuous: bool
    """Fitted by regression and measured by ranks; else by classification."""

    def values(self, rows: pd.DataFrame) -> np.ndarray:
        """The target of every row: [n_rows] float64, or int64 of 0 and 1."""
        return rows[self.column].to_numpy(dtype=np.float64 if self.continuous else np.int64)

    def metric_names(self, k_values: Sequence[int]) -> tuple[str, ...]:
        """Names of what ``measure`` returns."""
        if self.continuous:
            return (self.primary_metric,)
        return (*BINARY_METRICS, *(f"top_{k}_recall" for k in k_values))

    def measure(self, rows: pd.DataFrame, scores: np.ndarray, k_values: Sequence[int]) -> dict[str, float]:
        """All metrics of one score on one part of a split.

        A continuous target has no positives, so precision, recall and top-k recall do not exist there: they are
        absent, not zero. What remains is the rank correlation with the target itself, averaged over problems.

        Args:
            rows: sentences with ``problem_id`` and the columns that ``metrics.evaluate`` reads, or the target's.
            scores: [n_rows] float32.
            k_values: cut-offs of ``top_{k}_recall``.

        Raises:
            ValueError: a score is not finite, or the lengths differ.
        """
        if not self.continuous:
            return evaluate(rows, scores, k_values)
        return {self.primary_metric: spearman_mean(scores, self.values(rows), rows["problem_id"].to_numpy())}


TARGETS: Mapping[str, Target] = {
    one.name: one
    for one in (
        Target("anchor_binary", "anchor", "average_precision", continuous=False),
        Target("importance_abs", "importance_score", "spearman_mean", continuous=True),
        Target("importance_signed", "importance_signed", "spearman_mean", continuous=True),
    )
}
