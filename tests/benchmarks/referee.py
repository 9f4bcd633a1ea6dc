"""What a hostile referee would try: activations that know nothing new, intervals over trained rivals, repeated looks.

Belongs here: measurement by simulation, on worlds that are made here alone. Stays out: error rates on published label
tables (``inference``), labels (``referee_labels``), the list of all rows (``referee_table``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm
from threadpoolctl import threadpool_limits

from ta_assets.core.comparison.compare import compare
from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.one_fit import Fit
from ta_assets.core.crossfit.out_of_fold import EVERY, OutOfFold, Sentences, folds_of
from ta_assets.core.crossfit.spectrum import prepare, within_problems
from ta_assets.core.options import InferenceOptions
from ta_assets.core.probes.feature_sets import position_splines
from ta_assets.core.statistics import intervals, jackknife, looks, power
from ta_assets.core.statistics.looks import Looked
from ta_assets.core.traces.labels import anchors

OPTIONS = InferenceOptions.model_construct(permutations=60, ceiling_draws=20)
WORDS = tuple(f"word{index}" for index in range(30))
TAGS = 4
REGIMES = {
    "nothing": (0.0, 16, 0.0, False),
    "nothing, autocorrelated": (0.0, 64, 0.95, False),
    "nothing, two directions": (0.0, 2, 0.0, False),
    "weak": (0.5, 16, 0.0, False),
    "medium": (1.0, 16, 0.0, False),
    "strong": (2.0, 16, 0.0, False),
    "strong, wide": (2.0, 64, 0.0, False),
    "strong on half of the problems": (2.0, 16, 0.0, True),
}
"""Signal, width of the activations, autocorrelation of labels and activations, signal on half of the problems only."""
Record = dict[str, Any]


def known_world(seed: int, n_problems: int, low: int, high: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels of position, tag and words of this and the preceding sentence; activations that hold them and no more."""
    rng, d = np.random.default_rng([21, seed, n_problems, low]), 24
    embedding, shapes = rng.normal(size=(len(WORDS) + TAGS, d)) / 2, rng.normal(size=(2, d))
    own, before, tagged = rng.normal(size=len(WORDS)), rng.normal(size=len(WORDS)), rng.normal(size=TAGS)
    frames, vectors = [], []
    for problem in range(n_problems):
        m = int(rng.integers(low, high + 1))
        index = np.arange(m)
        early = np.exp(-3 * index / (m - 1))
        tags, words = rng.integers(0, TAGS, m), [rng.integers(0, len(WORDS), rng.integers(3, 7)) for _ in index]
        sums = np.array([own[one].sum() / 2 for one in words])
        sums[1:] += [before[one].sum() / 2 for one in words[:-1]]
        latent = 2 * early + tagged[tags] + sums + rng.normal(size=m)
        bags = np.array([embedding[one].sum(axis=0) for one in words])
        shifted = np.vstack([np.zeros(d), np.roll(bags[:-1], 1, axis=1)])
        place = np.outer(index / (m - 1), shapes[0]) + np.outer(early, shapes[1])
        vectors.append(bags + shifted + embedding[len(WORDS) + tags] + place + 0.3 * rng.normal(size=(m, d)))
        frames.append(_frame(problem, latent, [" ".join(WORDS[k] for k in one) for one in words], tags))
    return pd.concat(frames, ignore_index=True), np.vstack(vectors)


def _frame(problem: int, latent: np.ndarray, texts: list[str], tags: np.ndarray) -> pd.DataFrame:
    m = len(latent)
    ranks = latent.argsort().argsort() + 1.0
    return pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": np.arange(m),
            "num_chunks": m,
            "chunk_text": texts,
            "function_tag": [f"tag{tag}" for tag in tags],
            "importance_score": ranks,
            "anchor": anchors(ranks, 90),
            "relative_position": np.arange(m) / (m - 1),
            "token_count": [2 * len(text.split()) for text in texts],
        }
    )


