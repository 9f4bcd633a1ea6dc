"""Every metric that a cell prints beside the primary one follows from its predictions, by scikit-learn and scipy.

Stays out: whether the predictions are of the right sentences, and the primary metric (``predictions_recompute``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.evidence import FOLD, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import CONTINUOUS, SCORE_PREFIX, TARGET_COLUMN, metric_names

PARTS = ("val", "test")
TOLERANCE = 1e-6
"""Scores are float32, sums of precisions float64."""


@dataclass(frozen=True)
class Measured:
    """A cell or one fold of it, or the means over its folds."""

    name: str
    """Start of its messages; empty for a single split."""
    tables: tuple[pd.DataFrame, ...]
    """Predictions of each fold that is averaged; of one table its own."""
    models: Mapping[str, Mapping[str, Any]]
    """Model -> {val, test: {metric: number or None}}."""


def read(evidence: Evidence) -> dict[str, Any]:
    """All metrics of every model, on val and test and in every fold, against the stored predictions."""
    value, options = evidence.value, evidence.study.probe_options
    whole, table = value.metrics["models"], value.predictions
    if "folds" not in value.metrics:
        measured = [Measured("", (table,), whole)]
    else:
        tables = {fold: table[table[FOLD].astype(str) == fold] for fold in value.metrics["folds"]}
        measured = [
            Measured(f"fold {fold}: ", (tables[fold],), part["models"]) for fold, part in value.metrics["folds"].items()
        ]
        measured.append(Measured("mean over folds: ", tuple(tables.values()), whole))
    return {"measured": measured, "target": options.target, "k_values": tuple(options.k_values)}


def metrics_measured_again(measured: Iterable[Measured], *, target: str, k_values: tuple[int, ...]) -> Verdict:
    """Fail on a metric that the predictions do not give, and on one that is absent.

    Args:
        measured: the cell, or its folds and their means.
        target: what a study says that probes predict.
        k_values: cut-offs of top-k recall.
    """
    names, faults, n = metric_names(target, k_values), [], 0
    for one in measured:
        for model, parts in one.models.items():
            for part, metric in ((part, metric) for part in PARTS for metric in names):
                n += 1
                found = [_measure(metric, rows, scores, target) for rows, scores in _rows(one.tables, model, part)]
                expected, stored = float(np.mean(found)) if found else math.nan, parts[part].get(metric)
                if not _equal(stored, expected):
                    faults.append(f"{one.name}{model}.{part}.{metric} is {stored}, the predictions give {expected:.6g}")
    if not n:
        return Verdict.failed("there are no metrics")
    return Verdict.no_faults(faults, n=n, unit="metrics", message=f"{n} metrics measured again, {len(faults)} differ")


ROW = Invariant(
    "metrics_measured_again",
    "probe_metrics",
    read,
    metrics_measured_again,
    "A metric of a cell is not that of its predictions: it was measured on other rows, by another formula, or is "
    "another metric than its name says. Materialize the cell; if it stays red, the metric is wrong.",
)


def _rows(tables: Iterable[pd.DataFrame], model: str, part: str) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    for table in tables:
        rows = table.take(np.flatnonzero(table["split"] == part))
        yield rows, rows[f"{SCORE_PREFIX}{model}"].to_numpy(np.float64)


def _equal(stored: Any, expected: float) -> bool:
    if stored is None or not math.isfinite(expected):
        return stored is None and not math.isfinite(expected)
    return isinstance(stored, (int, float)) and abs(stored - expected) <= TOLERANCE


def _measure(metric: str, rows: pd.DataFrame, scores: np.ndarray, target: str) -> float:
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve

    if not len(rows) or not np.isfinite(scores).all():
        return math.nan
    labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
    members = [problems == one for one in np.unique(problems)]
    ranked = rows[TARGET_COLUMN[target] if target in CONTINUOUS else "importance_score"].to_numpy(np.float64)
    if metric == "spearman_mean":
        return _mean([_spearman(ranked[at], scores[at]) for at in members])
    if metric.startswith("top_"):
        k = int(metric.split("_")[1])
        return _mean([_top(ranked[at], scores[at], k) for at in members])
    if metric == "macro_average_precision":
        mixed = [at for at in members if 0 < labels[at].sum() < at.sum()]
        return _mean([float(average_precision_score(labels[at], scores[at])) for at in mixed])
    if not 0 < labels.sum() < len(labels):
        return math.nan
    if metric == "average_precision":
        return float(average_precision_score(labels, scores))
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(auc(recall, precision))


def _spearman(truth: np.ndarray, scores: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if len(np.unique(truth)) < 2 or len(np.unique(scores)) < 2:
        return math.nan
    return float(spearmanr(truth, scores).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _top(truth: np.ndarray, scores: np.ndarray, k: int) -> float:
    """Share of the k most important sentences among the k best scored; the earlier of equal ones wins."""
    k = min(k, len(truth))
    first = [set(sorted(range(len(values)), key=lambda row: (-values[row], row))[:k]) for values in (truth, scores)]
    return len(first[0] & first[1]) / k


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
