"""Rules on one split, asked of a cell that has many folds: which folds a cell judges, and one verdict from several."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ta_checks.verdict import Verdict

Fold = TypeVar("Fold")

ORDER_SEED = 0


def own_folds(folds: Sequence[Fold], part: int, parts: int) -> list[Fold]:
    """The folds that one of several cells judges: never none, and together all of them, in a seeded order.

    Every cell of a setting has the same folds and differs in its seed only; judging each fold once, in one cell, says
    as much as judging it in all and costs a fifth.

    Args:
        folds: all folds, in a fixed order; at least one.
        part: which cell, in [0, parts).
        parts: how many cells there are.
    """
    order = random.Random(ORDER_SEED).sample(list(folds), len(folds))
    rounds = -(-len(order) // parts)
    return list(dict.fromkeys(order[(part + parts * turn) % len(order)] for turn in range(rounds)))


def worst(verdicts: Mapping[int | None, Verdict]) -> Verdict:
    """One verdict from those of several folds: the first that is red, else the first that passed, else a skipped one.

    The message says which fold it is of, and the details hold the status of each.

    Raises:
        ValueError: no verdicts.
    """
    if not verdicts:
        raise ValueError("no fold was judged")
    if list(verdicts) == [None]:
        return verdicts[None]
    rank = {"passed": 1, "skipped": 2}
    fold, found = min(verdicts.items(), key=lambda item: rank.get(item[1].status, 0))
    statuses = {str(fold): f"{one.status}: {one.message}" for fold, one in verdicts.items()}
    return replace(found, message=f"fold {fold}: {found.message}", details={**found.details, "folds": statuses})
