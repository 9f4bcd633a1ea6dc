"""Which problems of a corpus a setting uses, and into which part each of them falls.

Belongs here: seeded choices among problem ids. Stays out: rows, labels, folds of later study sections, files.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from ta_assets.core.options import SplitRule
from ta_assets.core.values import Split

MIN_PROBLEMS_TO_SPLIT = 3
"""One problem for each of the three parts."""


def sample_problem_ids(ids: Iterable[int], n: int | None, seed: int = 0) -> list[int]:
    """Choose ``n`` of the distinct ids by ``random.Random(seed).sample`` over their sorted list; sorted.

    ``n`` None, or at least as many as there are, takes all of them.

    Raises:
        ValueError: ``n`` is below one.
    """
    available = sorted(set(ids))
    if n is None:
        return available
    if n < 1:
        raise ValueError(f"cannot sample {n} problems: ask for at least 1, or for None to take all")
    if n >= len(available):
        return available
    return sorted(random.Random(seed).sample(available, n))


def single_split(ids: Iterable[int], rule: SplitRule) -> Split:
    """Split the distinct ids into train, val and test problems.

    The sorted ids are shuffled by ``random.Random(rule.seed)``; train and val take the whole part of their fraction,
    at least one problem each, and test takes the rest. While nothing is left for test, the larger of train and val
    gives up one problem (train when they are equal).

    Raises:
        ValueError: fewer than three problems.
    """
    shuffled = sorted(set(ids))
    n = len(shuffled)
    if n < MIN_PROBLEMS_TO_SPLIT:
        raise ValueError(f"cannot split: there are {n} problems, expected at least {MIN_PROBLEMS_TO_SPLIT}")
    random.Random(rule.seed).shuffle(shuffled)
    n_train, n_val = max(1, int(n * rule.train)), max(1, int(n * rule.val))
    while n - n_train - n_val < 1:
        if n_train >= n_val:
            n_train -= 1
        else:
            n_val -= 1
    return Split(
        train=tuple(sorted(shuffled[:n_train])),
        val=tuple(sorted(shuffled[n_train : n_train + n_val])),
        test=tuple(sorted(shuffled[n_train + n_val :])),
    )


def shared_problem_ids(list_of_ids: Iterable[Iterable[int]]) -> list[int]:
    """Ids that every setting has, sorted.

    Raises:
        ValueError: no setting was given, or no id is in all of them.
    """
    sets = [set(ids) for ids in list_of_ids]
    if not sets:
        raise ValueError("no settings to share problems between")
    shared = sorted(set.intersection(*sets))
    if not shared:
        sizes = ", ".join(str(len(ids)) for ids in sets)
        raise ValueError(f"the {len(sets)} settings have no problem in common (they have {sizes} problems)")
    return shared
