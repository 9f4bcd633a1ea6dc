"""The comparison's algebra against refitting with scikit-learn: how much faster, and how far apart.

Belongs here: measurement. Stays out: error rates (``inference``). CPU time, one BLAS thread, ours and the plain way in
turn on the same correlated features; the plain way is measured on a few fits and multiplied.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from ta_assets.core.comparison.compare import compare
from ta_assets.core.crossfit import logistic, ridge
from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.options import InferenceOptions
from tests.benchmarks.inference import Record, record
from tests.core.made_traces import made_rows

TRAIN_PROBLEMS, TEST_PROBLEMS, PER_PROBLEM = 17, 3, 125
PERMUTATIONS = 1000
WIDTHS = {576: (150.0, 10.0), 5120: (1000.0, 30.0)}
"""d_model -> least ratios of the ridge and the logistic null."""
ROUNDS = 3
LOGISTIC_COLUMNS = 50
SKLEARN_TOLERANCE = 1e-6
"""At which scikit-learn is less exact than ours."""
REPORT_SECONDS = 60.0


def run() -> list[Record]:
    """Every record."""
    with threadpool_limits(1):
        records = [one for d in WIDTHS for one in (*ridge_null(d), *logistic_null(d))]
    return [*records, whole_report(), equal_bits()]


def ridge_null(d: int) -> list[Record]:
    """All labels and penalties from one spectrum against one fit for each of them."""
    features, labels, problems, train = setting(d)
    targets = within_problems(labels, problems)
    new, plain_seconds, ours_seconds, off = features[~train], [], [], 0.0

    def ours() -> tuple[np.ndarray, np.ndarray]:
        spectrum = Spectrum.of(features[train])
        at = ridge.penalties(spectrum)
        projected = spectrum.project(new).astype(np.float32)
        return at, ridge.scores(spectrum, projected, targets[train].astype(np.float32), at)

    for number in range(ROUNDS):
        seconds, (at, scores) = cpu(ours)
        ours_seconds.append(seconds)
        index = (number * 5) % len(at)
        column = 10 * number
        seconds, fit = cpu(
            lambda index=index, column=column, at=at: Ridge(alpha=at[index], fit_intercept=False).fit(
                features[train], targets[train, column]
            )
        )
        plain_seconds.append(seconds)
        off = max(off, float(np.abs(fit.predict(new) - scores[index, :, column]).max()))
    fits = PERMUTATIONS * len(ridge.PENALTY_GRID)
    ratio = fits * median(plain_seconds) / median(ours_seconds)
    detail = (
        f"{fits} fits: {fits * median(plain_seconds):.0f} s (one {median(plain_seconds):.3f} s) against "
        f"{median(ours_seconds):.2f} s, n = {len(labels)}"
    )
    claim = f"ridge null, {PERMUTATIONS} labels x {len(ridge.PENALTY_GRID)} penalties, d = {d}"
    return [
        record(f"{claim}: times faster than refitting", ratio, ">=", WIDTHS[d][0], fits, detail),
        record(f"{claim}: largest difference of a score", off, "<=", 5e-4, ROUNDS, "float32 against float64"),
    ]


def logistic_null(d: int) -> list[Record]:
    """Fifty label vectors in one solve against scikit-learn at no better accuracy."""
    features, labels, _, train = setting(d)
    rows, anchors = features[train], labels[train, :LOGISTIC_COLUMNS].astype(int)
    weights = logistic.balanced_weights(anchors, np.ones(anchors.shape, dtype=bool))
    at = np.ones(LOGISTIC_COLUMNS)
    spectrum = Spectrum.of(rows)
    exact = logistic.fit(spectrum.coordinates, anchors[:, :1], weights[:, :1], at[:1], tolerance=1e-10)
    truth = exact.scores(spectrum.coordinates)[:, 0]

    def ours() -> np.ndarray:
        own = Spectrum.of(rows)
        small = own.coordinates.astype(np.float32)
        return logistic.fit(small, anchors, weights, at).scores(own.coordinates)

    def plain() -> np.ndarray:
        model = LogisticRegression(C=1.0, class_weight="balanced", tol=SKLEARN_TOLERANCE, max_iter=100_000)
        return model.fit(rows, anchors[:, 0]).decision_function(rows)

    ours_seconds, fitted = cpu(ours)
    plain_seconds, scores = cpu(plain)
    ours_off, plain_off = (float(np.abs(one - truth).max()) for one in (fitted[:, 0], scores))
    ratio = LOGISTIC_COLUMNS * plain_seconds / ours_seconds
    detail = (
        f"{LOGISTIC_COLUMNS} labels: one fit {plain_seconds:.2f} s with largest error {plain_off:.1e} of a log-odds, "
        f"ours {ours_seconds / LOGISTIC_COLUMNS * 1000:.1f} ms (decomposition included) with {ours_off:.1e}"
    )
    claim = f"logistic null, d = {d}: times faster than refitting at equal accuracy"
    return [record(claim, ratio if ours_off <= plain_off else 0.0, ">=", WIDTHS[d][1], LOGISTIC_COLUMNS, detail)]


def whole_report() -> Record:
    """Twenty problems, five probes, 1,000 permutations twice, ceiling and power, in a new process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "tests.benchmarks.inference_speed", "report"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    detail = "20 problems, 2,500 sentences, d = 576; CPU seconds of the process, imports included"
    return record("whole leave-one-problem-out report, cold: CPU seconds", seconds, "<=", REPORT_SECONDS, 1, detail)


