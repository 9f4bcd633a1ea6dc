"""What held-out rows would score had one training problem been absent: every problem's turn at once, without refitting.

Belongs here: the downdates of both solvers. Stays out: the variance that follows from them (``statistics.jackknife``).

Penalties, bands and row weights stay those of the full fold; what they add to the spread is left to the margin of
``statistics.jackknife``.
"""

from __future__ import annotations

import numpy as np

from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.spectrum import Spectrum


def ridge_without(
    spectrum: Spectrum, new: np.ndarray, target: np.ndarray, groups: np.ndarray, penalty: float
) -> np.ndarray:
    """Scores of new rows by the ridge fits that lack one training group each, exactly.

    With e_g the residuals of group g when it is left out, X'y + p w of the fit without g differ from those of the full
    fit such that w(-g) = w - (X'X + p)^-1 X_g' e_g (Sherman, Morrison and Woodbury).

    Args:
        spectrum: of the [n] training rows.
        new: [m, r] new rows in its basis.
        target: [n] float64, centred within groups.
        groups: [n] group of each training row.
        penalty: positive; infinity stands for the direction in the limit (``ridge.filters``).

    Returns:
        [n_groups, m] float64, by sorted group.
    """
    residual = ridge.left_out_residuals(spectrum, target[:, None], groups, penalty)[:, 0]
    ids, place = np.unique(groups, return_inverse=True)
    loads = np.zeros((len(ids), spectrum.left.shape[1]))
    np.add.at(loads, place.ravel(), spectrum.left * residual[:, None])
    weigh = new * ridge.filters(spectrum, np.array([penalty]))[0]
    return weigh @ (spectrum.left.T @ target) - loads @ weigh.T


def logistic_without(
    rows: np.ndarray,
    new: np.ndarray,
    fitted: logistic.LogisticFits,
    labels: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    penalty: float,
) -> np.ndarray:
    """Scores of new rows by logistic fits that lack one training group each, to one Newton step.

    At the optimum the gradient of the objective without group g is minus the group's own; its curvature is the full one
    less Z_g' W_g Z_g, so one factorization serves all groups (Pregibon 1981 for single rows).

    Args:
        rows: [n, r] training rows.
        new: [m, r] new rows.
        fitted: of one column.
        labels: [n] of 0 and 1.
        weights: [n] row weights of the fit.
        groups: [n] group of each training row.
        penalty: of the fit.

    Returns:
        [n_groups, m] float64, by sorted group.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.special import expit

    score = fitted.scores(rows)[:, 0]
    chance = expit(score)
    pull, bend = weights * (chance - labels), weights * chance * (1 - chance)
    with_one = np.hstack([rows, np.ones((len(rows), 1))])
    curvature = (with_one * bend[:, None]).T @ with_one
    curvature[np.arange(rows.shape[1]), np.arange(rows.shape[1])] += penalty
    solved = cho_solve(cho_factor(curvature, lower=True), with_one.T)
    moved = np.hstack([new, np.ones((len(new), 1))]) @ solved
    base, found = fitted.scores(new)[:, 0], []
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        own = np.eye(len(inside)) - bend[inside, None] * (with_one[inside] @ solved[:, inside])
        found.append(base + moved[:, inside] @ np.linalg.solve(own, pull[inside]))
    return np.stack(found)
