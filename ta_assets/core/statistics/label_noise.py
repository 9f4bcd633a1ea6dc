"""How much of a label is sampling noise of its rollouts, and what the best possible score of such labels is.

Belongs here: standard errors, significance, noise ceilings. Stays out: where the counts come from
(``rollout_counts``), scores of probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom, false_discovery_control, hypergeom, norm

from ta_assets.core.statistics.intervals import ALPHA
from ta_assets.core.statistics.ranking import mixed_problems, problem_average_precision
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS

FALSE_DISCOVERY_RATE = 0.10
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
EM_ITERATIONS = 2000
EM_TOLERANCE = 1e-7
ASSUMPTIONS = (
    "True importances are a mixture of zero and of normals around zero (adaptive shrinkage, Stephens 2017), the same "
    "for all sentences of the setting; rollouts are independent and right with a sentence's own rate (binomial). The "
    "ceiling is what |true importance| scores against the anchors as they are labelled; the repeat is what a second "
    "campaign of the same size scores, which also repeats how noisy each label is."
)


def standard_errors(counts: pd.DataFrame) -> np.ndarray:
    """Binomial standard error of each importance under a common accuracy of both groups, [n] float64.

    Half a right and half a wrong answer are added to the pooled rate, or few rollouts would look certain. NaN where a
    group is empty or unknown.
    """
    a, k_a, b, k_b = (counts[name].to_numpy(np.float64) for name in ("n_different", "k_different", "n_next", "k_next"))
    rate = (k_a + k_b + 0.5) / (a + b + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(rate * (1 - rate) * (1 / a + 1 / b))
    return np.where((a > 0) & (b > 0), errors, np.nan)


def fisher_p(counts: pd.DataFrame) -> np.ndarray:
    """Two-sided p-value of Fisher's exact test of each sentence's two groups of rollouts.

    The sum over all tables with the same margins that are no likelier than the observed one, as in
    ``scipy.stats.fisher_exact``.

    Args:
        counts: n_different, k_different, n_next and k_next of [n] sentences: rollouts and right answers of both groups.

    Returns:
        [n] float64; 1 where a group is empty, NaN where a count is unknown.
    """
    table = counts[["n_different", "k_different", "n_next", "k_next"]].to_numpy(np.float64)
    unique, back = np.unique(table, axis=0, return_inverse=True, equal_nan=True)
    return np.array([_fisher(row) for row in unique])[back.ravel()]


def has_counts(rows: pd.DataFrame) -> bool:
    """Whether the data tells the rollouts of any sentence."""
    return "n_different" in rows and bool(rows["n_different"].notna().to_numpy().any())


@dataclass(frozen=True)
class Support:
    """What the rollouts say of the labels of a setting."""

    sentences: int
    """Sentences with known counts."""
    unknown: int
    """Sentences with unknown counts."""
    anchors: int
    significant_sentences: float
    """Share with Fisher p < .05."""
    significant_anchors: float
    """Share of anchors with Fisher p < .05."""
    surviving_anchors: float
    """Share of anchors that survive a false discovery rate of 10 % within their problem."""
    problems: int
    problems_without: int
    """Problems in which no sentence survives."""
    few_rollouts: float
    """Share of anchors that rest on at most three dissimilar rollouts."""
    median_standard_error: float


def support(rows: pd.DataFrame) -> Support | None:
    """Judge the labels of a setting by their rollouts; None when the data carries no counts.

    Args:
        rows: problem_id, anchor and the count columns of every sentence.
    """
    if not has_counts(rows):
        return None
    known = rows.take(np.flatnonzero(rows["n_different"].notna().to_numpy()))
    p_values = fisher_p(known)
    problems, anchor = known["problem_id"].to_numpy(), known["anchor"].to_numpy() == 1
    survives = np.zeros(len(known), dtype=bool)
    for problem in np.unique(problems):
        inside = problems == problem
        survives[inside] = false_discovery_control(p_values[inside]) <= FALSE_DISCOVERY_RATE
    with_one = np.unique(problems[survives])
    n_problems = len(np.unique(problems))
    return Support(
        sentences=len(known),
        unknown=len(rows) - len(known),
        anchors=int(anchor.sum()),
        significant_sentences=_share(p_values < ALPHA),
        significant_anchors=_share(p_values[anchor] < ALPHA),
        surviving_anchors=_share(survives[anchor]),
        problems=n_problems,
        problems_without=n_problems - len(with_one),
        few_rollouts=_share(known["n_different"].to_numpy()[anchor] <= 3),
        median_standard_error=float(np.nanmedian(standard_errors(known))),
    )


def _share(chosen: np.ndarray) -> float:
    """Share of true values; 0 of none."""
    return float(np.mean(chosen)) if len(chosen) else 0.0


@dataclass(frozen=True)
class Ceiling:
    """Macro average precision that noise leaves attainable."""

    oracle: float
    """Score of the true importances against the anchors as labelled."""
    repeat: float
    """Score of a second rollout campaign."""
    problems: int
    """Number of problems used: both classes present and every rollout count known."""
    mixture: tuple[float, ...]
    """Weights of ``SCALES``."""
    assumptions: str = ASSUMPTIONS


def noise_ceiling(rows: pd.DataFrame, *, draws: int, seed: int) -> Ceiling | None:
    """Estimate both ceilings from the rollouts behind the labels; None without a problem whose counts are all known.

    The mixture of true importances is fitted by EM (Stephens 2017, False discovery rates: a new deal) to the binomial
    likelihood. True values are then drawn from each sentence's posterior and ranked against the labels as they are.
    Sentences with an empty group have importance zero by construction and keep it; problems with a sentence whose
    counts are not known, of which nothing could be drawn, are left out.

    Args:
        rows: problem_id, anchor and the count columns.
        draws: posterior draws.
        seed: seed of the draws.
    """
    if not has_counts(rows):
        return None
    ids = rows["problem_id"].to_numpy()
    unknown = ids[rows["n_different"].isna().to_numpy()]
    rows = rows.take(np.flatnonzero(~np.isin(ids, unknown)))
    groups = rows[list(COUNT_COLUMNS)].to_numpy(np.float64)
    known = (groups[:, 0] > 0) & (groups[:, 2] > 0)
    prior = _base_prior(groups[known], rows["problem_id"].to_numpy()[known])
    likelihood = _likelihood(groups[known], prior)
    weights, posterior = _mixture(likelihood)
    rng = np.random.default_rng(seed)
    true, again = np.zeros((draws, len(rows))), np.zeros((draws, len(rows)))
    true[:, known], again[:, known] = _draws(groups[known], prior, posterior, rng, draws)
    labels = rows["anchor"].to_numpy()
    mixed = mixed_problems(labels, rows["problem_id"].to_numpy())
    if not mixed:
        return None
    oracle, repeat = (
        float(np.mean([problem_average_precision(labels[at], np.abs(scores[:, at])).mean() for at in mixed.values()]))
        for scores in (true, again)
    )
    return Ceiling(oracle, repeat, len(mixed), tuple(float(one) for one in weights))


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


def _mixture(likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n_scales] of the maximum likelihood, and each sentence's posterior over the grid, [n, n_grid]."""
    shapes = np.array([norm.pdf(GRID, scale=scale) if scale else (GRID == 0).astype(float) for scale in SCALES])
    shapes /= shapes.sum(axis=1, keepdims=True)
    density = likelihood @ shapes.T
    weights = np.full(len(SCALES), 1 / len(SCALES))
    for _ in range(EM_ITERATIONS if len(likelihood) else 0):
        share = density * weights
        new = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
        done = np.abs(new - weights).max() < EM_TOLERANCE
        weights = new
        if done:
            break
    posterior = likelihood * (weights @ shapes)
    return weights, posterior / posterior.sum(axis=1, keepdims=True)


