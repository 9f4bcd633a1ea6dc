"""How much of its error a study may spend at each look at growing data.

Belongs here: nominal levels by look and information. Stays out: where looks are recorded, the tests themselves.

A study that grows and is looked at again has more than one chance to be wrong. Looks are group-sequential with an
error-spending function (Lan and DeMets 1983), because a verdict is taken at a few looks, each with far more problems
than the last: an anytime-valid test would pay at each of them for looks after every problem that nobody takes. Two
things are unusual. There is no planned last look, so what is spent depends on growth: at n_k problems after a first
look at n_1, the cumulative error is level · (1 - (1 - first) · n_1 / n_k), which never exceeds the level. And levels
are computed by the recursion of Armitage, McPherson and Rowe (1969) for normal statistics with independent increments;
they are used as levels of p-values, whatever the test.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from ta_assets.core.statistics.intervals import ALPHA

FIRST = 0.8
"""Share of the error that the first look spends by default: a study that never grows loses little, and one that does
has something left."""
GROWTH = 12
"""Sizes of a next look whose level is computed; between them it is interpolated."""
NODES = 201
REACH = 8.0


def levels(information: Sequence[float], level: float = ALPHA, first: float = FIRST) -> tuple[float, ...]:
    """Two-sided nominal level of every look, such that all of them together err at most at ``level``.

    Args:
        information: of each look in order, in problems; each look holds those of the one before.
        level: of all looks together.
        first: share of it that the first look spends; with 1 nothing is left for the others.

    Returns:
        One level a look; next to 0 where nothing is left to spend.

    Raises:
        ValueError: no look, or information that does not grow from above 0.
    """
    if not information or min(np.diff(information, prepend=0)) <= 0:
        raise ValueError(f"looks need information that grows from above 0, got {list(information)}")
    found: list[float] = []
    best, density, grid = 0.0, np.ones(1), np.zeros(1)
    spent = 0.0
    for own in information:
        target = level * (1 - (1 - first) * information[0] / own)
        bound = _bound(grid, density, best, own, target - spent)
        found.append(float(2 * ndtr(-bound)))
        grid, density = _continued(grid, density, (best, own), bound)
        best, spent = own, target
    return tuple(found)


@dataclass(frozen=True)
class Looked:
    """What the error of one comparison is spent over, beside the scores that it compares."""

    settings: int = 1
    """Settings whose comparisons are printed together."""
    earlier: tuple[frozenset[int], ...] = ()
    """Problems of each earlier look, in order, each set once."""
    first: float = FIRST
    """Share of the error that the first look spends."""

    def levels(self, problems: Collection[int]) -> tuple[float, ...]:
        """Level of every look up to the present one at ``problems``, which is the last.

        Looks that each hold all problems of the ones before are group-sequential. From the first one on that does not,
        each has what it adds to the spent error for itself, whatever the dependence (Bonferroni); without a new problem
        that is nothing.
        """
        sets, whole = [*self.earlier, frozenset(problems)], ALPHA / self.settings
        chain = next((at for at in range(1, len(sets)) if not sets[at] > sets[at - 1]), len(sets))
        found = list(levels([len(one) for one in sets[:chain]], whole, self.first))
        sizes = [len(frozenset().union(*sets[: at + 1])) for at in range(len(sets))]
        spent = [whole * (1 - (1 - self.first) * sizes[0] / size) for size in sizes]
        return tuple(found + [spent[at] - spent[at - 1] for at in range(chain, len(sets))])

    def next_levels(self, problems: Collection[int]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of problems of a next look that holds the present one, and its level at each."""
        sizes = np.unique(np.ceil(len(problems) * np.geomspace(1.1, 1000, GROWTH)).astype(int))
        own = frozenset(problems)
        after = Looked(self.settings, (*self.earlier, own), self.first)
        # ids below 0 are of no problem that there is
        grown = [own | frozenset(range(len(own) - int(size), 0)) for size in sizes]
        return sizes, np.array([after.levels(one)[-1] for one in grown])


def _bound(grid: np.ndarray, density: np.ndarray, before: float, now: float, wanted: float) -> float:
    """|z| that is passed with chance ``wanted`` at this look and at none before."""
    low, high = 0.0, REACH
    step = np.sqrt(now - before)
    for _ in range(60):
        middle = (low + high) / 2
        edge = middle * np.sqrt(now)
        passed = float(density @ (ndtr((grid - edge) / step) + ndtr((-edge - grid) / step)))
        low, high = (middle, high) if passed > wanted else (low, middle)
    return high


def _continued(
    grid: np.ndarray, density: np.ndarray, span: tuple[float, float], bound: float
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the sum of all increments where no look has passed its bound yet."""
    before, now = span
    edge = bound * np.sqrt(now)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    step = np.sqrt(now - before)
    place = edge * nodes
    carried = norm.pdf((place[:, None] - grid) / step) / step @ density
    return place, carried * weights * edge
