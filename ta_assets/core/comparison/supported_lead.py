"""The lead of every score a second time, among sentences that could be anchors.

Belongs here: this second grading. Stays out: the first (``compare``), the rule that needs both (``claims``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ta_assets.core.comparison.precision_table import CHANCE, Family, PrecisionTable, reads_activations
from ta_assets.core.crossfit.out_of_fold import SUPPORTED
from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics import intervals
from ta_assets.core.statistics.supported import could_be_anchors
from ta_assets.core.statistics.true_importance import Posterior, expected_precisions
from ta_assets.core.values import CrossFitted


@dataclass(frozen=True)
class SupportedLeads:
    """The second grading of a setting; without rollout counts there is none."""

    table: PrecisionTable
    family: Family
    """Of the scores that read activations."""
    sentences: int
    """That are graded."""
    seed: int
    expected: Mapping[str, float]
    """Score -> precision of its first repeat at the number of anchors, in expectation over the true ones."""

    @classmethod
    def of(
        cls, rows: pd.DataFrame, fitted: CrossFitted, options: InferenceOptions, level: float
    ) -> SupportedLeads | None:
        """Grade again; None where a sentence has no known count.

        Args:
            rows: the sentences of ``fitted.scores``, in their order.
            fitted: out-of-fold scores.
            options: of the comparison.
            level: of its tests.
        """
        graded = could_be_anchors(rows)
        if graded is None:
            return None
        table = PrecisionTable.of(fitted, graded, SUPPORTED)
        names = [name for name in table.names if reads_activations(name)]
        true, _ = Posterior.of(rows).draws(np.random.default_rng(options.seed), options.ceiling_draws)
        scores = {name: fitted.table.of(name)[0] for name in table.names}
        expected = expected_precisions(scores, rows["anchor"].to_numpy(), rows["problem_id"].to_numpy(), true)
        family = Family.of(table, names, options, level)
        return cls(table, family, int(np.count_nonzero(graded)), options.seed, expected)

    def fields(self, name: str) -> dict[str, float | str | None]:
        """The fields of a row on the true anchors, and on the lead over the rival that is hardest here; ``supported_p``
        is 1 without a lead."""
        expected: dict[str, float | str | None] = {"expected_precision": self.expected.get(name)}
        if not reads_activations(name) or not len(self.table.chance):
            return expected
        rivals = self.table.rivals(name)
        against = min(rivals, key=lambda rival: (self.table.difference((name, rival)).mean(), rival))
        difference = self.table.difference((name, against))
        found = intervals.interval(difference, inflation=self.table.factor((name, against)), seed=self.seed)
        ahead = difference.mean() > 0
        return expected | {
            "supported_against": against,
            "supported_difference": float(difference.mean()),
            "supported_low": found.low if found else None,
            "supported_high": found.high if found else None,
            "supported_p": max(self.family.adjusted[name, rival] for rival in rivals) if ahead else 1.0,
        }

    @property
    def chance(self) -> float:
        """Mean average precision of a random order."""
        return float(np.mean(self.table.score(CHANCE))) if len(self.table.chance) else float("nan")
