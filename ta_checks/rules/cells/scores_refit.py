"""Scores come from a fit to the training sentences and to nothing else.

Linear models are fitted again by plain scikit-learn, not by the project's own models.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_checks.evidence import FOLD, KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import CONTINUOUS, POSITION_COLUMNS, SCORE_PREFIX, TARGET_COLUMN

SAMPLE_SEED = 0
TOLERANCE = 0.01
"""In probability, or in standard deviations of a continuous score. Another machine's rounding gives less than 0.001,
one of 14 training problems more or less gives 0.1 and above."""
INVERSE_PENALTY, MAX_ITERATIONS = 1.0, 1_000
RIDGE_PENALTY = 1.0
TEXT, MOST_WORDS = "text_only_baseline", 10_000


@dataclass(frozen=True)
class StoredFit:
    """The stored scores of one linear model, and the sentences that they should follow from."""

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
    scaled: bool = True
    """Whether columns are standardized over the training rows."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored scores of the linear models against the setting's split, or one of its folds."""
    options = evidence.study.probe_options
    continuous = options.target in CONTINUOUS
    target = TARGET_COLUMN[options.target]
    # folds are fitted by one and the same code: one of them is enough
    fold = random.Random(SAMPLE_SEED).choice(list(evidence.fold_rows))
    data, stored = evidence.fold_rows[fold], evidence.value.scores
    if fold is not None:
        stored = stored.take(np.flatnonzero(stored[FOLD] == fold))
    aligned = data.rows[KEYS].merge(stored, on=KEYS, how="left", validate="one_to_one")
    train = (data.rows["split"] == "train").to_numpy()
    vectors, place = np.asarray(data.vectors, np.float32), data.rows[list(POSITION_COLUMNS)].to_numpy(np.float32)
    inputs = {
        "position_baseline": lambda: place,
        "linear_probe": lambda: vectors,
        "activations_plus_position": lambda: np.hstack([vectors, place]),
        TEXT: lambda: _words(data.rows["chunk_text"].tolist(), train),
    }
    fits = (
        StoredFit(
            model if fold is None else f"fold {fold}: {model}",
            features(),
            data.rows[target].to_numpy(np.float64 if continuous else np.int64),
            train,
            aligned[f"{SCORE_PREFIX}{model}"].to_numpy(np.float64),
            continuous=continuous,
            scaled=model != TEXT,
        )
        for model, features in inputs.items()
        if model in options.models
    )
    return {"fits": fits}


def scores_refit(fits: Iterable[StoredFit]) -> Verdict:
    """Fail when scores of sentences outside training differ from those of a model fitted to the training rows alone."""
    worst, offenders, n = 0.0, [], 0
    for fit in fits:
        n += 1
        held = ~fit.train
        differences = np.abs(fit.scores[held].astype(np.float64) - _refitted(fit)[held])
        scale = (float(fit.scores.std()) or 1.0) if fit.continuous else 1.0
        # NaN is infinitely far
        largest = float(np.nan_to_num(differences / scale, nan=np.inf).max(initial=0.0))
        worst = max(worst, largest)
        if largest > TOLERANCE:
            offenders.append(f"{fit.name}: scores differ by up to {largest:.3g} from a fit to its training sentences")
    if not n:
        return Verdict.skipped("the study has no model that can be fitted again")
    return Verdict.judge(
        worst,
        "<=",
        TOLERANCE,
        unit="difference",
        n=n,
        offenders=offenders,
        message=f"{n - len(offenders)} of {n} models have the scores of a fit to their training sentences",
    )


ROW = Invariant(
    "scores_refit",
    "seed_free_scores",
    read,
    scores_refit,
    "A linear model, fitted again to the training sentences, gives other scores than the stored ones: it saw test "
    "sentences, other labels, or other features. Materialize seed_free_scores; if it stays red, the fit is wrong.",
)


def _words(texts: list[str], train: np.ndarray) -> np.ndarray:
    """[n, d] float64 TF-IDF of the words and pairs of words of the training rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), max_features=MOST_WORDS)
    vectorizer.fit([text for text, inside in zip(texts, train, strict=True) if inside])
    found: Any = vectorizer.transform(texts)
    return found.toarray()


def _refitted(fit: StoredFit) -> np.ndarray:
    """[n] float64 scores of a model fitted to the training rows."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        x = StandardScaler().fit(fit.features[fit.train]).transform(fit.features) if fit.scaled else fit.features
        if fit.continuous:
            model = Ridge(alpha=RIDGE_PENALTY).fit(x[fit.train], fit.target[fit.train])
            return np.asarray(model.predict(x), dtype=np.float64)
        logistic = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=MAX_ITERATIONS)
        return np.asarray(logistic.fit(x[fit.train], fit.target[fit.train]).predict_proba(x)[:, 1], dtype=np.float64)
