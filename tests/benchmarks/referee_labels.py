"""What a hostile referee would try on labels: campaigns, ceilings, posterior targets, twins, deferral, the sweep.

Belongs here: measurement by simulation, on worlds that are made here alone. Stays out: comparisons of whole settings
(``referee``), the list of all rows (``referee_table``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit import ridge
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.results.deferral import Objective, Rows, choose
from ta_assets.core.results.sweep import leaderboard
from ta_assets.core.statistics.label_noise import noise_ceiling
from ta_assets.core.statistics.ranking import average_precision_by_problem
from ta_assets.core.statistics.true_importance import Posterior, anchor_chances
from ta_assets.core.traces.campaign import campaign, contradiction
from ta_assets.core.traces.labels import anchors
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS
from ta_checks.rules.claims.deferral_objective_met import deferral_objective_met
from ta_checks.rules.claims.deferral_recomputes import PlannedRows
from ta_checks.rules.data.problems_are_distinct import problems_are_distinct
from tests.benchmarks.referee import Record, rate
from tests.core.traces.test_campaign import traces

N_SENTENCES = 60
WORLDS = {
    "effects independent of counts, 70 % without": (0.7, 0.35, "independent"),
    "few rollouts without effect, 70 % without": (0.7, 0.35, "none"),
    "few rollouts with large effects, 70 % without": (0.7, 0.35, "large"),
    "effects independent of counts, 30 % without": (0.3, 0.15, "independent"),
    "few rollouts without effect, 30 % without": (0.3, 0.15, "none"),
    "few rollouts with large effects, 30 % without": (0.3, 0.15, "large"),
}
"""Share of sentences without effect, deviation of effects, effects of sentences with at most five rollouts."""


def labelled_world(seed: int, world: str, n_problems: int = 32) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels with skewed counts of dissimilar rollouts, and the true importances."""
    zero, spread, few = WORLDS[world]
    rng, n = np.random.default_rng([31, seed, sorted(WORLDS).index(world)]), n_problems * N_SENTENCES
    base, different = rng.uniform(0.3, 0.7, n), np.clip(np.round(95 * rng.beta(0.8, 2.0, n)), 1, 95).astype(int)
    effect = np.where(rng.random(n) < zero, 0.0, rng.normal(0, spread, n))
    if few != "independent":
        effect = np.where(different <= 5, rng.normal(0, 2 * spread, n) * (few == "large"), effect)
    true = np.clip(base + effect, 0.02, 0.98) - base
    k_different, k_next = rng.binomial(different, base + true), rng.binomial(95, base)
    raw = k_different / different - k_next / 95
    labels = np.concatenate([anchors(raw[at : at + N_SENTENCES], 90) for at in range(0, n, N_SENTENCES)])
    counts = dict(zip(COUNT_COLUMNS, (different, k_different, np.full(n, 95), k_next), strict=True))
    frame = {"problem_id": np.repeat(np.arange(n_problems), N_SENTENCES), "anchor": labels}
    return pd.DataFrame({**frame, **{name: one.astype(float) for name, one in counts.items()}}), true


def ceiling(world: str, sets: int) -> Record:
    """How far the ceiling is from what the true importances score."""
    off = []
    for seed in range(sets):
        rows, true = labelled_world(seed, world)
        found = noise_ceiling(rows, draws=40, seed=0)
        labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
        reached = average_precision_by_problem(labels, np.abs(true)[:, None], problems).mean()
        off.append(np.nan if found is None else found.oracle - reached)
    return mean(f"noise ceiling off by, {world}", np.abs(np.mean(off)), off, "<=", 0.03)


def posterior_gain(world: str, target: str, sets: int) -> Record:
    """Average precision against the true anchors of ridge on a posterior target, less that of ridge on the labels."""
    gains = []
    for seed in range(sets):
        rows, true = labelled_world(seed, world, 16)
        rng, problems, n = np.random.default_rng([32, seed]), rows["problem_id"].to_numpy(), len(rows)
        size, labels = np.abs(true), rows["anchor"].to_numpy()
        vectors = rng.normal(size=(n, 48))
        vectors[:, 0] += 2 * size / size.std()
        posterior = Posterior.of(rows)
        draws, _ = posterior.draws(np.random.default_rng(0), 100)
        wanted = posterior.mean_size() if target == "size" else anchor_chances(draws, labels, problems)
        truth = np.concatenate([anchors(size[problems == one], 90) for one in np.unique(problems)])
        plain, better = (_left_out(vectors, one, problems) for one in (labels.astype(float), wanted))
        gains.append(float((_precision(truth, better, problems) - _precision(truth, plain, problems)).mean()))
    return mean(f"gain of training on the posterior ({target}), {world}", float(np.mean(gains)), gains, ">=", 0.03)


