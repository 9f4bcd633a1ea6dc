"""The predictions of a cell are about its own sentences, and its metrics follow from them.

Measured with scikit-learn and scipy, not with the project's metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.evidence import FOLD, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import SCORE_PREFIX, TARGET_COLUMN

KEYS = ["problem_id", "chunk_idx", "split"]
PARTS = ("val", "test")
TOLERANCE = 1e-6
"""Scores are float32, sums of precisions float64."""


@dataclass(frozen=True)
class PredictedPart:
    """A cell, or one fold of it."""

    name: str
    """Start of its messages; empty for a single split."""
    expected: pd.DataFrame
    """problem_id, chunk_idx, split, anchor and importance columns of every val and test sentence."""
    predictions: pd.DataFrame
    """The same columns, ``seed``, and ``score_<model>``."""
    metrics: Mapping[str, Any]
    """``seed`` and ``models`` {model: {val, test: {metric: number or None}}}."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored predictions and metrics against the sentences of the cell's split, or of its folds."""
    value = evidence.value
    parts = []
    for fold, data in evidence.fold_rows.items():
        rows = data.rows.take(np.flatnonzero(data.rows["split"] != "train"))
        table = value.predictions
        own = table if fold is None else table.take(np.flatnonzero(table[FOLD] == fold))
        metrics = value.metrics if fold is None else value.metrics["folds"].get(str(fold), {"seed": None, "models": {}})
        parts.append(PredictedPart("" if fold is None else f"fold {fold}: ", rows, own, metrics))
    options = evidence.study.probe_options
    return {
        "parts": parts,
        "seed": evidence.cell.seed,
        "models": options.models,
        "target": TARGET_COLUMN[options.target],
    }


def predictions_recompute(parts: Iterable[PredictedPart], *, seed: int, models: Iterable[str], target: str) -> Verdict:
    """Fail on predictions of other sentences, labels or seeds, and on a primary metric that they do not give.

    Args:
        parts: the cell's split, or its folds.
        seed: the cell's.
        models: those that the study asks for.
        target: column that is predicted; ``anchor`` is measured by average precision, others by rank correlation.
    """
    models, parts = list(models), list(parts)
    faults = [f"{part.name}{fault}" for part in parts for fault in _faults(part, seed, models, target)]
    n = sum(len(part.expected) for part in parts)
    if not n:
        return Verdict.failed("there are no predictions")
    message = f"{n} predictions of {len(models)} models measured again, {len(faults)} faults"
    return Verdict.no_faults(faults, n=n, message=message)


ROW = Invariant(
    "predictions_recompute",
    "probe_metrics",
    read,
    predictions_recompute,
    "The predictions are of other sentences, labels or another seed, or the metrics are not theirs: the cell was "
    "copied, or measured on something else. Materialize the cell; if it stays red, the evaluation is wrong.",
)


def _faults(part: PredictedPart, seed: int, models: list[str], target: str) -> list[str]:
    found, wanted = (table.sort_values(KEYS, ignore_index=True) for table in (part.predictions, part.expected))
    if len(found) != len(wanted) or not found[KEYS].astype(str).equals(wanted[KEYS].astype(str)):
        return [f"{len(found)} predictions are not of the {len(wanted)} val and test sentences of the cell"]
    faults = [
        f"{int(differ.sum())} predictions have another {column} than their sentence"
        for column in dict.fromkeys(("anchor", "importance_score", target))
        if (differ := found[column].to_numpy() != wanted[column].to_numpy()).any()
    ]
    seeds = {int(one) for one in found["seed"].unique()} | {part.metrics["seed"]}
    if seeds != {seed}:
        faults.append(f"made with seed {', '.join(map(str, sorted(seeds - {seed})))}, expected {seed}")
    faults += [f"{model} has no scores" for model in models if f"{SCORE_PREFIX}{model}" not in found]
    for model in (model for model in models if f"{SCORE_PREFIX}{model}" in found):
        for name in PARTS:
            rows = wanted.index[wanted["split"] == name]
            value = _measure(wanted.loc[rows], found.loc[rows, f"{SCORE_PREFIX}{model}"].to_numpy(np.float64), target)
            stored = part.metrics["models"].get(model, {}).get(name, {}).get(_metric(target))
            if (stored is None) != np.isnan(value) or (stored is not None and not abs(stored - value) <= TOLERANCE):
                faults.append(f"{model}.{name}.{_metric(target)} is {stored}, the predictions give {value:.6g}")
    return faults


def _metric(target: str) -> str:
    return "average_precision" if target == "anchor" else "spearman_mean"


def _measure(rows: pd.DataFrame, scores: np.ndarray, target: str) -> float:
    """Average precision, or mean rank correlation within problems; NaN where there is nothing to rank."""
    from scipy.stats import spearmanr
    from sklearn.metrics import average_precision_score

    if not np.isfinite(scores).all():
        return float("nan")
    truth = rows[target].to_numpy()
    if target == "anchor":
        return float(average_precision_score(truth, scores)) if 0 < truth.sum() < len(truth) else float("nan")
    found = []
    for problem in rows["problem_id"].unique():
        at = (rows["problem_id"] == problem).to_numpy()
        if len(np.unique(truth[at])) > 1 and len(np.unique(scores[at])) > 1:
            found.append(float(spearmanr(truth[at], scores[at]).statistic))  # pyright: ignore[reportAttributeAccessIssue]
    return float(np.mean(found)) if found else float("nan")
