"""Every metric of a table is a number: of a cell, and of the mean over cells."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict


def read_cell(evidence: Evidence) -> dict[str, Any]:
    """Every metric that the study's target has, of every probe, on val and test and in every fold; absent is None."""
    from ta_assets.core.probes.residuals import residual_metric_names
    from ta_assets.core.probes.targets import TARGETS

    options = evidence.study.probe_options
    names = TARGETS[options.target].metric_names(options.k_values)
    numbers = {}
    metrics = evidence.value.metrics
    folds = {f"fold {fold}.": part for fold, part in metrics.get("folds", {}).items()}
    for fold, part_of_cell in {**folds, "": metrics}.items():
        wanted = {fold: (options.models, part_of_cell["models"], names)}
        if options.residualize_against != "none":
            models = part_of_cell["residual"]["models"]
            wanted[f"{fold}residual of "] = (tuple(models) or ("no probe",), models, residual_metric_names(options))
        numbers |= {
            f"{kind}{model}.{part}.{metric}": stored.get(model, {}).get(part, {}).get(metric)
            for kind, (models, stored, metric_names) in wanted.items()
            for model in models
            for part in ("val", "test")
            for metric in metric_names
        }
    return {"metrics": numbers}


def read_mean(evidence: Evidence) -> dict[str, Any]:
    """Every mean and standard deviation of every probe, over seeds and over folds."""
    value = evidence.value
    tables = {
        "": [*value["summary_by_model"], *value.get("residual_by_model", [])],
        "folds.": value.get("lopo", {}).get("mean_seeds", []),
    }
    numbers = {
        f"{row['model']}.{over}{name}": number
        for over, rows in tables.items()
        for row in rows
        for name, number in row.items()
        if name.endswith(("_mean", "_std"))
    }
    return {"metrics": numbers}


def finite_metrics(metrics: Mapping[str, float | None]) -> Verdict:
    """Fail on None, NaN, infinity or anything that is no number; a table without metrics fails too.

    Args:
        metrics: value of every metric by a telling name, such as ``linear_probe.test.pr_auc``.
    """
    if not metrics:
        return Verdict.failed("there are no metrics: nothing was evaluated")
    offenders = [f"{name}: {value}" for name, value in metrics.items() if not _is_finite(value)]
    message = f"{len(offenders)} of {len(metrics)} metrics are not finite"
    if offenders:
        message += ": a part of the split has one class or no rows, or a fit diverged"
    return Verdict.no_faults(offenders, n=len(metrics), unit="metrics", message=message)


ROW_OF_CELL = Invariant(
    "finite_metrics",
    "probe_metrics",
    read_cell,
    finite_metrics,
    "A metric is NaN or infinite, mostly because a part of the split has one class only. Use more problems or "
    "another split seed.",
    blocking=True,
)
ROW_OF_MEAN = Invariant(
    "finite_metrics",
    "aggregate_metrics",
    read_mean,
    finite_metrics,
    "A mean or standard deviation is NaN or infinite. Look at finite_metrics of the cells.",
)


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and bool(np.isfinite(float(value)))
