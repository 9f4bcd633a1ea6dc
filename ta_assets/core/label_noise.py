"""How much of a label is sampling noise of its rollouts, and what the best possible score of such labels is.

Belongs here: standard errors, significance, noise ceilings. Stays out: where the counts come from
(``rollout_counts``), scores of probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom, norm

from ta_assets.core.ranking import mixed_problems, problem_average_precision

SIGNIFICANCE, FALSE_DISCOVERY_RATE = 0.05, 0.10
SCALES = (0.0, *(float(value) for value in np.geomspace(0.01, 1.0, 12)))
"""Standard deviations of the components that true importances are a mixture of."""
EM_ITERATIONS = 2000
EM_TOLERANCE = 1e-9
ASSUMPTIONS = (
    "True importances are a mixture of zero and of normals around zero (adaptive shrinkage, Stephens 2017), the same "
    "for all sentences of the setting; rollouts are independent; the sampling error is normal with the binomial "
    "standard error. The ceiling is what |true importance| scores against the anchors as they are labelled; the "
    "repeat is what a second campaign of the same size scores."
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
    """Two-sided p-value of Fisher's exact test of each sentence's two groups; 1 where one is empty, NaN unknown."""
    table = counts[["n_different", "k_different", "n_next", "k_next"]].to_numpy(np.float64)
    unique, back = np.unique(table, axis=0, return_inverse=True, equal_nan=True)
    return np.array([_fisher(row) for row in unique])[back.ravel()]


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values (Benjamini and Hochberg 1995): rejecting those up to q keeps the false discovery rate at q."""
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted


def has_counts(rows: pd.DataFrame) -> bool:
    """Whether the data tells the rollouts of any sentence."""
    return "n_different" in rows and bool(rows["n_different"].notna().to_numpy().any())


@dataclass(frozen=True)
class Support:
    """What the rollouts say of the labels of a setting."""

    sentences: int
    """With known counts."""
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
        survives[inside] = benjamini_hochberg(p_values[inside]) <= FALSE_DISCOVERY_RATE
    with_one = np.unique(problems[survives])
    n_problems = len(np.unique(problems))
    share = lambda chosen: float(np.mean(chosen)) if len(chosen) else 0.0  # noqa: E731
    return Support(
        sentences=len(known),
        anchors=int(anchor.sum()),
        significant_sentences=share(p_values < SIGNIFICANCE),
        significant_anchors=share(p_values[anchor] < SIGNIFICANCE),
        surviving_anchors=share(survives[anchor]),
        problems=n_problems,
        problems_without=n_problems - len(with_one),
        few_rollouts=share(known["n_different"].to_numpy()[anchor] <= 3),
        median_standard_error=float(np.nanmedian(standard_errors(known))),
    )


@dataclass(frozen=True)
class Ceiling:
    """Macro average precision that noise leaves attainable."""

    oracle: float
    """Of the true importances, against the anchors as labelled."""
    repeat: float
    """Of a second rollout campaign."""
    mixture: tuple[float, ...]
    """Weights of ``SCALES``."""
    assumptions: str = ASSUMPTIONS


def noise_ceiling(rows: pd.DataFrame, *, draws: int, seed: int) -> Ceiling | None:
    """Estimate both ceilings from the observed importances and their standard errors; None without counts.

    The mixture of true importances is fitted by EM (Stephens 2017, False discovery rates: a new deal). True values are
    then drawn from each sentence's posterior and ranked against the labels as they are. Sentences without an error
    (an empty group) have importance zero by construction and keep it.

    Args:
        rows: problem_id, anchor, counterfactual_raw and the count columns.
        draws: posterior draws.
        seed: of the draws.
    """
    if not has_counts(rows):
        return None
    raw, errors = rows["counterfactual_raw"].to_numpy(np.float64), standard_errors(rows)
    known = ~np.isnan(errors)
    weights, posterior = _mixture(raw[known], errors[known])
    rng = np.random.default_rng(seed)
    true = np.zeros((draws, len(rows)))
    true[:, known] = _posterior_draws(raw[known], errors[known], posterior, rng, draws)
    again = np.abs(true + rng.normal(size=true.shape) * np.where(known, errors, 0.0))
    labels = rows["anchor"].to_numpy()
    mixed = mixed_problems(labels, rows["problem_id"].to_numpy())
    if not mixed:
        return None
    oracle, repeat = (
        float(np.mean([problem_average_precision(labels[at], scores[:, at]).mean() for at in mixed.values()]))
        for scores in (np.abs(true), again)
    )
    return Ceiling(oracle, repeat, tuple(float(one) for one in weights))


def _mixture(raw: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n_scales] of the maximum likelihood, and the posterior [n, n_scales] of each sentence's component."""
    scales = np.array(SCALES)
    density = norm.pdf(raw[:, None], scale=np.sqrt(np.square(errors)[:, None] + np.square(scales)))
    density = np.maximum(density, 1e-300)
    weights = np.full(len(scales), 1 / len(scales))
    posterior = np.tile(weights, (len(raw), 1))
    for _ in range(EM_ITERATIONS):
        posterior = density * weights
        posterior /= posterior.sum(axis=1, keepdims=True)
        new = posterior.mean(axis=0) if len(raw) else weights
        if np.abs(new - weights).max() < EM_TOLERANCE:
            break
        weights = new
    return weights, posterior


def _posterior_draws(
    raw: np.ndarray, errors: np.ndarray, posterior: np.ndarray, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """True importances [draws, n] given what was observed."""
    scales = np.array(SCALES)
    edges = np.cumsum(posterior, axis=1)
    component = np.minimum((rng.random((draws, len(raw)))[..., None] > edges).sum(axis=-1), len(scales) - 1)
    variance = np.square(scales[component])
    shrink = variance / (variance + np.square(errors))
    return shrink * raw + np.sqrt(shrink) * errors * rng.normal(size=(draws, len(raw)))


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
