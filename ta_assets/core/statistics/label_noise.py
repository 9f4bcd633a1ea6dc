"""How much of a label is sampling noise of its rollouts, and what the best possible score of such labels is.

Belongs here: standard errors, significance, noise ceilings. Stays out: where the counts come from
(``rollout_counts``), scores of probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from ta_assets.core.statistics.intervals import ALPHA
from ta_assets.core.statistics.ranking import mixed_problems, problem_average_precision
from ta_assets.core.statistics.true_importance import Posterior

FALSE_DISCOVERY_RATE = 0.10
ASSUMPTIONS = (
    "True importances are a mixture of zero and of normals around zero (adaptive shrinkage, Stephens 2017): one of all "
    "sentences, or, where a likelihood ratio says that they differ (1 %), one of those with up to 5 dissimilar "
    "rollouts, one of those with 6 to 20, one of the others. Rollouts are independent and right with a sentence's own "
    "rate (binomial). The ceiling is what |true importance| scores against the anchors as they are labelled; the "
    "repeat is what a second campaign of the same size scores, which also repeats how noisy each label is."
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
    mixture: tuple[tuple[float, ...], ...]
    """Weights of each stratum of dissimilar rollouts (``true_importance.SCALES``)."""
    assumptions: str = ASSUMPTIONS


def noise_ceiling(rows: pd.DataFrame, *, draws: int, seed: int) -> Ceiling | None:
    """Estimate both ceilings from the rollouts behind the labels; None without a problem whose counts are all known.

    The mixtures of true importances are fitted by EM (Stephens 2017, False discovery rates: a new deal) to the
    binomial likelihood. True values are then drawn from each sentence's posterior and ranked against the labels as they
    are. Sentences with an empty group have importance zero by construction and keep it; problems with a sentence whose
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
    if rows.empty:
        return None
    posterior = Posterior.of(rows)
    true, again = posterior.draws(np.random.default_rng(seed), draws)
    labels = rows["anchor"].to_numpy()
    mixed = mixed_problems(labels, rows["problem_id"].to_numpy())
    if not mixed:
        return None
    oracle, repeat = (
        float(np.mean([problem_average_precision(labels[at], np.abs(scores[:, at])).mean() for at in mixed.values()]))
        for scores in (true, again)
    )
    return Ceiling(oracle, repeat, len(mixed), tuple(tuple(map(float, one)) for one in posterior.weights))


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
