"""One setting with one seed: fit its models, measure them, keep their predictions.

Belongs here: what a cell consists of. Stays out: model definitions, the verdict on a cell (``ta_checks``: training
does not grade itself), files.

Metrics are plain Python for strict JSON: an undefined metric (NaN) is None.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.metrics import evaluate, position_bins
from ta_assets.core.probes import SEED_FREE, Fit, ProbeData, fit_scores
from ta_assets.core.resampling import grouped_delta_bootstrap
from ta_assets.core.values import CellResult, ProbeOptions, SeedFreeScores

PRIMARY_METRIC = "average_precision"
PARTS = ("train", "val", "test")
SCORED_PARTS = ("val", "test")
COMPARISONS = (
    ("activations_plus_position", "position_baseline"),
    ("activations_plus_position", "text_only_baseline"),
)
"""Pairs whose difference gets an interval: does reading activations add to what needs no model?"""

PREDICTION_COLUMNS = ("problem_id", "chunk_idx", "split", "seed", "anchor", "importance_score", "relative_position")


def seed_free_scores(data: ProbeData, options: ProbeOptions) -> SeedFreeScores:
    """Fit those of ``options.models`` that do not depend on the seed.

    Raises:
        ValueError: as ``fit_scores``.
    """
    fits = {model: fit_scores(model, data, options) for model in options.models if model in SEED_FREE}
    scores = data.rows[["problem_id", "chunk_idx"]].reset_index(drop=True)
    scores = scores.assign(**{f"score_{model}": fit.scores for model, fit in fits.items()})
    return SeedFreeScores(scores, {model: fit.facts() for model, fit in fits.items()}, data.sha256())


def evaluate_cell(
    data: ProbeData, options: ProbeOptions, seed: int, seed_free: SeedFreeScores | None = None
) -> CellResult:
    """Fit what depends on the seed, take the rest from ``seed_free`` (fitted here when None), and measure all models.

    Metrics: seed, primary_metric, models {model: {val, test, fit}}, position_bins {num_bins, val, test},
    confidence_intervals {"a - b": interval on the test rows}, splits (problems per part), rows (rows per part).
    The bootstrap's seed is the cell's.

    Raises:
        ValueError: as ``fit_scores``; val or test has no rows; ``seed_free`` belongs to other rows or lacks a model.
    """
    part = data.rows["split"].to_numpy()
    empty = [name for name in PARTS if not (part == name).any()]
    if empty:
        raise ValueError(f"cell with seed {seed}: no rows in {', '.join(empty)}")
    seed_free = seed_free or seed_free_scores(data, options)
    scores, fits = _all_scores(data, options, seed, seed_free)
    metrics = {
        "seed": seed,
        "primary_metric": PRIMARY_METRIC,
        "models": {
            model: {name: _measure(data, part == name, scores[model], options) for name in SCORED_PARTS}
            | {"fit": fits[model]}
            for model in options.models
        },
        "position_bins": {"num_bins": options.position_bins} | _bins(data, scores, options),
        "confidence_intervals": _intervals(data, scores, options, seed) if options.bootstrap else {},
        "splits": {name: int(data.rows.loc[part == name, "problem_id"].nunique()) for name in PARTS},
        "rows": {name: int((part == name).sum()) for name in PARTS},
    }
    return CellResult(jsonable(metrics), _predictions(data, scores, seed))


def jsonable(value: Any) -> Any:
    """Rebuild nested dicts, lists and tuples with None for every NaN or infinite float."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _all_scores(
    data: ProbeData, options: ProbeOptions, seed: int, seed_free: SeedFreeScores
) -> tuple[dict[str, np.ndarray], dict[str, Mapping[str, Any] | None]]:
    keys = ["problem_id", "chunk_idx"]
    if not np.array_equal(seed_free.scores[keys].to_numpy(), data.rows[keys].to_numpy()):
        raise ValueError("the seed-free scores belong to other rows than those of this cell")
    if seed_free.data_sha256 is not None and seed_free.data_sha256 != data.sha256():
        raise ValueError("the seed-free scores were fitted on other labels, splits or vectors than this cell reads")
    absent = [m for m in options.models if m in SEED_FREE and f"score_{m}" not in seed_free.scores.columns]
    if absent:
        raise ValueError(f"the seed-free scores lack {', '.join(absent)}")
    scores: dict[str, np.ndarray] = {}
    fits: dict[str, Mapping[str, Any] | None] = {}
    for model in options.models:
        if model in SEED_FREE:
            scores[model] = seed_free.scores[f"score_{model}"].to_numpy(dtype=np.float32)
            fits[model] = seed_free.fits.get(model)
        else:
            fit: Fit = fit_scores(model, data, options, seed)
            scores[model], fits[model] = fit.scores, fit.facts()
    return scores, fits


def _measure(data: ProbeData, inside: np.ndarray, scores: np.ndarray, options: ProbeOptions) -> dict[str, float]:
    return evaluate(data.rows.take(np.flatnonzero(inside)), scores[inside], options.k_values)


def _bins(data: ProbeData, scores: Mapping[str, np.ndarray], options: ProbeOptions) -> dict[str, Any]:
    part = data.rows["split"].to_numpy()
    return {
        name: {
            model: position_bins(
                data.rows.take(np.flatnonzero(part == name)), values[part == name], options.position_bins
            )
            for model, values in scores.items()
        }
        for name in SCORED_PARTS
    }


def _intervals(
    data: ProbeData, scores: Mapping[str, np.ndarray], options: ProbeOptions, seed: int
) -> dict[str, dict[str, float]]:
    test = data.rows["split"].to_numpy() == "test"
    labels, problems = data.rows["anchor"].to_numpy()[test], data.rows["problem_id"].to_numpy()[test]
    return {
        f"{a} - {b}": dataclasses.asdict(
            grouped_delta_bootstrap(
                labels, scores[a][test], scores[b][test], problems, iterations=options.bootstrap, seed=seed
            )
        )
        for a, b in COMPARISONS
        if a in scores and b in scores
    }


def _predictions(data: ProbeData, scores: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    table = data.rows.assign(seed=np.int64(seed)).reindex(columns=list(PREDICTION_COLUMNS)).reset_index(drop=True)
    table = table.assign(**{f"score_{model}": values for model, values in scores.items()})
    parts = [
        table.take(np.flatnonzero(table["split"] == name)).sort_values(["problem_id", "chunk_idx"])
        for name in SCORED_PARTS
    ]
    return pd.concat(parts, ignore_index=True)
