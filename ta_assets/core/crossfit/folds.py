"""Which problems are held out together: leave-one-problem-out, or repeated group K-fold for many problems.

Belongs here: folds of problems. Stays out: the single split of a cell (``splits``), fitting.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

MAX_LEFT_OUT = 40
"""Up to so many problems each is a fold of its own; above, folds are drawn."""
K, REPEATS = 10, 5


@dataclass(frozen=True)
class Folds:
    """Every problem is held out once in each repeat."""

    scheme: str
    """``leave_one_problem_out`` or ``repeated_group_k_fold``."""
    repeats: tuple[tuple[tuple[int, ...], ...], ...]
    """For each repeat, the problem ids of each fold, sorted."""

    @property
    def fewest_train(self) -> int:
        """Problems that the smallest training set has, which Nadeau and Bengio's correction needs."""
        sizes = [len(fold) for fold in self.repeats[0]]
        return sum(sizes) - max(sizes)


def evaluation_folds(problem_ids: Iterable[int], seed: int = 0) -> Folds:
    """Folds over the distinct problems.

    Raises:
        ValueError: fewer than three problems: nothing could be tuned within a fold.
    """
    ids = sorted(set(problem_ids))
    if len(ids) < 3:
        raise ValueError(f"cross-fitting needs at least 3 problems with and without anchors, got {len(ids)}")
    if len(ids) <= MAX_LEFT_OUT:
        return Folds("leave_one_problem_out", (tuple((one,) for one in ids),))
    repeats = []
    for repeat in range(REPEATS):
        shuffled = ids.copy()
        random.Random(f"{seed} {repeat}").shuffle(shuffled)
        repeats.append(tuple(tuple(sorted(shuffled[start::K])) for start in range(K)))
    return Folds("repeated_group_k_fold", tuple(repeats))