def called(rows: pd.DataFrame, vectors: np.ndarray, verdict: str, looked: Looked | None = None) -> bool:
    """Whether any score on activations is called that."""
    # the least p-value of a permutation must be below the level
    options = OPTIONS if looked is None else OPTIONS.model_copy(update={"permutations": 200})
    found = compare(rows, cross_fitted(rows, {0: vectors}, options), options, looked)["rows"]
    return any(row["verdict"] == verdict for row in found if row["kind"] in ("increment", "probe"))


def false_better(n_problems: int, low: int, high: int, sets: int) -> Record:
    """How often any score on activations is called better where they hold nothing that is not known without them."""
    wrong = sum(called(*known_world(seed, n_problems, low, high), "better") for seed in range(sets))
    claim = f"false 'better', activations hold only what is known, {n_problems} problems of {low}-{high} sentences"
    return rate(claim, wrong, sets, "<=", 0.05)


def false_of_nothing(verdict: str, n_problems: int, sets: int) -> Record:
    """How often any score is called better, or worse, where nothing tells labels that come in runs."""
    wrong = sum(called(*_nothing(seed, n_problems), verdict) for seed in range(sets))
    claim = f"false {verdict!r}, nothing is known, labels and activations come in runs, {n_problems} problems"
    return rate(claim, wrong, sets, "<=", 0.05)


