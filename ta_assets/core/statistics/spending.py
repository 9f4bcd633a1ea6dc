"""What settings and looks leave of the error, at this look and at the next.

Belongs here: levels of one comparison. Stays out: the spending itself (``looks``), tests.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ta_assets.core.statistics.looks import Looked


@dataclass(frozen=True)
class Spending:
    """Levels of the looks at one comparison."""

    looks: tuple[dict[str, float], ...]
    """Of each look up to the present one ``problems`` and ``level``."""
    sizes: np.ndarray
    """[n_sizes] numbers of problems of a next look."""
    levels: np.ndarray
    """[n_sizes] level of the next look with so many problems."""

    @classmethod
    def of(cls, looked: Looked, problems: Collection[int]) -> Spending:
        """Levels of a look at ``problems``; without problems there is none, and its level is 0."""
        if not problems:
            return cls(({"problems": 0, "level": 0.0},), np.ones(1), np.zeros(1))
        counts = [len(one) for one in (*looked.earlier, problems)]
        found = zip(counts, looked.levels(problems), strict=True)
        return cls(tuple({"problems": n, "level": one} for n, one in found), *looked.next_levels(problems))

    @property
    def level(self) -> float:
        """What p-values must reach now."""
        return float(self.looks[-1]["level"])

    def share_of_later(self, n: int) -> float:
        """Level of a next look at ``n`` problems as a share of the present one; 1 for no more than there are."""
        if n <= self.looks[-1]["problems"] or not self.level:
            return 1.0
        return float(np.interp(np.log(n), np.log(self.sizes), self.levels)) / self.level
