"""What the rollouts of a whole corpus say of the importance of each sentence: posterior labels.

An estimate of few rollouts is large by chance more often than a true importance is large; the posterior knows how large
those of the corpus are. Stays out: the mixture itself (``statistics.true_importance``), labels of single traces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ta_assets.core.statistics.true_importance import GRID, STEP, Posterior
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS


@dataclass(frozen=True)
class PosteriorLabels:
    """One value per sentence, [n] float64 each; 0 where a group has no rollouts, of which nothing can be said."""

    mean: np.ndarray
    """Signed importance."""
    anchor_chance: np.ndarray
    """Chance that its absolute value reaches the threshold."""


def posterior_labels(counts: np.ndarray, problems: np.ndarray, threshold: float) -> PosteriorLabels:
    """Posterior labels of a corpus; the rule by which its rollouts were stopped changes nothing of a posterior.

    Args:
        counts: [n, 4] of ``COUNT_COLUMNS``.
        problems: [n] problem ids.
        threshold: in (0, 1).
    """
    rows = pd.DataFrame(np.asarray(counts, dtype=np.float64), columns=list(COUNT_COLUMNS)).assign(problem_id=problems)
    mean, chance = np.zeros(len(rows)), np.zeros(len(rows))
    if ((rows["n_different"] > 0) & (rows["n_next"] > 0)).any():
        posterior = Posterior.of(rows)
        mean[posterior.known] = posterior.table @ GRID
        chance[posterior.known] = posterior.table @ (np.abs(GRID) >= threshold - STEP / 2)
    return PosteriorLabels(mean, chance)
