"""From the cells of one setting to what the setting as a whole says.

Belongs here: statistics over seeds. Stays out: fitting, intervals of one cell, rendering (``markdown``), files.

Seeds vary the start of the one seeded model, not the problems: a std over seeds is no error bar of a comparison, and
the models of ``probes.SEED_FREE`` have none. Rankings by test means describe; they select nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.probes.models import SEED_FREE
from ta_assets.core.results.cells import PRIMARY_METRIC
from ta_assets.core.results.tidy import SCORED_PARTS, over, ranked, tidy, wide
from ta_assets.core.values import jsonable


def aggregate(
    cells: Mapping[int, Mapping[str, Any]], *, primary_metric: str = PRIMARY_METRIC, best_of_k: int = 1
) -> dict[str, Any]:
    """Summarize the metrics of a setting's cells.

    Means and population standard deviations (ddof 0) are of test values. One undefined value (None) makes its mean
    undefined: nothing is averaged away. Undefined values sort last; ties go by model name.

    Args:
        cells: seed -> ``CellResult.metrics``.
        primary_metric: what models and seeds are ranked by.
        best_of_k: how many seeds to keep per model, the best by val.

    Returns:
        JSON-able: primary_metric, seeds, metrics (names); summary_by_model (sorted by the primary test mean: model,
        depends_on_seed, <metric>_mean, <metric>_std); best_model (its first row); best_seed {model, seed, val, test}
        (highest val value, ties to the smaller seed); best_of_k and best_of_k_by_model (k, selected_seeds); ci_records
        (one row per seed and comparison: the interval of the cell, percentile_excludes_zero, and t_excludes_zero, which
        is None without a t interval) and ci_summary (comparison, depends_on_seed, <delta>_mean and _std over seeds,
        percentile_excludes_zero_count and t_excludes_zero_count of seed_count: one where neither model depends on the
        seed, since other seeds would count the same number again); seed_records (one row per seed, part
        and model); residual_by_model (model, depends_on_seed, <residual metric>_mean and _std, best residual_spearman
        first) where the cells have residuals.

    Raises:
        ValueError: no cells, cells that hold different models or metrics, no such metric, best_of_k below 1.
    """
    table = _seed_table(cells)
    metrics = list(dict.fromkeys(table["metric"]))
    if primary_metric not in metrics:
        raise ValueError(f"the cells have no metric {primary_metric!r}, only {', '.join(metrics)}")
    if best_of_k < 1:
        raise ValueError(f"best_of_k is {best_of_k}, expected at least 1")
    test, val = _part(table, "test"), _part(table, "val")
    chosen_by = val.take(np.flatnonzero(val["metric"] == primary_metric))
    summary = ranked(_by_model(test), f"{primary_metric}_mean")
    best_of = pd.concat([_best_seeds(own, test, best_of_k) for _, own in chosen_by.groupby("model", sort=False)])
    records = wide(table.rename(columns={"part": "split"}), ["seed", "split", "model"])
    intervals = _interval_records(cells)
    return jsonable(
        {
            "primary_metric": primary_metric,
            "seeds": sorted(cells),
            "metrics": metrics,
            "summary_by_model": summary,
            "best_model": summary[0]["model"] if math.isfinite(summary[0][f"{primary_metric}_mean"]) else None,
            "best_seed": _best_seed(chosen_by, test, primary_metric),
            "best_of_k": best_of_k,
            "best_of_k_by_model": ranked(best_of, f"{primary_metric}_mean"),
            "ci_summary": _interval_summary(intervals),
            "ci_records": intervals,
            "seed_records": records.to_dict("records"),
        }
        | _residual_summary(cells)
    )


def summary_table(aggregated: Mapping[str, Any]) -> pd.DataFrame:
    """One row per model: model, depends_on_seed, and mean and std of every metric (float64, NaN where undefined)."""
    return _floats(pd.DataFrame(aggregated["summary_by_model"]), ("model", "depends_on_seed"))


def with_leads(table: pd.DataFrame, aggregated: Mapping[str, Any]) -> pd.DataFrame:
    """The table with what each model leads its rivals by: ``lead_over_{rival}``, and its ``_low`` and ``_high``.

    The lead is the mean over the test problems of the smallest seed, the ends those of its 95 % t interval; NaN for
    models that are not compared, and where there is no interval. Leads of one seed alone: the mean of intervals over
    seeds is none.

    Args:
        table: one row a model, as ``summary_table`` gives it.
        aggregated: what it was made from.
    """
    records = [one for one in aggregated["ci_records"] if one["seed"] == min(aggregated["seeds"])]
    columns: dict[str, np.ndarray] = {}
    for one in records:
        model, rival = one["comparison"].split(" - ")
        for end, key in (("", "macro_delta"), ("_low", "t_low"), ("_high", "t_high")):
            values = columns.setdefault(f"lead_over_{rival}{end}", np.full(len(table), np.nan))
            values[(table["model"] == model).to_numpy()] = _number(one[key])
    return table.assign(**columns)


def seed_table(aggregated: Mapping[str, Any]) -> pd.DataFrame:
    """One row per seed, part and model, with every metric (float64, NaN where undefined)."""
    return _floats(pd.DataFrame(aggregated["seed_records"]), ("seed", "split", "model"))


def interval_table(aggregated: Mapping[str, Any]) -> pd.DataFrame:
    """One row per seed and comparison; without rows when the cells hold no comparison."""
    return pd.DataFrame(aggregated["ci_records"])


def _seed_table(cells: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """``tidy`` of every seed, one below the other."""
    if not cells:
        raise ValueError("no cells to aggregate")
    shapes = {seed: _shape(cell) for seed, cell in cells.items()}
    reference_seed = min(shapes)
    odd = [str(seed) for seed in sorted(shapes) if shapes[seed] != shapes[reference_seed]]
    if odd:
        raise ValueError(
            f"cells of one setting differ in models or metrics: seeds {', '.join(odd)} vs {reference_seed}"
        )
    if not shapes[reference_seed]:
        raise ValueError("the cells hold no models")
    return pd.concat([tidy(cell["models"], seed=seed) for seed, cell in sorted(cells.items())], ignore_index=True)


def _residual_summary(cells: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds of what probes refitted on residuals reach on test; nothing where nothing was residualized."""
    residual = {seed: cell["residual"] for seed, cell in cells.items() if "residual" in cell}
    if not residual:
        return {}
    if len(residual) < len(cells) or len({one["against"] for one in residual.values()}) > 1:
        raise ValueError("cells of one setting differ in what they residualize against")
    return {"residual_by_model": ranked(_by_model(_part(_seed_table(residual), "test")), "residual_spearman_mean")}


