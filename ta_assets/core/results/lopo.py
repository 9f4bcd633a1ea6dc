"""Leave one problem out: every problem is the test of one fold, and a setting's results are means over folds.

Belongs here: the folds, joining what each of them gave, statistics over them. Stays out: fitting (``cells``), what
a setting says over its seeds (``aggregate``), storing folds one by one (``ta_assets.assets.fold_runs``).

A fold has one test problem, so an interval of it would be over one group: there is none. Problems are
the unit; intervals are over folds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.results.cells import PARTS
from ta_assets.core.results.tidy import means, nested, over, ranked, tidy, wide
from ta_assets.core.statistics.intervals import MIN_PROBLEMS_FOR_INTERVAL, t_ends
from ta_assets.core.values import CellResult, SeedFreeScores, Split, jsonable

FOLD = "fold_id"
"""Column of tables of several folds: the id of the problem that was left out."""
DATA = "data_sha256"
BASELINE = "position_baseline"
COMPARED = ("activations_plus_position", "linear_probe", "mlp_probe")
"""What is compared with the baseline, fold by fold."""


def lopo_splits(ids: Iterable[int], val_fraction: float) -> dict[int, Split]:
    """One split a problem, by the problem that is left out; sorted.

    Of the others, the max(1, round(val_fraction * others)) with the smallest ids choose (never all of them), the rest
    trains. A fraction of 0 leaves val empty. Without a seed: the folds of the same problems are always the same.

    Raises:
        ValueError: the fraction is outside [0, 1), or there are too few problems: 3, or 2 without val.
    """
    problems = sorted(set(ids))
    if not 0 <= val_fraction < 1:
        raise ValueError(f"cannot make folds: val is {val_fraction}, expected a fraction in [0, 1)")
    least = 3 if val_fraction else 2
    if len(problems) < least:
        raise ValueError(f"cannot make folds: there are {len(problems)} problems, expected at least {least}")
    n_others = len(problems) - 1
    n_val = min(max(1, round(val_fraction * n_others)), n_others - 1) if val_fraction else 0
    folds = {}
    for left_out in problems:
        others = [one for one in problems if one != left_out]
        folds[left_out] = Split(train=tuple(others[n_val:]), val=tuple(others[:n_val]), test=(left_out,))
    return folds


def join_scores(folds: Mapping[int, SeedFreeScores]) -> SeedFreeScores:
    """The seed-free scores of all folds in one table with a column ``fold_id``; fits and hashes of data by fold."""
    tables = [one.scores.assign(**{FOLD: np.int64(fold)}) for fold, one in sorted(folds.items())]
    fits = {str(fold): {"models": one.fits, DATA: one.data_sha256} for fold, one in sorted(folds.items())}
    return SeedFreeScores(pd.concat(tables, ignore_index=True), fits, None)


def scores_of(joined: SeedFreeScores, fold: int) -> SeedFreeScores:
    """The seed-free scores of one fold, as before they were joined.

    Raises:
        ValueError: there is no such fold.
    """
    if FOLD not in joined.scores or str(fold) not in joined.fits:
        raise ValueError(f"the seed-free scores hold no fold {fold}")
    at = np.flatnonzero(joined.scores[FOLD] == fold)
    rows = joined.scores.take(at).drop(columns=FOLD).reset_index(drop=True)
    known = joined.fits[str(fold)]
    return SeedFreeScores(rows, known["models"], known[DATA])


def join_cells(folds: Mapping[int, CellResult]) -> CellResult:
    """What a seed says over its folds.

    Metrics: scheme, seed, target, primary_metric, models {model: {val, test}} with means over folds (and residual
    likewise, where something is residualized), confidence_intervals (none), folds {fold: metrics of its cell}, rows
    and splits summed up. One undefined value makes its mean undefined.
    Predictions: those of every fold with ``fold_id``; each problem is a test problem once.

    Raises:
        ValueError: no folds.
    """
    if not folds:
        raise ValueError("no fold to join")
    metrics = {fold: folds[fold].metrics for fold in sorted(folds)}
    first = next(iter(metrics.values()))
    tables = [folds[fold].predictions.assign(**{FOLD: np.int64(fold)}) for fold in metrics]
    value = {
        "scheme": "lopo",
        "seed": first["seed"],
        "target": first["target"],
        "primary_metric": first["primary_metric"],
        "models": _over_folds({fold: one["models"] for fold, one in metrics.items()}),
        "confidence_intervals": {},
        "splits": {part: sum(one["splits"][part] for one in metrics.values()) for part in PARTS},
        "rows": {part: sum(one["rows"][part] for one in metrics.values()) for part in PARTS},
        "folds": {str(fold): one for fold, one in metrics.items()},
    }
    if "residual" in first:
        models = _over_folds({fold: one["residual"]["models"] for fold, one in metrics.items()})
        value["residual"] = {"against": first["residual"]["against"], "models": models}
    return CellResult(jsonable(value), pd.concat(tables, ignore_index=True))


def aggregate_folds(
    cells: Mapping[int, Mapping[str, Any]], *, best_of_k: int = 1, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Summarize the folds of a setting's cells: seeds are averaged within a fold, then come the folds.

    Standard deviations are population ones (ddof 0). Undefined values (None) make their mean undefined.

    Args:
        cells: seed -> metrics of ``join_cells``.
        best_of_k: seeds kept per fold and model for the second summary, the best by the primary metric on val.
        bootstrap: draws of the interval of a mean delta.
        seed: of the draws; draw i is ``pandas.Series.sample`` with random state seed + i.

    Returns:
        JSON-able: folds; mean_seeds and best_of_k (each one row a model, best first, ties by name: model and
        <metric>_mean, <metric>_std over folds); best_model (by mean_seeds); paired_deltas (comparison, folds,
        n_problems: folds with a defined delta, delta_mean, delta_std, positive_count, positive_fraction,
        percentile_low, percentile_high: the predecessor's 2.5 and 97.5 % quantiles of the bootstrapped mean, t_low,
        t_high: the 95 % t interval over folds; both None below ``MIN_PROBLEMS_FOR_INTERVAL`` folds or with an
        undefined delta); fold_records (fold_id, model, <metric>, mean over seeds).

    Raises:
        ValueError: no cells, or cells with other folds.
    """
    primary = _primary_metric(cells)
    table = _table(cells)
    test = table.take(np.flatnonzero(table["part"] == "test"))
    by_fold = _over_seeds(test)
    val = table.take(np.flatnonzero((table["part"] == "val") & (table["metric"] == primary)))
    best = val.assign(order=-val["value"].fillna(-np.inf)).sort_values([FOLD, "model", "order", "seed"], kind="stable")
    kept = best.groupby([FOLD, "model"]).head(best_of_k)[[FOLD, "model", "seed"]]
    of_best = _over_seeds(kept.merge(test, on=[FOLD, "model", "seed"]))
    summary = ranked(over(by_fold, FOLD), f"{primary}_mean")
    defined = summary[0][f"{primary}_mean"]
    return jsonable(
        {
            "folds": sorted({int(fold) for fold in by_fold[FOLD]}),
            "mean_seeds": summary,
            "best_of_k": ranked(over(of_best, FOLD), f"{primary}_mean"),
            "best_model": summary[0]["model"] if np.isfinite(defined) else None,
            "paired_deltas": _paired_deltas(by_fold, primary, bootstrap, seed),
            "fold_records": wide(by_fold, [FOLD, "model"]).to_dict("records"),
        }
    )