def _precision(truth: np.ndarray, scores: np.ndarray, problems: np.ndarray) -> np.ndarray:
    return average_precision_by_problem(truth, scores[:, None], problems)[:, 0]


def _left_out(vectors: np.ndarray, target: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Ridge scores of every problem by the others, at the penalty with the least error left out."""
    with threadpool_limits(1):
        wanted, spectrum = within_problems(target, problems), Spectrum.of(prepare(vectors, problems))
        penalty, _ = ridge.best_penalty(spectrum, wanted, problems)
        return wanted - ridge.left_out_residuals(spectrum, wanted[:, None], problems, penalty)[:, 0]


def campaigns(size: int, sets: int) -> Record:
    """Share of corpora whose campaign is counted rightly, or contradicts a study that says 100."""
    right = 0
    for seed in range(sets):
        found = campaign(traces(size, answered=0.92 + 0.08 * seed / sets))
        right += found.size == size or (size != 100 and contradiction(found, 100) is not None)
    return rate(f"a campaign of {size} rollouts is counted rightly, or 100 said of it is red", right, sets, ">=", 1.0)


def twins_are_red(sets: int) -> Record:
    """Share of corpora with a problem under two ids, a few words changed, that are red."""
    red = 0
    for seed in range(sets):
        rng = np.random.default_rng([34, seed])
        texts = [" ".join(f"word{k}" for k in rng.integers(0, 400, 150)) for _ in range(12)]
        words = texts[int(rng.integers(0, 12))].split()
        for place in rng.integers(0, len(words), 3):
            words[place] = "other"
        both = [*texts, " ".join(words)]
        red += problems_are_distinct(range(13), [""] * 13, both).status == "failed"
    return rate("a problem under two ids, three words changed, is red", red, sets, ">=", 1.0)


def deferral_red(objective: str, n_problems: int, sets: int) -> Record:
    """Share of honest plans that ``deferral_objective_met`` calls broken; validation and test of one distribution."""
    red, limit = 0, 0.2 if objective == "budget" else 0.1
    for seed in range(sets):
        rng = np.random.default_rng([35, seed, n_problems])
        (scores, labels, ids), (tested, truth, places) = (_scored(rng, n_problems) for _ in range(2))
        plan = choose(Rows(scores, labels, ids), Objective(objective, limit))
        both = plan.thresholds.negative, plan.thresholds.positive
        rows = [PlannedRows("", both, {}, tested, truth, places)]
        red += deferral_objective_met(objective, limit, rows, [], 1).status == "failed"
    return rate(f"an honest plan is called broken, {objective}, {n_problems} problems a side", red, sets, "<=", 0.1)


def _scored(rng: np.random.Generator, n_problems: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = np.repeat(np.arange(n_problems), rng.integers(8, 16, n_problems))
    labels = np.concatenate([rng.permutation([1, 1, *[0] * (n - 2)]) for n in np.bincount(ids)])
    return rng.normal(size=len(ids)) + 1.5 * labels + 0.5 * rng.normal(size=n_problems)[ids], labels, ids


def swept_nothing(layers: int, sets: int) -> Record:
    """How often the best of some layers that learned nothing is called better, 12 problems."""
    rng, n, wrong = np.random.default_rng(36), 12, 0
    for _ in range(sets):
        # leads of what was learned of nothing: each pair of problems is counted from both sides
        pairs = rng.normal(size=(layers, n, n)) + rng.normal(size=(n, n))
        leads = ((pairs + pairs.transpose(0, 2, 1)).sum(axis=2) - 2 * pairs[:, range(n), range(n)]) / n
        cells = [_cell(str(k), 0.01 * leads[k]) for k in range(layers)]
        wrong += leaderboard(cells, permutations=400)["adjusted_p"].min() <= 0.05
    return rate(f"false 'better' of a sweep of {layers} layers", wrong, sets, "<=", 0.05)


def _cell(key: str, leads: np.ndarray) -> dict[str, Any]:
    return {
        "key": key,
        "setting": "one",
        "target": "anchor_binary",
        "factors": {"layer": key},
        "metric": "average_precision",
        "problems": list(range(len(leads))),
        "probe": leads.tolist(),
        "baseline": [0.0] * len(leads),
    }


def mean(claim: str, value: float, drawn: list[float], comparison: str, bar: float) -> Record:
    """A measured mean with its Monte-Carlo error."""
    error = float(np.std(drawn, ddof=1) / np.sqrt(len(drawn))) if len(drawn) > 1 else float("nan")
    return {
        "claim": claim,
        "value": float(value),
        "comparison": comparison,
        "bar": bar,
        "n": len(drawn),
        "detail": f"mean {np.mean(drawn):+.3f}, Monte-Carlo error {error:.3f}",
    }
