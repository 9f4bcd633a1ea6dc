"""Labels from scratch, by simulation: reliability per token, re-use, intervals under stopping.

Belongs here: measurement on worlds whose truth is known. Stays out: engines, disks and processes
(``campaign_machinery``), the list of rows (``campaign_table``).
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ta_assets.core.campaign.posterior import posterior_labels
from ta_assets.core.campaign.records import Drawn
from ta_assets.core.campaign.seeds import seed_of
from ta_assets.core.campaign.sequences import difference_interval, difference_sequence
from ta_assets.core.campaign.stopping import StoppingRule, next_rollouts
from ta_assets.core.statistics.true_importance import GRID, RATE_EDGE, STEP, Posterior
from ta_assets.core.traces.rollout_counts import rollout_counts
from ta_resources.engines.scripted import ScriptedEngine
from tests.benchmarks.kept_table import Record
from tests.resources.campaigns.made import SAMPLING, STEPS, judgement, task, tree, truths

TRACES = Path(__file__).resolve().parents[3] / "shared/data/math-rollouts"
THRESHOLD = 0.2
TOKENS_PER_ROLLOUT = 2677
"""Of the published campaigns: 38 million tokens in 14,194 rollouts."""
SENTENCES_PER_TRACE = 142
RULES = {
    "uniform 50": (StoppingRule(rollouts=50, batch=50), False),
    "uniform 100": (StoppingRule(rollouts=100, batch=100), False),
    "uniform 200": (StoppingRule(rollouts=200, batch=200), False),
    "until clear, at most 200": (StoppingRule(kind="threshold", rollouts=200), False),
    "until clear, at most 200, posterior": (StoppingRule(kind="threshold", rollouts=200), True),
}
"""Which rollouts, and whether an anchor is called by the posterior chance instead of the estimate."""


@cache
def published() -> tuple[Posterior, pd.DataFrame]:
    """What the rollouts of the published traces say of their importances, and the share of dissimilar rollouts."""
    frames = []
    for number, path in enumerate(sorted(TRACES.glob("*/*/*/problem_*/chunks_labeled.json"))):
        chunks = json.loads(path.read_text(encoding="utf-8"))
        share = [one.get("different_trajectories_fraction", np.nan) for one in chunks]
        frames.append(pd.DataFrame({"problem_id": number, "share": share, **rollout_counts(chunks, 100)})[:-1])
    rows = pd.concat(frames, ignore_index=True).dropna().reset_index(drop=True)
    posterior = Posterior.of(rows)
    return posterior, rows.take(np.flatnonzero(posterior.known)).reset_index(drop=True)


def drawn_world(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Problem, share of dissimilar rollouts, accuracy of these, accuracy of the next prefix; of each sentence."""
    posterior, rows = published()
    _, _, n, right = posterior.groups.T
    edges = np.cumsum(posterior.table, axis=1)
    place = np.array([np.searchsorted(own, rng.random() * own[-1]) for own in edges])
    base = rng.beta(posterior.prior[:, 0] + right, posterior.prior[:, 1] + n - right)
    base = np.clip(base, RATE_EDGE, 1 - RATE_EDGE)
    spread = np.where(GRID[place] == 0, 0.0, (rng.random(len(place)) - 0.5) * STEP)
    different = np.where(GRID[place] == 0, base, np.clip(base + GRID[place] + spread, RATE_EDGE, 1 - RATE_EDGE))
    return rows["problem_id"].to_numpy(), rows["share"].to_numpy(), different, base


def simulated(rng: np.random.Generator, world: tuple[np.ndarray, ...], rule: StoppingRule) -> tuple[np.ndarray, float]:
    """Counts [n, 4] of a campaign under a rule, and its rollouts per prefix.

    A prefix serves its own sentence and the one before it; what is not dissimilar has the accuracy that makes the
    prefix's own come out, as far as there is one. No rollout is re-used: the tables do not hold its words.
    """
    problems, share, different, base = world
    begins = np.r_[True, problems[1:] != problems[:-1]]
    own = np.arange(len(problems)) + np.cumsum(begins) - 1
    places, accuracy = np.stack([own, own + 1], axis=1), np.zeros(own[-1] + 2)
    accuracy[own + 1], accuracy[own[begins]] = base, base[begins]
    similar = np.clip((accuracy[own] - share * different) / np.maximum(1 - share, 1e-9), 0, 1)
    drawn, counts = np.zeros(len(accuracy), dtype=np.int64), np.zeros((len(problems), 4), dtype=np.int64)
    last = np.ones(len(accuracy), dtype=bool)
    last[own] = False
    while (asked := next_rollouts(counts, places, drawn, rule)).any():
        others = rng.binomial(asked[own], share)
        right = rng.binomial(others, different)
        every = np.where(last, rng.binomial(asked, accuracy), 0)
        every[own] = right + rng.binomial(asked[own] - others, similar)
        counts += np.stack([others, right, asked[own + 1], every[own + 1]], axis=1)
        drawn += asked
    return counts, float(drawn.mean())


def called(counts: np.ndarray, problems: np.ndarray, by_posterior: bool) -> np.ndarray:
    """[n] bool: which sentences are called anchors."""
    if by_posterior:
        return posterior_labels(counts, problems, THRESHOLD).anchor_chance >= 0.5
    first, right, second, other = counts.T
    importance = right / np.maximum(first, 1) - other / np.maximum(second, 1)
    return (first > 0) & (second > 0) & (np.abs(importance) >= THRESHOLD)


