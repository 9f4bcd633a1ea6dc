"""Whether the comparison errs as rarely as it says: error rates, coverage, power and ceilings on real label tables.

Belongs here: measurement by simulation. Stays out: speed (``inference_speed``), correctness of single functions.

Label tables are the published ones at ``../shared`` (a sentence's position, text, tag and importance); activations are
made up, so the true answer is known. Traces are thinned evenly to a few dozen sentences where whole comparisons run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.linear_model import LinearRegression

from ta_assets.core.comparison.compare import compare
from ta_assets.core.comparison.precision_table import CHANCE, PrecisionTable
from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.crossfit.increment import partial_products
from ta_assets.core.crossfit.spectrum import within_problems
from ta_assets.core.options import InferenceOptions
from ta_assets.core.probes.feature_sets import position_splines
from ta_assets.core.statistics import intervals, power
from ta_assets.core.statistics.label_noise import noise_ceiling, support
from ta_assets.core.statistics.metrics import average_precision
from ta_assets.core.statistics.ranking import (
    average_precision_by_problem,
    problem_average_precision,
    random_average_precision,
)
from ta_assets.core.traces.labels import anchors
from ta_assets.core.traces.rollout_counts import rollout_counts
from tests.core.made_traces import campaign

SHARED = Path(__file__).resolve().parents[3] / "shared"
REFERENCE, TRACES = SHARED / "reference/labels", SHARED / "data/math-rollouts"
OPTIONS = InferenceOptions.model_construct(permutations=60, ceiling_draws=20)
WORKERS = 2
D_MODEL = 16
NULL_SETS, NULL_PROBLEMS, NULL_SENTENCES = 1000, 12, 25
PLANTED_SETS, PLANTED_PROBLEMS, PLANTED_SENTENCES, PLANTED_SIGNAL = 60, 20, 200, 0.95
REPLICATES = 5000
Record = dict[str, Any]


def run() -> list[Record]:
    """Every record that can be measured here."""
    records = [*ceilings(), *constant_scorer()]
    if not (REFERENCE.is_dir() and TRACES.is_dir()):
        print(f"no published labels at {SHARED}: error rates are not measured")
        return records
    return [
        *public_labels(),
        *records,
        *coverage(),
        *realised_power(),
        family_wise(),
        *position_functions(),
        planted_increments(),
        false_claims(),
        *labels_of_nothing(),
    ]


@cache
def pool() -> tuple[pd.DataFrame, ...]:
    """Published traces: two correct corpora of twenty, and the incorrect ones of eight problems, each once."""
    tables = [pd.read_parquet(REFERENCE / f"{name}.parquet") for name in ("llama_correct", "qwen_correct")]
    found = [rows.reset_index(drop=True) for table in tables for _, rows in table.groupby("problem_id")]
    for path in sorted(TRACES.rglob("incorrect_base_solution/*/chunks_labeled.json")):
        chunks = json.loads(path.read_text(encoding="utf-8"))[:-1]
        n = len(chunks)
        raw = np.array([chunk["counterfactual_importance_accuracy"] for chunk in chunks])
        found.append(
            pd.DataFrame(
                {
                    "chunk_idx": np.arange(n),
                    "num_chunks": n,
                    "chunk_text": [chunk["chunk"] for chunk in chunks],
                    "function_tag": [chunk["function_tags"][0] for chunk in chunks],
                    "importance_score": np.abs(raw),
                    "relative_position": np.arange(n) / max(n - 1, 1),
                    "token_count": [1 + len(chunk["chunk"]) // 4 for chunk in chunks],
                    "anchor": anchors(raw, 90),
                }
            )
        )
    columns = list(found[-1].columns)
    return tuple(rows.reindex(columns=columns) for rows in found)


def drawn_traces(rng: np.random.Generator, n_problems: int, n_sentences: int | None) -> pd.DataFrame:
    """Different traces of the pool under new ids, thinned evenly, anchors taken anew."""
    frames = []
    for problem, index in enumerate(rng.choice(len(pool()), n_problems, replace=False)):
        rows = pool()[index]
        if n_sentences is not None:
            kept = np.unique(np.linspace(0, len(rows) - 1, n_sentences).round().astype(int))
            rows = rows.take(kept).reset_index(drop=True)
            n = len(rows)
            rows = rows.assign(
                chunk_idx=np.arange(n),
                num_chunks=n,
                relative_position=np.arange(n) / max(n - 1, 1),
                anchor=anchors(rows["importance_score"].to_numpy(), 90),
            )
        frames.append(rows.assign(problem_id=problem + 1))
    return pd.concat(frames, ignore_index=True)


def made_activations(rows: pd.DataFrame, signal: float, rng: np.random.Generator) -> np.ndarray:
    """Noise, a trace of position as real activations have, and the anchors as strongly as ``signal`` says."""
    position = rows["relative_position"].to_numpy()
    vectors = rng.normal(size=(len(rows), D_MODEL))
    for shape in (position, np.exp(-5 * position)):
        vectors += np.outer(shape, rng.normal(size=D_MODEL))
    direction = rng.normal(size=D_MODEL)
    return vectors + signal * np.outer(rows["anchor"], direction / np.linalg.norm(direction))


def _one(arguments: tuple[int, int, int, float]) -> list[dict[str, Any]]:
    seed, n_problems, n_sentences, signal = arguments
    rng = np.random.default_rng([7, seed])
    rows = drawn_traces(rng, n_problems, n_sentences)
    fitted = cross_fitted(rows, {0: made_activations(rows, signal, rng)}, OPTIONS)
    return compare(rows, fitted, OPTIONS)["rows"]


def _many(n: int, *shape: Any) -> Iterator[list[dict[str, Any]]]:
    with ProcessPoolExecutor(WORKERS) as pool_of_processes:
        yield from pool_of_processes.map(_one, [(seed, *shape) for seed in range(n)], chunksize=5)


def false_claims() -> Record:
    """How often any probe on activations that know nothing but position is called better."""
    probes = [
        [row for row in rows if row["kind"] == "probe"] for rows in _many(NULL_SETS, NULL_PROBLEMS, NULL_SENTENCES, 0.0)
    ]
    wrong = sum(any(row["verdict"] == "better" for row in rows) for rows in probes)
    upper = float(beta.ppf(0.95, wrong + 1, NULL_SETS - wrong))
    detail = (
        f"{wrong} of {NULL_SETS} data sets of {NULL_PROBLEMS} real label tables, any of five probes; upper 95 % limit "
        f"{upper:.4f} (at most .064)"
    )
    return record(
        "false 'better' when activations know nothing but position", wrong / NULL_SETS, "<=", 0.05, NULL_SETS, detail
    )


def labels_of_nothing() -> list[Record]:
    """How often any score is called better, or worse, when labels are permuted within problems; true standard errors.

    Both schemes of folds: 12 problems are left out one by one, 44 in ten folds, five times.
    """
    records = []
    for n_problems, sets in ((NULL_PROBLEMS, 400), (44, 60)):
        with ProcessPoolExecutor(WORKERS) as processes:
            found = list(processes.map(_nothing, [(seed, n_problems) for seed in range(sets)], chunksize=5))
        where = f"labels that nothing tells, {n_problems} problems"
        for word in ("better", "worse"):
            wrong = sum(word in one["verdicts"] for one in found)
            detail = f"{wrong} of {sets} data sets, any of twelve scores"
            records.append(record(f"false '{word}' on {where}", wrong / sets, "<=", 0.05, sets, detail))
        leads, errors = (np.array([one[key] for one in found]) for key in ("lead", "error"))
        ratio = float(leads.std(ddof=1) / errors.mean())
        detail = f"ridge over chance: standard deviation of leads {leads.std(ddof=1):.4f}, stated {errors.mean():.4f}"
        records.append(record(f"true over stated standard error on {where}", ratio, "<=", 1.1, sets, detail))
    return records


def _nothing(arguments: tuple[int, int]) -> dict[str, Any]:
    seed, n_problems = arguments
    rng = np.random.default_rng([8, seed])
    rows = drawn_traces(rng, n_problems, NULL_SENTENCES)
    rows = rows.assign(anchor=rows.groupby("problem_id")["anchor"].transform(rng.permutation))
    fitted = cross_fitted(rows, {0: made_activations(rows, 0.0, rng)}, OPTIONS)
    table, pair = PrecisionTable.of(fitted), ("ridge", CHANCE)
    lead = table.difference(pair)
    return {
        "verdicts": [row["verdict"] for row in compare(rows, fitted, OPTIONS)["rows"]],
        "lead": float(lead.mean()),
        "error": table.factor(pair) * float(lead.std(ddof=1)) / np.sqrt(len(lead)),
    }


def planted_increments() -> Record:
    """How often a planted lead of about +.10 is found: some probe is called better than every baseline."""
    sets = [
        [row for row in one if row["kind"] == "probe"]
        for one in _many(PLANTED_SETS, PLANTED_PROBLEMS, PLANTED_SENTENCES, PLANTED_SIGNAL)
    ]
    rows = [next(row for row in one if row["name"] == "banded_ridge") for one in sets]
    lead = float(np.mean([row["difference"] for row in rows]))
    found = float(np.mean([any(row["verdict"] == "better" for row in one) for one in sets]))
    detail = (
        f"any of five probes; banded ridge leads its hardest rival by {lead:+.3f} on the mean, standard "
        f"deviation over problems {np.mean([row['deviation'] for row in rows]):.3f}"
    )
    return record("a planted increment of +.10 AP at 20 problems is called better", found, ">=", 0.8, len(rows), detail)


def position_functions(runs: int = 200) -> list[Record]:
    """How often a smooth non-linear function of position is called an increment, by ours and by the old way."""
    rng = np.random.default_rng(0)
    ours = linear = 0
    trained = intervals.nadeau_bengio(20, 19)
    for _ in range(runs):
        rows = drawn_traces(rng, 20, None)
        problems = rows["problem_id"].to_numpy()
        position = rows["relative_position"].to_numpy()
        waves = [rng.normal() * np.cos(np.pi * (k * position + rng.random())) for k in rng.uniform(0.3, 3, 3)]
        score = np.sum(waves, axis=0) + rng.normal() * np.exp(-rng.uniform(2, 10) * position)
        products = partial_products(rows["anchor"].to_numpy(), score[:, None], problems, position_splines(rows))[:, 0]
        ours += intervals.one_sided_p(products, inflation=trained) <= 0.05
        linear += intervals.one_sided_p(_linear_products(rows, score, problems)) <= 0.05
    claim = "a smooth function of position called an increment"
    return [
        record(
            claim,
            ours / runs,
            "<=",
            0.05,
            runs,
            "20 real label tables; the test of the comparison",
        ),
        record(f"{claim}, linear in-sample residuals", linear / runs, ">", 0.05, runs, "the predecessor's way fails"),
    ]


def _linear_products(rows: pd.DataFrame, score: np.ndarray, problems: np.ndarray) -> np.ndarray:
    position = rows[["chunk_idx", "num_chunks", "relative_position", "token_count"]].to_numpy(float)
    first, second = (
        within_problems(target - LinearRegression().fit(position, target).predict(position), problems)
        for target in (rows["anchor"].to_numpy(float), score)
    )
    return np.array([(first * second)[problems == one].mean() for one in np.unique(problems)])


@cache
def lead_draws(kind: str) -> np.ndarray:
    """[n_problems of the pool, 200] leads of a noisy score over the plain order, a new noise in each column."""
    rng = np.random.default_rng(1)
    leads = []
    for rows in pool():
        labels, n = rows["anchor"].to_numpy(), len(rows)
        order = -np.arange(n) / n
        noise = rng.normal(size=(200, n))
        score = {"random": noise, "order": order + 0.3 * noise, "knowing": order + 0.5 * labels + 0.4 * noise}[kind]
        leads.append(problem_average_precision(labels, score) - problem_average_precision(labels, order[None])[0])
    return np.stack(leads)


def _replicates(kind: str, n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    draws = lead_draws(kind)
    return draws[rng.integers(0, len(draws), (count, n)), rng.integers(0, draws.shape[1], (count, n))]


def coverage() -> list[Record]:
    """Share of intervals that hold the mean lead of the population of traces."""
    records = []
    for n in (5, 10, 20):
        shares = {}
        for kind in ("random", "order", "knowing"):
            mean = lead_draws(kind).mean()
            found = [intervals.interval(one) for one in _replicates(kind, n, REPLICATES, np.random.default_rng(n))]
            shares[kind] = float(np.mean([one is not None and one.low <= mean <= one.high for one in found]))
        detail = "intervals of leads over the order on real label tables: " + ", ".join(
            f"{kind} {share:.3f}" for kind, share in shares.items()
        )
        records.append(
            record(
                f"coverage of the 95 % interval at {n} problems", min(shares.values()), ">=", 0.93, REPLICATES, detail
            )
        )
    return records


def realised_power() -> list[Record]:
    """Power at the number of problems that was predicted to give 80 %."""
    rng, records = np.random.default_rng(2), []
    centred = lead_draws("knowing") - lead_draws("knowing").mean()
    for delta in (0.02, 0.05, 0.1):
        n = power.problems_needed(delta, float(centred.std()))
        assert n is not None
        index = rng.integers(0, centred.shape[0], (REPLICATES, n)), rng.integers(0, centred.shape[1], (REPLICATES, n))
        found = [intervals.t_interval(one) for one in centred[index] + delta]
        share = float(np.mean([one is not None and one.low > 0 for one in found]))
        detail = f"{n} problems predicted for 80 % at a lead of {delta:g}; realised {share:.3f}"
        records.append(
            record(
                f"power at the predicted number, lead {delta:g}: off by",
                abs(share - 0.8),
                "<=",
                0.05,
                REPLICATES,
                detail,
            )
        )
    return records


def family_wise(runs: int = 2000, hypotheses: int = 500, n_problems: int = 20) -> Record:
    """How often the best of many random scores is called better than another random one."""
    rng = np.random.default_rng(3)
    scores = np.stack(
        [problem_average_precision(rows["anchor"].to_numpy(), rng.normal(size=(4000, len(rows)))) for rows in pool()]
    )
    wrong = either = naive = 0
    for run_index in range(runs):
        chosen = rng.choice(len(scores), n_problems, replace=False)
        columns = rng.choice(scores.shape[1], hypotheses + 1, replace=False)
        table = scores[np.ix_(chosen, columns)]
        differences = table[:, 1:] - table[:, :1]
        adjusted = intervals.sign_flip_max_t(differences, flips=1000, seed=run_index).adjusted
        wrong += adjusted[differences.mean(axis=0) > 0].min(initial=1.0) <= 0.05
        either += adjusted.min() <= 0.05
        statistic = differences.mean(axis=0) / (differences.std(axis=0, ddof=1) / np.sqrt(n_problems))
        naive += statistic.max() > 2.093
    upper = float(beta.ppf(0.95, wrong + 1, runs - wrong))
    detail = (
        f"{hypotheses} random scores against another on {n_problems} real label tables; upper 95 % limit {upper:.4f} "
        f"(at most .064); better or worse {either / runs:.3f}; naive best-of {naive / runs:.2f} (above .30)"
    )
    return record("family-wise false 'better' over 500 random scores", wrong / runs, "<=", 0.05, runs, detail)


def ceilings(campaigns: int = 10) -> list[Record]:
    """Estimated against planted noise ceilings."""
    records = []
    for zero, spread in ((0.0, 0.1), (0.5, 0.2), (0.8, 0.3), (0.95, 0.4)):
        differences, planted = [], []
        for seed in range(campaigns):
            rows, true = campaign(seed, zero, spread)
            estimated = noise_ceiling(rows, draws=60, seed=0)
            assert estimated is not None
            labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
            planted.append(average_precision_by_problem(labels, np.abs(true)[:, None], problems).mean())
            differences.append(estimated.oracle - planted[-1])
        detail = (
            f"planted {np.mean(planted):.3f}, mean difference {np.mean(differences):+.3f} ± {np.std(differences):.3f}"
        )
        claim = f"noise ceiling, {zero:.0%} of sentences without effect: off by"
        records.append(record(claim, abs(float(np.mean(differences))), "<=", 0.03, campaigns, detail))
    return records


def public_labels() -> list[Record]:
    """What the rollouts say of the published labels."""
    frames = []
    for number, path in enumerate(sorted(TRACES.rglob("chunks_labeled.json"))):
        chunks = json.loads(path.read_text(encoding="utf-8"))
        raw = np.array([chunk["counterfactual_importance_accuracy"] for chunk in chunks])[:-1]
        counts = {name: values[:-1] for name, values in rollout_counts(chunks, 100).items()}
        frames.append(pd.DataFrame({"problem_id": number, "anchor": anchors(raw, 90), **counts}))
    rows = pd.concat(frames, ignore_index=True)
    found, ceiling = support(rows), noise_ceiling(rows, draws=100, seed=0)
    assert found is not None
    assert ceiling is not None
    n, where = found.anchors, f"{found.problems} published problem-settings, {found.sentences} sentences"
    return [
        reported("share of published anchors with Fisher p < .05", found.significant_anchors, n, where),
        reported("share of published anchors that survive FDR 10 %", found.surviving_anchors, n, where),
        reported(
            "published problem-settings without a surviving sentence", found.problems_without, found.problems, where
        ),
        reported("noise ceiling of the published labels, true importances", ceiling.oracle, n, ceiling.assumptions),
        reported("noise ceiling of the published labels, second campaign", ceiling.repeat, n, ceiling.assumptions),
    ]


def constant_scorer() -> list[Record]:
    """A constant score against the prevalence, and in the comparison against a random order."""
    rng = np.random.default_rng(0)
    prevalence = chance = 0.0
    for n in range(2, 200):
        labels = (np.arange(n) < rng.integers(1, n)).astype(int)
        prevalence = max(prevalence, abs(average_precision(labels, np.zeros(n)) - labels.mean()))
        expected = problem_average_precision(labels, np.zeros((1, n)))[0]
        chance = max(chance, abs(expected - random_average_precision(labels)))
    claim = "average precision of a constant score"
    return [
        record(f"{claim} less the prevalence", prevalence, "==", 0.0, 198, "of a cell; exactly"),
        record(f"{claim} less that of a random order", chance, "<=", 1e-12, 198, "of the comparison"),
    ]


def record(claim: str, value: float, comparison: str, bar: float, n: int, detail: str) -> Record:
    """One measured claim."""
    return {"claim": claim, "value": float(value), "comparison": comparison, "bar": bar, "n": n, "detail": detail}


def reported(claim: str, value: float, n: int, detail: str) -> Record:
    """A figure that nothing is asked of."""
    return {"claim": claim, "value": float(value), "comparison": "reported", "bar": None, "n": n, "detail": detail}


def main(names: Sequence[str]) -> None:
    """Measure some of the records: ``python -m tests.benchmarks.inference coverage family_wise``."""
    for name in names:
        measure: Callable[[], Any] = globals()[name]
        print(json.dumps(measure(), indent=1))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
