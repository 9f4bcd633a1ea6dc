"""Rule: scores come from a fit to the training sentences and to nothing else.

Belongs here: this rule, which fits by plain scikit-learn. Stays out: the project's own models (``core.probes``), which
models are asked about, reading, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ta_checks.verdict import Verdict

TOLERANCE = 0.01
"""In probability, or in standard deviations of a continuous score. Another machine's rounding gives less than 0.001,
one of 14 training problems more or less gives 0.1 and above."""
INVERSE_PENALTY, MAX_ITERATIONS = 1.0, 1_000
RIDGE_PENALTY = 1.0


@dataclass(frozen=True)
class StoredFit:
    """One linear model's scores and what they should follow from."""

    name: str
    features: np.ndarray
    """[n, d] float32."""
    target: np.ndarray
    """[n] anchors, or importance where ``continuous``."""
    train: np.ndarray
    """[n] bool."""
    scores: np.ndarray
    """[n] float, as stored."""
    continuous: bool = False


def scores_refit(fits: Iterable[StoredFit]) -> Verdict:
    """Fail when scores of sentences outside training differ from those of a model fitted to the training rows alone."""
    worst, offenders, n = 0.0, [], 0
    for one in fits:
        n += 1
        held = ~one.train
        difference = np.abs(one.scores[held].astype(np.float64) - _refitted(one)[held])
        scale = (float(one.scores.std()) or 1.0) if one.continuous else 1.0
        # NaN is infinitely far
        found = float(np.nan_to_num(difference / scale, nan=np.inf).max(initial=0.0))
        worst = max(worst, found)
        if found > TOLERANCE:
            offenders.append(f"{one.name}: scores differ by up to {found:.3g} from a fit to its training sentences")
    if not n:
        return Verdict.skipped("the study has no model that can be fitted again")
    return Verdict.judge(
        worst, "<=", TOLERANCE, unit="difference", n=n, offenders=offenders,
        message=f"{n - len(offenders)} of {n} models have the scores of a fit to their training sentences",
    )  # fmt: skip


def _refitted(one: StoredFit) -> np.ndarray:
    """[n] float64."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        scaler = StandardScaler().fit(one.features[one.train])
        x = scaler.transform(one.features)
        if one.continuous:
            model = Ridge(alpha=RIDGE_PENALTY).fit(x[one.train], one.target[one.train])
            return np.asarray(model.predict(x), dtype=np.float64)
        logistic = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=MAX_ITERATIONS)
        return np.asarray(logistic.fit(x[one.train], one.target[one.train]).predict_proba(x)[:, 1], dtype=np.float64)