@cache
def campaigns(name: str, sets: int) -> dict[str, np.ndarray]:
    """Of pairs of campaigns of the same worlds: rollouts a sentence, recall, precision, F1, agreement; [sets] each."""
    rule, by_posterior = RULES[name]
    found: dict[str, list[float]] = {key: [] for key in ("rollouts", "recall", "precision", "f1", "jaccard")}
    for number in range(sets):
        rng = np.random.default_rng([41, number])
        world = drawn_world(rng)
        truth = np.abs(world[2] - world[3]) >= THRESHOLD
        pair = [simulated(rng, world, rule) for _ in range(2)]
        calls = [called(counts, world[0], by_posterior) for counts, _ in pair]
        recall = np.mean([(one & truth).sum() / truth.sum() for one in calls])
        precision = np.mean([(one & truth).sum() / max(one.sum(), 1) for one in calls])
        found["rollouts"].append(float(np.mean([spent for _, spent in pair])))
        found["recall"].append(float(recall))
        found["precision"].append(float(precision))
        found["f1"].append(float(2 * recall * precision / max(recall + precision, 1e-9)))
        found["jaccard"].append(float((calls[0] & calls[1]).sum() / max((calls[0] | calls[1]).sum(), 1)))
    return {key: np.array(values) for key, values in found.items()}


def reliability(name: str, figure: str, comparison: str, bar: float | None, sets: int) -> Record:
    """One figure of a rule."""
    found = campaigns(name, sets)
    words = {"f1": "F1 of called anchors", "jaccard": "agreement (Jaccard) of two campaigns", "rollouts": "rollouts"}
    error = found[figure].std(ddof=1) / np.sqrt(sets)
    detail = (
        f"{found['rollouts'].mean():.0f} rollouts a sentence, recall {found['recall'].mean():.2f}, precision "
        f"{found['precision'].mean():.2f}; Monte-Carlo error {error:.3f}"
    )
    return record(f"{words[figure]}, {name}", float(found[figure].mean()), comparison, bar, sets, detail)


def false_anchors(naive: bool, sets: int) -> Record:
    """Share of sentences without effect whose interval leaves out 0 at some look: 20 looks, 20 rollouts each."""
    rng, batch, looks = np.random.default_rng(42), 20, 20
    base, share = rng.beta(4, 4, sets), rng.beta(1.2, 0.8, sets)
    counts, ever = np.zeros((sets, 4), dtype=np.int64), np.zeros(sets, dtype=bool)
    for _ in range(looks):
        others = rng.binomial(batch, share)
        counts += np.stack(
            [others, rng.binomial(others, base), np.full(sets, batch), rng.binomial(batch, base)], axis=1
        )
        low, high = (difference_interval if naive else difference_sequence)(counts, 0.05)
        ever |= (low > 0) | (high < 0)
    claim = "a sentence without effect is called an anchor at some of 20 looks" + naive * ", interval of one look"
    error = np.sqrt(ever.mean() * (1 - ever.mean()) / sets)
    detail = f"{ever.sum()} of {sets}; Monte-Carlo error {error:.4f}"
    return record(claim, ever.mean(), ">=" if naive else "<=", 0.15 if naive else 0.05, sets, detail)


@cache
def reused(sets: int) -> dict[str, np.ndarray]:
    """Campaigns of 100 rollouts a sentence over the finite tree: draws a rollout, errors, whether intervals cover."""
    engine = ScriptedEngine(tree())
    it, judge, truth = task(engine), judgement(engine), np.array(truths(engine))
    ratio, errors, accuracies, covered = [], [], [], []
    for number in range(sets):
        rollouts = {}
        for place in it.prefixes:
            key = hashlib.sha256(f"{number} {place}".encode()).hexdigest()
            seeds = [seed_of(key, one) for one in range(100)]
            given = engine.sample(it.trace.prefix(place), seeds, SAMPLING)
            drawn = [Drawn(one, seed, whole) for one, (seed, whole) in enumerate(zip(seeds, given, strict=True))]
            rollouts[place] = judge.rollouts(drawn, it)
        result = judge.result(it, rollouts, stopped=False)
        entries = result.labels()[:-1]
        ratio.append(sum(map(len, result.draws.values())) / sum(map(len, rollouts.values())))
        errors.append([one["counterfactual_importance_accuracy"] for one in entries] - truth[:, 0])
        accuracies.append([one["accuracy"] for one in entries] - truth[:, 1])
        low, high = np.array([one["interval"] for one in entries]).T
        covered.append((low <= truth[:, 0]) & (truth[:, 0] <= high))
    return {
        "ratio": np.array(ratio),
        "errors": np.array(errors),
        "accuracies": np.array(accuracies),
        "covered": np.array(covered),
    }


def reuse(figure: str, sets: int) -> Record:
    """One figure of re-use."""
    found = reused(sets)
    if figure == "ratio":
        values, words, comparison, bar = found["ratio"], "draws per rollout with verbatim re-use", ">=", 1.2
    elif figure == "covered":
        values, words, comparison, bar = found["covered"].mean(axis=1), "coverage of the 95 % interval", "in", None
    else:
        values = found[figure].mean(axis=1)
        named = {"errors": "importance", "accuracies": "accuracy"}[figure]
        words, comparison, bar = f"bias of the {named} with re-use, mean over sentences", "<=", 0.002
    value, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(sets))
    detail = f"{value:+.4f}, {len(STEPS) - 1} sentences a campaign; Monte-Carlo error {error:.4f}"
    return record(f"{words}, finite tree", abs(value), comparison, bar, sets, detail)


def record(claim: str, value: float, comparison: str, bar: float | None, n: int, detail: str) -> Record:
    """One measured claim."""
    return {"claim": claim, "value": float(value), "comparison": comparison, "bar": bar, "n": n, "detail": detail}
