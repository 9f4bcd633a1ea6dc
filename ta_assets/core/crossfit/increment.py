"""Does a score tell anything of a label that what is known does not: cross-fitted partialling-out.

Belongs here: residuals on known features and their covariance by problem. Stays out: tests (``intervals``), refitted
permutations (``nulls``).

Label and score are both regressed on what is known, each problem by the fit to the others, and the mean product
of the residuals is tested over problems: the generalised covariance measure (Shah and Peters 2020, section 3), the
cross-fitted form of double machine learning (Chernozhukov et al. 2018, definition 3.2). A linear regression on
position, fitted in-sample, leaves whatever is not linear to be claimed as an increment.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit import ridge
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems


def partial_products(
    labels: np.ndarray, scores: np.ndarray, problems: np.ndarray, known: np.ndarray, *, scaled: bool = True
) -> np.ndarray:
    """Mean product of label and score residuals in every problem.

    Args:
        labels: [n] of 0 and 1, or any target.
        scores: [n, n_scores] float.
        problems: [n] problem ids.
        known: [n, d] features (``feature_sets.position_splines``, ``known.known_features``).
        scaled: False leaves the columns' lengths as they are, where they mean something.

    Returns:
        [n_problems, n_scores] float64, by sorted id; of scores in units of their deviation within problems.
    """
    with threadpool_limits(1):
        spectrum = Spectrum.of(prepare(known, problems, scaled=scaled))
        label_residual = _residual(spectrum, within_problems(labels, problems), problems)
        products = np.empty((len(np.unique(problems)), scores.shape[1]))
        for column, score in enumerate(prepare(scores, problems).T):
            product = label_residual * _residual(spectrum, score, problems)
            products[:, column] = [product[problems == one].mean() for one in np.unique(problems)]
    return products


def _residual(spectrum: Spectrum, target: np.ndarray, problems: np.ndarray) -> np.ndarray:
    penalty, _ = ridge.best_penalty(spectrum, target, problems)
    return ridge.left_out_residuals(spectrum, target[:, None], problems, penalty)[:, 0]