def _nothing(seed: int, n_problems: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng, frames, vectors = np.random.default_rng([22, seed, n_problems]), [], []
    for problem in range(n_problems):
        m = int(rng.integers(8, 16))
        vectors.append(_autocorrelated(rng, m, 24, 0.97))
        texts = [" ".join(rng.choice(WORDS, 4)) for _ in range(m)]
        frames.append(_frame(problem, _autocorrelated(rng, m, 1, 0.9)[:, 0], texts, rng.integers(0, TAGS, m)))
    return pd.concat(frames, ignore_index=True), np.vstack(vectors)


def false_among_settings(settings: int, n_problems: int, sets: int) -> Record:
    """How often any setting of a study has a score that is called better, where activations hold only what is known."""
    wrong = 0
    for seed in range(sets):
        worlds = (known_world(settings * seed + one + 100_000, n_problems, 8, 15) for one in range(settings))
        wrong += any(called(*world, "better", Looked(settings)) for world in worlds)
    return rate(f"false 'better' in a study of {settings} settings of {n_problems} problems", wrong, sets, "<=", 0.05)


def planted(n_problems: int, signal: float, sets: int) -> Record:
    """How often the increment is found where activations also know a part of the label that nothing else does."""
    found, leads = 0, []
    for seed in range(sets):
        rows, vectors = known_world(seed + 200_000, n_problems, 8, 15)
        rng = np.random.default_rng([23, seed])
        told = signal * (rows["anchor"].to_numpy() - rows["anchor"].mean())
        vectors = np.column_stack([vectors, told + rng.normal(size=len(rows))])
        value = compare(rows, cross_fitted(rows, {0: vectors}, OPTIONS), OPTIONS)["rows"][0]
        found += value["verdict"] == "better"
        leads.append(value["difference"])
    claim = f"a planted increment is found at {n_problems} problems, mean lead {np.mean(leads):+.2f}"
    return rate(claim, found, sets, ">=", 0.8)


def trained_lead(seed: int, n_problems: int, regime: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Lead of a ridge probe over the trained splines by problem, without each problem, and the expected factor."""
    signal, d, rho, half = REGIMES[regime]
    rng = np.random.default_rng([11, seed, n_problems, sorted(REGIMES).index(regime)])
    direction, shapes = rng.normal(size=d), rng.normal(size=(2, d))
    frames, vectors = [], []
    for problem in range(n_problems):
        m = int(rng.integers(8, 16))
        position = np.arange(m) / (m - 1)
        noise = _autocorrelated(rng, m, d + 1, rho)
        told = noise[:, :d] @ direction / np.linalg.norm(direction)
        told = rng.normal(size=m) if half and problem % 2 else told
        latent = signal * told + (signal > 0) * np.exp(-3 * position) + noise[:, d]
        place = np.outer(position, shapes[0]) + np.outer(np.exp(-5 * position), shapes[1])
        vectors.append(noise[:, :d] + place)
        frames.append(_frame(problem, latent, [""] * m, np.zeros(m, dtype=int)))
    sentences = Sentences(pd.concat(frames, ignore_index=True), {0: np.vstack(vectors)})
    folds = evaluation_folds(sentences.problems.tolist())
    found, target = OutOfFold(sentences, len(folds.repeats)), within_problems(sentences.anchors, sentences.problems)
    with threadpool_limits(1):
        for name, features in (("probe", sentences.blocks[0]), ("rival", position_splines(sentences.rows))):
            found.expect(name)
            ready = prepare(features, sentences.problems)
            for fold in folds_of(folds, sentences.problems):
                Fit.of(ready, fold, target, sentences).put_tuned_ridge(found, name)
    without = (found.without[EVERY, "probe"] - found.without[EVERY, "rival"]).mean(axis=0)
    return np.diag(without).copy(), without, intervals.nadeau_bengio(len(without), folds.fewest_train)


def _autocorrelated(rng: np.random.Generator, m: int, d: int, rho: float) -> np.ndarray:
    values = rng.normal(size=(m, d))
    for row in range(1, m):
        values[row] = rho * values[row - 1] + np.sqrt(1 - rho**2) * values[row]
    return values


def coverage(regime: str, n_problems: int, sets: int) -> Record:
    """Share of intervals of a lead over a trained rival that hold the mean lead over data sets."""
    drawn = [trained_lead(seed, n_problems, regime) for seed in range(sets)]
    truth = float(np.mean([lead.mean() for lead, _, _ in drawn]))
    found = [
        intervals.interval(lead, inflation=jackknife.factor(lead, without, expected))
        for lead, without, expected in drawn
    ]
    hit = sum(one is not None and one.low <= truth <= one.high for one in found)
    claim = f"coverage of the interval of a lead over a trained rival, {regime}, {n_problems} problems"
    return rate(claim, hit, sets, ">=", 0.93) | {"true_lead": truth}


def planned_power(true_needed: int, pilot: int, pilots: int) -> Record:
    """Share of pilots after whose stated number of problems the power at the lead of interest is at least .8."""
    rng, lead = np.random.default_rng([true_needed, pilot]), 0.05
    low, high = 1e-3, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        needed = power.problems_needed(lead, middle)
        low, high = (middle, high) if needed is not None and needed < true_needed else (low, middle)
    reached = 0
    for _ in range(pilots):
        stated = power.needed_for_lead(lead, float(rng.normal(0, high, pilot).std(ddof=1)), pilot).problems
        reached += stated is None or power.power(lead, high, stated) >= power.TARGET
    claim = f"power at the stated number is at least .8, true number {true_needed}, pilot of {pilot}"
    return rate(claim, reached, pilots, ">=", 0.8)


def repeated_looks(sets: int) -> Record:
    """How often a true zero is significant at some of four looks, by the levels of ``looks``."""
    information = (12, 20, 40, 80)
    values = np.random.default_rng(5).normal(size=(sets, information[-1]))
    passed = np.zeros(sets, dtype=bool)
    for n, level in zip(information, looks.levels(information), strict=True):
        passed |= np.abs(values[:, :n].sum(axis=1) / np.sqrt(n)) > norm.isf(level / 2)
    return rate(
        "a true zero is significant at some of four looks (12, 20, 40, 80)", int(passed.sum()), sets, "<=", 0.05
    )


def rate(claim: str, hits: int, n: int, comparison: str, bar: float) -> Record:
    """A measured share with its Wilson interval and Monte-Carlo error."""
    share = hits / n
    limits = binomtest(hits, n).proportion_ci(method="wilson")
    error = np.sqrt(share * (1 - share) / n)
    detail = f"{hits} of {n}; 95 % [{limits.low:.3f}, {limits.high:.3f}], Monte-Carlo error {error:.3f}"
    return {"claim": claim, "value": share, "comparison": comparison, "bar": bar, "n": n, "detail": detail}