def _shape(cell: Mapping[str, Any]) -> dict[str, set[str]]:
    return {f"{model} {part}": set(parts[part]) for model, parts in cell["models"].items() for part in SCORED_PARTS}


def _part(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return table.take(np.flatnonzero(table["part"] == part))


def _by_model(test: pd.DataFrame) -> pd.DataFrame:
    """Statistics over seeds, and whether the model depends on them."""
    found = over(test, "seed")
    found.insert(1, "depends_on_seed", np.logical_not(found["model"].isin(SEED_FREE).to_numpy()))
    return found


def _best_seeds(val: pd.DataFrame, test: pd.DataFrame, k: int) -> pd.DataFrame:
    """Statistics of one model over its ``k`` best seeds by val, as one row."""
    model, seeds = val["model"].iloc[0], _best_first(val)["seed"].tolist()[:k]
    found = over(test.take(np.flatnonzero((test["model"] == model) & test["seed"].isin(seeds))), "seed")
    return found.assign(k=len(seeds), selected_seeds=[seeds])


def _best_seed(val: pd.DataFrame, test: pd.DataFrame, primary_metric: str) -> dict[str, Any]:
    """The model and seed with the highest value on val, and both values."""
    best = _best_first(val).iloc[0]
    same = (test["model"] == best["model"]) & (test["seed"] == best["seed"]) & (test["metric"] == primary_metric)
    return {
        "model": best["model"],
        "seed": int(best["seed"]),
        "val": float(best["value"]),
        "test": float(test["value"].to_numpy()[same.to_numpy()][0]),
    }


def _best_first(val: pd.DataFrame) -> pd.DataFrame:
    """High values first, undefined ones last, ties by seed and model."""
    return val.sort_values(["value", "seed", "model"], ascending=[False, True, True], na_position="last")


def _interval_records(cells: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "comparison": comparison}
        | dict(interval)
        | {
            "percentile_excludes_zero": bool(_excludes_zero(interval, "percentile")),
            "t_excludes_zero": _excludes_zero(interval, "t"),
        }
        for seed, cell in sorted(cells.items())
        for comparison, interval in cell.get("confidence_intervals", {}).items()
    ]


def _excludes_zero(interval: Mapping[str, Any], kind: str) -> bool | None:
    low, high = _number(interval[f"{kind}_low"]), _number(interval[f"{kind}_high"])
    return low > 0 or high < 0 if math.isfinite(low) and math.isfinite(high) else None


def _interval_summary(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for comparison in dict.fromkeys(record["comparison"] for record in records):
        own = [record for record in records if record["comparison"] == comparison]
        seeded = any(model not in SEED_FREE for model in comparison.split(" - "))
        counted = own if seeded else own[:1]
        by_t = [record["t_excludes_zero"] for record in counted if record["t_excludes_zero"] is not None]
        points, means = ([_number(record[key]) for record in own] for key in ("point_delta", "delta_mean"))
        rows.append(
            {
                "comparison": comparison,
                "depends_on_seed": seeded,
                "point_delta_mean": float(np.mean(points)),
                "point_delta_std": float(np.std(points)),
                "delta_mean_mean": float(np.mean(means)),
                "delta_mean_std": float(np.std(means)),
                "percentile_excludes_zero_count": sum(record["percentile_excludes_zero"] for record in counted),
                "t_excludes_zero_count": sum(by_t) if by_t else None,
                "seed_count": len(counted),
            }
        )
    return rows


def _floats(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return table.astype({name: "float64" for name in table.columns if name not in keys})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
