"""How much of its error a study may spend at each look at growing data.

Belongs here: nominal levels by look and information. Stays out: where looks are recorded, the tests themselves.

A study that grows and is looked at again has more than one chance to be wrong. Looks are group-sequential with an
error-spending function (Lan and DeMets 1983), because a verdict is taken at a few looks, each with far more problems
than the last: an anytime-valid test would pay at each of them for looks after every problem that nobody takes. Two
things are unusual. There is no planned last look, so what is spent depends on growth: at n_k problems after a first
look at n_1, the cumulative error is level · (1 - (1 - FIRST) · n_1 / n_k), which never exceeds the level. And levels
are computed by the recursion of Armitage, McPherson and Rowe (1969) for normal statistics with independent increments;
they are used as levels of p-values, whatever the test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

FIRST = 0.6
"""Share of the error that the first look spends: nearly Pocock's for two looks, and better than his for one."""
NODES = 801
REACH = 8.0


def levels(information: Sequence[float], level: float = 0.05) -> tuple[float, ...]:
    """Two-sided nominal level of every look, such that all of them together err at most at ``level``.

    Args:
        information: of each look in order, in problems; looks that add nothing share the level of the one before.
        level: of all looks together.

    Returns:
        One level a look; 0 where nothing is left to spend.

    Raises:
        ValueError: no look, or information that is not positive.
    """
    if not information or min(information) <= 0:
        raise ValueError(f"looks need positive information, got {list(information)}")
    found: list[float] = []
    best, density, grid = 0.0, np.ones(1), np.zeros(1)
    spent = 0.0
    for own in information:
        if own <= best:
            found.append(found[-1])
            continue
        target = level * (1 - (1 - FIRST) * information[0] / own)
        bound = _bound(grid, density, best, own, target - spent)
        found.append(float(2 * norm.sf(bound)))
        grid, density = _continued(grid, density, (best, own), bound)
        best, spent = own, target
    return tuple(found)


def _bound(grid: np.ndarray, density: np.ndarray, before: float, now: float, wanted: float) -> float:
    """|z| that is passed with chance ``wanted`` at this look and at none before."""
    low, high = 0.0, REACH
    step = np.sqrt(now - before)
    for _ in range(60):
        middle = (low + high) / 2
        edge = middle * np.sqrt(now)
        passed = float(density @ (norm.sf((edge - grid) / step) + norm.cdf((-edge - grid) / step)))
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