def _primary_metric(cells: Mapping[int, Mapping[str, Any]]) -> str:
    if not cells:
        raise ValueError("no cells to aggregate")
    return next(iter(cells.values()))["primary_metric"]


def _table(cells: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """``tidy`` of every seed and fold, one below the other."""
    reference = next(iter(cells.values()))["folds"].keys()
    odd = sorted(seed for seed, cell in cells.items() if cell["folds"].keys() != reference)
    if odd:
        raise ValueError(f"cells of one setting differ in their folds: seeds {odd}")
    tables = [
        tidy(metrics["models"], seed=seed, **{FOLD: int(fold)})
        for seed, cell in sorted(cells.items())
        for fold, metrics in cell["folds"].items()
    ]
    return pd.concat(tables, ignore_index=True)


def _over_seeds(test: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: one row per fold, model and metric, by fold and model."""
    return means(test, [FOLD, "model", "metric"]).sort_values([FOLD, "model"], kind="stable", ignore_index=True)


def _paired_deltas(by_fold: pd.DataFrame, primary: str, bootstrap: int, seed: int) -> list[dict[str, Any]]:
    of_primary = by_fold.take(np.flatnonzero(by_fold["metric"] == primary))
    by_model = of_primary.pivot(index=FOLD, columns="model", values="value").sort_index()
    rows = []
    for model in COMPARED:
        if model not in by_model or BASELINE not in by_model:
            continue
        deltas = by_model[model] - by_model[BASELINE]
        low, high = _percentile_interval(deltas, bootstrap, seed)
        values = deltas.to_numpy()
        defined = np.isfinite(values)
        t_low, t_high = t_ends(values) if defined.all() else (None, None)
        rows.append(
            {
                "comparison": f"{model} - {BASELINE}",
                "folds": len(values),
                "n_problems": int(defined.sum()),
                "delta_mean": float(np.mean(values)),
                "delta_std": float(np.std(values)),
                "positive_count": int((values > 0).sum()),
                "positive_fraction": float((values > 0).mean()),
                "percentile_low": low,
                "percentile_high": high,
                "t_low": t_low,
                "t_high": t_high,
            }
        )
    return rows


def _percentile_interval(deltas: pd.Series, bootstrap: int, seed: int) -> tuple[float | None, float | None]:
    if len(deltas) < MIN_PROBLEMS_FOR_INTERVAL or not np.isfinite(deltas.to_numpy()).all():
        return None, None
    draws = (deltas.sample(n=len(deltas), replace=True, random_state=seed + i) for i in range(bootstrap))
    low, high = np.quantile(np.array([draw.to_numpy().mean() for draw in draws]), [0.025, 0.975])
    return float(low), float(high)


def _over_folds(folds: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean over folds of every metric, in the form of one cell."""
    table = pd.concat([tidy(models, **{FOLD: fold}) for fold, models in folds.items()], ignore_index=True)
    return nested(means(table, ["model", "part", "metric"]))
