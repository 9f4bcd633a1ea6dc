"""What the rollouts of a setting say of the true importance of each sentence: a posterior, its draws and its means.

Belongs here: mixtures of true importances, what follows from them for one sentence. Stays out: ceilings and
significance (``label_noise``), probes that are trained on it (``crossfit``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import binom, chi2, norm

from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS

SCALES = (0.0, *(float(value) for value in np.geomspace(0.08, 1.0, 7)))
"""Standard deviations of the components that true importances are a mixture of."""
STEP = 0.02
GRID = STEP * np.arange(-50, 51)
"""True importances at which the likelihood is taken."""
NODES = 5
MAX_STRENGTH = 2000
"""Largest strength a + b of the Beta prior, in pseudo-rollouts; else a trace with equal accuracies would get a point
mass."""
RATE_EDGE = 1e-3
"""Accuracies are clipped to [1e-3, 1 - 1e-3]; at 0 or 1 one contrary rollout would have likelihood 0."""
STRATA = (6, 21)
"""Lower ends of the second and third stratum of dissimilar rollouts: how large effects are may go with how often a
sentence was replaced."""
APART = 0.01
"""Level of the likelihood ratio by which strata get mixtures of their own: where effects do not go with the number of
rollouts, a mixture for each takes noise of sentences with few rollouts for effects."""
EM_ITERATIONS = 2000
EM_TOLERANCE = 1e-7
ROUGH = 1e-5
"""Tolerance for targets of fits, which are many."""


@dataclass(frozen=True)
class Posterior:
    """True importances given the rollouts; those of sentences with an empty group are zero by construction."""

    weights: np.ndarray
    """[n_strata, n_scales] of the mixtures."""
    known: np.ndarray
    """[n] bool: sentences with rollouts in both groups; the arrays below are of these."""
    groups: np.ndarray
    """[n_known, 4] counts."""
    prior: np.ndarray
    """[n_known, 2] Beta prior of the other group's accuracy."""
    likelihood: np.ndarray
    """[n_known, n_grid] at each value of ``GRID``."""
    table: np.ndarray
    """[n_known, n_grid] chance of each value of ``GRID``."""

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Posterior:
        """Fit to sentences of which every count is known.

        Args:
            rows: problem_id and the count columns.
        """
        groups = rows[list(COUNT_COLUMNS)].to_numpy(np.float64)
        known = (groups[:, 0] > 0) & (groups[:, 2] > 0)
        prior = _base_prior(groups[known], rows["problem_id"].to_numpy()[known])
        likelihood = _likelihood(groups[known], prior)
        weights, table = _mixtures(likelihood, groups[known, 0])
        return cls(weights, known, groups[known], prior, likelihood, table)

    def among(self, rows: np.ndarray) -> Posterior:
        """That of some sentences, whole problems, with mixtures fitted to these alone.

        Args:
            rows: positions among the n sentences, ascending.
        """
        known = self.known[rows]
        kept = (np.cumsum(self.known) - 1)[rows[known]]
        groups, likelihood = self.groups[kept], self.likelihood[kept]
        weights, table = _mixtures(likelihood, groups[:, 0], ROUGH)
        return Posterior(weights, known, groups, self.prior[kept], likelihood, table)

    def draws(self, rng: np.random.Generator, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """True importances, and those that a second campaign would measure: two of [draws, n]."""
        a, _, b, k_b = self.groups.T.astype(np.int64)
        edges = np.cumsum(self.table, axis=1)
        place = np.empty((draws, len(edges)), dtype=np.int64)
        for sentence, own in enumerate(edges):
            place[:, sentence] = np.searchsorted(own, rng.random(draws) * own[-1])
        spread = np.where(GRID[place] == 0, 0.0, (rng.random(place.shape) - 0.5) * STEP)
        base = rng.beta(self.prior[:, 0] + k_b, self.prior[:, 1] + b - k_b, place.shape)
        base = np.clip(base, RATE_EDGE, 1 - RATE_EDGE)
        rate = np.clip(base + GRID[place] + spread, RATE_EDGE, 1 - RATE_EDGE)
        true, again = np.zeros((draws, len(self.known))), np.zeros((draws, len(self.known)))
        again[:, self.known] = rng.binomial(a, rate) / a - rng.binomial(b, base) / b
        # rounding must not put an order into importances of exactly zero
        true[:, self.known] = np.where(GRID[place] == 0, 0.0, rate - base)
        return true, again

    def mean_size(self) -> np.ndarray:
        """[n] float64: posterior mean of the absolute importance."""
        found = np.zeros(len(self.known))
        found[self.known] = self.table @ np.abs(GRID)
        return found


def anchor_chances(true: np.ndarray, anchors: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Chance of each sentence to be among the most important of its problem, as many as have the label.

    Args:
        true: [draws, n] importances.
        anchors: [n] of 0 and 1.
        problems: [n] problem ids.

    Returns:
        [n] float64 in [0, 1]; sentences of equal size in a draw share what is left to them.
    """
    found = np.zeros(len(anchors))
    for problem in np.unique(problems):
        rows = np.flatnonzero(problems == problem)
        found[rows] = _largest(np.abs(true[:, rows]), int(anchors[rows].sum())).mean(axis=0)
    return found


def expected_precisions(
    scores: Mapping[str, np.ndarray], anchors: np.ndarray, problems: np.ndarray, true: np.ndarray
) -> dict[str, float]:
    """Name -> mean over problems of the precision at the number of anchors, in expectation over the true anchors.

    Of tied scores each has its share. Average precision against draws would say the same at many times the cost.

    Args:
        scores: name -> [n] float.
        anchors: [n] labels, of which only the number within each problem counts.
        problems: [n] problem ids.
        true: [draws, n] importances.
    """
    chances = anchor_chances(true, anchors, problems)
    members = [np.flatnonzero(problems == one) for one in np.unique(problems)]
    mixed = [(rows, int(anchors[rows].sum())) for rows in members if 0 < anchors[rows].sum() < len(rows)]
    return {
        name: float(np.mean([_largest(own[None, rows], k)[0] @ chances[rows] / k for rows, k in mixed]))
        for name, own in scores.items()
        if mixed
    }


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """[m, n] float64: 1 for the k largest of each row, ties share what is left to them, else 0."""
    if not k:
        return np.zeros(values.shape)
    edge = -np.sort(-values, axis=1)[:, k - 1 : k]
    above, level = values > edge, values == edge
    left = k - above.sum(axis=1, keepdims=True)
    return above + level * left / level.sum(axis=1, keepdims=True)


def _base_prior(groups: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Beta prior of the other group's accuracy, [n, 2], from the moments of its problem's sentences.

    Accuracies of one trace lie together; without that, an accuracy that came out low by chance would make its sentence
    important twice.
    """
    prior = np.empty((len(groups), 2))
    for problem in np.unique(problems):
        inside = problems == problem
        n, k = groups[inside, 2], groups[inside, 3]
        mean = (k.sum() + 0.5) / (n.sum() + 1)
        between = np.var(k / n) - mean * (1 - mean) * np.mean(1 / n)
        strength = mean * (1 - mean) / max(between, mean * (1 - mean) / MAX_STRENGTH) - 1
        prior[inside] = np.array([mean, 1 - mean]) * max(strength, 1.0)
    return prior


def _likelihood(groups: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Chance of the dissimilar group's right answers at each true importance, [n, n_grid].

    The other group's accuracy is averaged over its posterior by Gauss and Hermite's rule for a normal of its mean and
    variance.
    """
    a, k_a = groups[:, 0, None], groups[:, 1, None]
    after = prior + np.stack([groups[:, 3], groups[:, 2] - groups[:, 3]], axis=1)
    total = after.sum(axis=1)
    mean = after[:, 0] / total
    deviation = np.sqrt(mean * (1 - mean) / (total + 1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    likelihood = np.zeros((len(groups), len(GRID)))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        base = mean + node * deviation
        rate = np.clip(base[:, None] + GRID, RATE_EDGE, 1 - RATE_EDGE)
        likelihood += weight * binom.pmf(k_a, a, rate)
    return np.maximum(likelihood, 1e-300)


def _mixtures(
    likelihood: np.ndarray, n_different: np.ndarray, tolerance: float = EM_TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n_strata, n_scales] and posterior [n, n_grid]; strata have one mixture unless data say that they differ.

    Twice the gain in log likelihood is held against chi-squared with as many degrees as there are further weights,
    which is more than are free where some are 0: in doubt there is one mixture.
    """
    strata = np.digitize(n_different, STRATA)
    inside = [np.flatnonzero(strata == stratum) for stratum in range(len(STRATA) + 1)]
    one = _mixture(likelihood, tolerance)
    own = [_mixture(likelihood[rows], tolerance) if len(rows) else one for rows in inside]
    gain = sum(_fit(likelihood[rows], weights) for rows, weights in zip(inside, own, strict=True))
    gain -= _fit(likelihood, one)
    further = (len(SCALES) - 1) * (sum(len(rows) > 0 for rows in inside) - 1)
    if further < 1 or 2 * gain < chi2.isf(APART, further):
        own = [one] * len(inside)
    posterior = np.empty_like(likelihood)
    for rows, weights in zip(inside, own, strict=True):
        posterior[rows] = _given(likelihood[rows], weights)
    return np.array(own), posterior


def _mixture(likelihood: np.ndarray, tolerance: float) -> np.ndarray:
    """[n_scales] weights of the maximum likelihood."""
    density = likelihood @ _shapes().T
    weights = np.full(len(SCALES), 1 / len(SCALES))
    for _ in range(EM_ITERATIONS if len(likelihood) else 0):
        share = density * weights
        new = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
        done = np.abs(new - weights).max() < tolerance
        weights = new
        if done:
            break
    return weights


def _fit(likelihood: np.ndarray, weights: np.ndarray) -> float:
    """Log likelihood of a mixture."""
    return float(np.log(likelihood @ (weights @ _shapes())).sum())


def _given(likelihood: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n, n_grid] posterior by a mixture."""
    posterior = likelihood * (weights @ _shapes())
    return posterior / posterior.sum(axis=1, keepdims=True)


@cache
def _shapes() -> np.ndarray:
    """[n_scales, n_grid] components of the mixture."""
    shapes = np.array([norm.pdf(GRID, scale=scale) if scale else (GRID == 0).astype(float) for scale in SCALES])
    return shapes / shapes.sum(axis=1, keepdims=True)