def report() -> dict[str, Any]:
    """The report that is timed."""
    rows, vectors = synthetic(576)
    options = InferenceOptions.model_construct(permutations=PERMUTATIONS)
    return compare(rows, cross_fitted(rows, {15: vectors}, options), options)


def equal_bits() -> Record:
    """Whether one and two threads, and another order of the rows, give the same comparison."""
    rows, vectors = synthetic(64, 8, 40)
    options = InferenceOptions.model_construct(permutations=100, ceiling_draws=20)
    shuffled = np.random.default_rng(1).permutation(len(rows))
    found = set()
    for threads, order in ((1, np.arange(len(rows))), (2, np.arange(len(rows))), (2, shuffled)):
        with threadpool_limits(threads):
            own = rows.take(order).reset_index(drop=True)
            fitted = cross_fitted(own, {15: vectors[order]}, options)
            found.add(json.dumps(compare(own, fitted, options), sort_keys=True))
    claim = "different comparisons over 1 and 2 threads and two orders of rows"
    return record(claim, len(found), "==", 1, 3, "compared as JSON, every digit")


def synthetic(d: int, n_problems: int = 20, n_sentences: int = 125) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows and correlated activations that know a little."""
    rows = made_rows(n_problems, n_sentences)
    vectors = correlated(len(rows), d, np.random.default_rng(0))
    return rows, vectors + 0.02 * rows["anchor"].to_numpy()[:, None]


def setting(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features [2500, d], labels [2500, 1000], problems and the train mask."""
    rng = np.random.default_rng(0)
    problems = np.repeat(np.arange(TRAIN_PROBLEMS + TEST_PROBLEMS), PER_PROBLEM)
    features = prepare(correlated(len(problems), d, rng), problems)
    labels = (rng.random((len(problems), PERMUTATIONS)) < 0.1).astype(np.float64)
    return features, labels, problems, problems < TRAIN_PROBLEMS


def correlated(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors with a spectrum that falls as 1/k, as those of language models do roughly."""
    return rng.normal(size=(n, d)) / np.arange(1, d + 1) @ np.linalg.qr(rng.normal(size=(d, d)))[0]


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


if __name__ == "__main__":
    if sys.argv[1:] == ["report"]:
        report()
    else:
        print(json.dumps(run(), indent=1))
