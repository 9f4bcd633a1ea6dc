"""The grouped bootstrap against the concatenate-and-resort way: how much faster, and how far apart.

Belongs here: measurement. Stays out: correctness beyond the largest difference (its tests).

Both ways run interleaved, in CPU time, with one BLAS thread, on the same draws of synthetic sentences without ties.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from sklearn.metrics import auc, precision_recall_curve
from threadpoolctl import threadpool_limits

from ta_assets.core.statistics.resampling import delta_draws

DRAWS = 2000
ROUNDS = 4
FAST_REPEATS = 5
PREVALENCE = 0.1
MAX_DIFFERENCE = 1e-12


@dataclass(frozen=True)
class Case:
    """Synthetic sentences: two scores that know a little of the anchors."""

    n_problems: int
    n_rows: int
    min_ratio: float

    def sentences(self, seed: int = 0) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Anchors [n_rows], two scores [n_rows] float32, problems [n_rows]."""
        rng = np.random.default_rng(seed)
        labels = (rng.random(self.n_rows) < PREVALENCE).astype(np.int64)
        score_a, score_b = ((rng.normal(size=self.n_rows) + 0.5 * labels).astype(np.float32) for _ in range(2))
        problems = np.sort(np.arange(self.n_rows) % self.n_problems)
        return labels, (score_a, score_b), problems


CASES = (Case(20, 2500, 100.0), Case(3, 600, 1000.0))


def run() -> list[dict[str, Any]]:
    """Measure every case; two records each: the ratio of CPU times and the largest difference of a draw."""
    records = []
    for case in CASES:
        with threadpool_limits(1):
            records += _measure(case)
    return records


def concatenated_deltas(
    labels: np.ndarray, scores: tuple[np.ndarray, np.ndarray], problems: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """The plain way: for each draw [n_problems] of problem indices, concatenate, sort, take both areas; [n_draws]."""
    rows = [np.flatnonzero(problems == one) for one in np.unique(problems)]
    deltas = np.full(len(drawn), np.nan)
    for index, draw in enumerate(drawn):
        at = np.concatenate([rows[group] for group in draw])
        if 0 < labels[at].sum() < len(at):
            areas = []
            for score in scores:
                precision, recall, _ = precision_recall_curve(labels[at], score[at])
                areas.append(auc(recall, precision))
            deltas[index] = areas[0] - areas[1]
    return deltas


def _measure(case: Case) -> list[dict[str, Any]]:
    labels, scores, problems = case.sentences()
    drawn = np.random.default_rng(0).integers(0, case.n_problems, (DRAWS, case.n_problems))

    def ours() -> np.ndarray:
        return delta_draws(labels, scores, problems, iterations=DRAWS, seed=0)

    ours()
    plain_seconds, our_seconds, plain = 0.0, [], []
    for part in np.array_split(drawn, ROUNDS):
        seconds, deltas = _cpu(lambda part=part: concatenated_deltas(labels, scores, problems, part))
        plain_seconds += seconds
        plain.append(deltas)
        our_seconds += [_cpu(ours)[0] for _ in range(FAST_REPEATS)]
    difference = float(np.nanmax(np.abs(np.concatenate(plain) - ours())))
    detail = (
        f"{DRAWS} draws: {plain_seconds:.2f} s concatenated and re-sorted, {median(our_seconds) * 1000:.2f} ms ours "
        f"(median of {len(our_seconds)}); CPU time, interleaved, one BLAS thread"
    )
    where = f"{case.n_problems} problems, {case.n_rows} sentences"
    return [
        {
            "claim": f"grouped bootstrap, {where}: times faster than concatenate-and-resort",
            "value": plain_seconds / median(our_seconds),
            "comparison": ">=",
            "bar": case.min_ratio,
            "n": DRAWS,
            "detail": detail,
        },
        {
            "claim": f"grouped bootstrap, {where}: largest difference of a draw",
            "value": difference,
            "comparison": "<=",
            "bar": MAX_DIFFERENCE,
            "n": DRAWS,
            "detail": "same draws, PR-AUC difference of each draw against scikit-learn",
        },
    ]


def _cpu(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
