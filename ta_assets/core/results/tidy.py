"""Metrics as one tidy table, and statistics over its seeds or folds.

Belongs here: between the nested form in which metrics are stored and tables. Stays out: which statistics a setting
reports (``aggregate``, ``lopo``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

SCORED_PARTS = ("val", "test")


def tidy(models: Mapping[str, Mapping[str, Any]], **same: int) -> pd.DataFrame:
    """One row per model, part and metric of a cell.

    Args:
        models: model -> part -> metric -> value, as cells store them.
        same: columns that are the same in all rows, such as ``seed``.

    Returns:
        model, part, metric, value (float64, NaN where undefined) and the columns of ``same``.
    """
    rows = [
        (model, part, metric, np.nan if value is None else float(value))
        for part in SCORED_PARTS
        for model, parts in models.items()
        for metric, value in parts[part].items()
    ]
    return pd.DataFrame(rows, columns=pd.Index(["model", "part", "metric", "value"])).assign(**same)


def mean(values: pd.Series) -> float:
    """Mean by numpy, which passes over no undefined value."""
    return float(np.mean(values.to_numpy()))


def std(values: pd.Series) -> float:
    """Population standard deviation (ddof 0) by numpy."""
    return float(np.std(values.to_numpy()))


def over(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Mean and population standard deviation of every metric of every model.

    Args:
        table: of one part; columns model, metric, value, and ``by`` in the order in which values are taken.
        by: what the statistics are over: ``seed``, or the column of folds.

    Returns:
        One row per model, in the order of the table: model, and <metric>_mean and <metric>_std of each metric.
    """
    grouped = table.sort_values(by, kind="stable").groupby(["model", "metric"], sort=False)["value"]
    found: Any = grouped.agg([("mean", mean), ("std", std)])  # pyright: ignore[reportArgumentType]
    models, metrics = (list(dict.fromkeys(table[name])) for name in ("model", "metric"))
    columns = {
        f"{metric}_{name}": found[name].xs(metric, level="metric").reindex(models).to_numpy()
        for metric in metrics
        for name in ("mean", "std")
    }
    return pd.DataFrame({"model": models, **columns})


def means(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean of the values with the same ``keys``, in the order of the table; columns ``keys`` and value."""
    return table.groupby(list(keys), sort=False)["value"].agg(mean).reset_index()  # pyright: ignore[reportArgumentType]


def wide(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row per ``keys`` and a column per metric, both in the order of the table."""
    metrics, rows = list(dict.fromkeys(table["metric"])), table[list(keys)].drop_duplicates()
    found: Any = table.set_index([*keys, "metric"])["value"].unstack("metric")[metrics]
    return found.reindex(pd.MultiIndex.from_frame(pd.DataFrame(rows))).reset_index().rename_axis(columns=None)


def ranked(table: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Rows with high values of a column first, undefined ones last, ties by model name."""
    values = table[column].astype(float)
    order = np.lexsort([table["model"].to_numpy(dtype=str), np.where(np.isfinite(values), -values, np.inf)])
    return table.iloc[order].to_dict("records")


def nested(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """What ``tidy`` was made of: model -> part -> metric -> value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for model, part, metric, value in table[["model", "part", "metric", "value"]].itertuples(index=False):
        found.setdefault(model, {}).setdefault(part, {})[metric] = value
    return found