def _draws(
    groups: np.ndarray, prior: np.ndarray, posterior: np.ndarray, rng: np.random.Generator, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """True importances given the rollouts, and those that a second campaign would measure: two of [draws, n]."""
    a, _, b, k_b = groups.T.astype(np.int64)
    edges = np.cumsum(posterior, axis=1)
    place = np.stack([np.searchsorted(own, rng.random(draws) * own[-1]) for own in edges], axis=1)
    spread = np.where(GRID[place] == 0, 0.0, (rng.random(place.shape) - 0.5) * STEP)
    base = np.clip(rng.beta(prior[:, 0] + k_b, prior[:, 1] + b - k_b, place.shape), RATE_EDGE, 1 - RATE_EDGE)
    rate = np.clip(base + GRID[place] + spread, RATE_EDGE, 1 - RATE_EDGE)
    again = rng.binomial(a, rate) / a - rng.binomial(b, base) / b
    # rounding must not put an order into importances of exactly zero
    return np.where(GRID[place] == 0, 0.0, rate - base), again


def _fisher(row: np.ndarray) -> float:
    """Sum of the probabilities of all tables with the same margins that are no likelier than the observed one."""
    if np.isnan(row).any():
        return float("nan")
    a, k_a, b, k_b = (int(value) for value in row)
    if not a or not b:
        return 1.0
    possible = np.arange(max(0, k_a + k_b - b), min(a, k_a + k_b) + 1)
    chances = hypergeom.pmf(possible, a + b, k_a + k_b, a)
    observed = chances[k_a - possible[0]]
    return float(min(1.0, chances[chances <= observed * (1 + 1e-7)].sum()))
