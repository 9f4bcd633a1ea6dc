"""One setting with one seed: fit its models, measure them, keep their predictions.

Belongs here: what a cell consists of. Stays out: model definitions, the verdict on a cell (``ta_checks``: training
does not grade itself), files.

Metrics are plain Python for strict JSON: an undefined metric (NaN) is None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import SEED_FREE, Fit, ProbeData, fit_scores
from ta_assets.core.probes.residuals import (
    RESIDUAL,
    RESIDUAL_ANCHOR,
    RESIDUAL_MODELS,
    residual_data,
    residual_metrics,
)
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results.tidy import SCORED_PARTS
from ta_assets.core.score_columns import KEYS, RESIDUAL_PREFIX, SCORE_PREFIX
from ta_assets.core.statistics.metrics import position_bins
from ta_assets.core.statistics.ranks import rank_delta_interval
from ta_assets.core.statistics.resampling import grouped_delta_bootstrap
from ta_assets.core.values import CellResult, SeedFreeScores, jsonable

PRIMARY_METRIC = TARGETS["anchor_binary"].primary_metric
"""Primary metric when ``labels.target`` is not set."""
PARTS = ("train", "val", "test")
COMPARISONS = (
    ("activations_plus_position", "position_baseline"),
    ("activations_plus_position", "text_only_baseline"),
    ("vertical_attention_plus_position", "position_baseline"),
)
"""Pairs whose difference gets an interval: does reading the model add to what needs none?"""

PREDICTION_COLUMNS = (*KEYS, "split", "seed", "anchor", "importance_score", "relative_position")


def seed_free_scores(data: ProbeData, options: ProbeOptions) -> SeedFreeScores:
    """Fit those of ``options.models`` that do not depend on the seed, and their refits on residuals where asked for.

    Raises:
        ValueError: as ``fit_scores``.
    """
    fits = {model: fit_scores(model, data, options) for model in options.models if model in SEED_FREE}
    columns = {f"{SCORE_PREFIX}{model}": fit.scores for model, fit in fits.items()}
    facts = {model: fit.facts() for model, fit in fits.items()}
    if options.residualize_against != "none":
        left = residual_data(data, options)
        for model in (model for model in _refitted(options) if model in SEED_FREE):
            fit = fit_scores(model, left, options)
            columns[f"{RESIDUAL_PREFIX}{model}"], facts[f"residual_{model}"] = fit.scores, fit.facts()
    scores = data.rows[KEYS].reset_index(drop=True).assign(**columns)
    return SeedFreeScores(scores, facts, data.sha256())


def evaluate_cell(
    data: ProbeData, options: ProbeOptions, seed: int, seed_free: SeedFreeScores | None = None
) -> CellResult:
    """Fit what depends on the seed, take the rest from ``seed_free`` (fitted here when None), and measure all models.

    Metrics: seed, target, primary_metric, models {model: {val, test, fit}}, position_bins {num_bins, val, test},
    confidence_intervals {"a - b": interval on the test rows}, splits (problems per part), rows (rows per part), and
    residual {against, models {model: {val, test, fit}}} where something is residualized. The bootstrap's seed is the
    cell's. A continuous target has no position bins, and rank correlations in its metrics and intervals.

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
        "target": options.target,
        "primary_metric": TARGETS[options.target].primary_metric,
        "models": {
            model: {name: _measure(data, part == name, scores[model], options) for name in SCORED_PARTS}
            | {"fit": fits[model]}
            for model in options.models
        },
        "position_bins": _bins(data, scores, options),
        "confidence_intervals": _intervals(data, scores, options, seed) if options.bootstrap else {},
        "splits": {name: int(data.rows.loc[part == name, "problem_id"].nunique()) for name in PARTS},
        "rows": {name: int((part == name).sum()) for name in PARTS},
    }
    predictions = _predictions(data, scores, seed, options)
    if options.residualize_against != "none":
        metrics["residual"], more = _residual(data, options, seed, seed_free)
        predictions = predictions.merge(more, on=KEYS, how="left", validate="one_to_one")
    return CellResult(jsonable(metrics), predictions)


def _all_scores(
    data: ProbeData, options: ProbeOptions, seed: int, seed_free: SeedFreeScores
) -> tuple[dict[str, np.ndarray], dict[str, Mapping[str, Any] | None]]:
    if not np.array_equal(seed_free.scores[KEYS].to_numpy(), data.rows[KEYS].to_numpy()):
        raise ValueError("the seed-free scores belong to other rows than those of this cell")
    if seed_free.data_sha256 is not None and seed_free.data_sha256 != data.sha256():
        raise ValueError("the seed-free scores were fitted on other labels, splits or vectors than this cell reads")
    absent = [m for m in options.models if m in SEED_FREE and f"{SCORE_PREFIX}{m}" not in seed_free.scores]
    if options.residualize_against != "none":
        wanted = [m for m in _refitted(options) if m in SEED_FREE]
        absent += [f"residuals of {m}" for m in wanted if f"{RESIDUAL_PREFIX}{m}" not in seed_free.scores]
    if absent:
        raise ValueError(f"the seed-free scores lack {', '.join(absent)}")
    scores: dict[str, np.ndarray] = {}
    fits: dict[str, Mapping[str, Any] | None] = {}
    for model in options.models:
        if model in SEED_FREE:
            scores[model] = seed_free.scores[f"{SCORE_PREFIX}{model}"].to_numpy(dtype=np.float32)
            fits[model] = seed_free.fits.get(model)
        else:
            fit = fit_model(model, data, options, seed)
            scores[model], fits[model] = fit.scores, fit.facts()
    return scores, fits


def fit_model(model: str, data: ProbeData, options: ProbeOptions, seed: int = 0) -> Fit:
    """Fit any model that a study may name; see ``fit_scores`` and ``fit_token_scores``."""
    if model not in TOKEN_PROBES:
        return fit_scores(model, data, options, seed)
    from ta_assets.core.probes.token_probes import fit_token_scores  # torch takes seconds to load

    return fit_token_scores(model, data, options.token_probes, seed, options.target)


def _measure(data: ProbeData, inside: np.ndarray, scores: np.ndarray, options: ProbeOptions) -> dict[str, float]:
    rows = data.rows.take(np.flatnonzero(inside))
    return TARGETS[options.target].measure(rows, scores[inside], options.k_values)


def _refitted(options: ProbeOptions) -> list[str]:
    return [model for model in RESIDUAL_MODELS if model in options.models]


def _residual(
    data: ProbeData, options: ProbeOptions, seed: int, seed_free: SeedFreeScores
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Metrics of the probes refitted on residuals, and their columns of the predictions."""
    left, part = residual_data(data, options), data.rows["split"].to_numpy()
    table = left.rows.reindex(columns=[*KEYS, RESIDUAL, RESIDUAL_ANCHOR]).dropna(axis="columns")
    models = {}
    for model in _refitted(options):
        if model in SEED_FREE:
            scores = seed_free.scores[f"{RESIDUAL_PREFIX}{model}"].to_numpy(dtype=np.float32)
            facts = seed_free.fits.get(f"residual_{model}")
        else:
            fit = fit_scores(model, left, options, seed)
            scores, facts = fit.scores, fit.facts()
        table[f"{RESIDUAL_PREFIX}{model}"] = scores
        models[model] = {name: residual_metrics(left, part == name, scores) for name in SCORED_PARTS} | {"fit": facts}
    return {"against": options.residualize_against, "models": models}, table


def _bins(data: ProbeData, scores: Mapping[str, np.ndarray], options: ProbeOptions) -> dict[str, Any]:
    part = data.rows["split"].to_numpy()
    n_bins = 0 if TARGETS[options.target].continuous else options.position_bins
    return {"num_bins": n_bins} | {
        name: {
            model: position_bins(data.rows.take(np.flatnonzero(part == name)), values[part == name], n_bins)
            for model, values in scores.items()
        }
        for name in SCORED_PARTS
    }


def _intervals(
    data: ProbeData, scores: Mapping[str, np.ndarray], options: ProbeOptions, seed: int
) -> dict[str, dict[str, Any]]:
    test = data.rows["split"].to_numpy() == "test"
    target = TARGETS[options.target]
    labels, problems = target.values(data.rows)[test], data.rows["problem_id"].to_numpy()[test]
    draws = {"iterations": options.bootstrap, "seed": seed}
    found = {}
    for a, b in ((a, b) for a, b in COMPARISONS if a in scores and b in scores):
        pair = scores[a][test], scores[b][test]
        if target.continuous:
            interval = rank_delta_interval(labels, pair, problems, **draws)
        else:
            interval = grouped_delta_bootstrap(labels, *pair, problems, **draws)
        found[f"{a} - {b}"] = dataclasses.asdict(interval)
    return found


def _predictions(data: ProbeData, scores: Mapping[str, np.ndarray], seed: int, options: ProbeOptions) -> pd.DataFrame:
    columns = list(dict.fromkeys((*PREDICTION_COLUMNS, TARGETS[options.target].column)))
    table = data.rows.assign(seed=np.int64(seed)).reindex(columns=columns).reset_index(drop=True)
    table = table.assign(**{f"{SCORE_PREFIX}{model}": values for model, values in scores.items()})
    parts = [table.take(np.flatnonzero(table["split"] == name)).sort_values(KEYS) for name in SCORED_PARTS]
    return pd.concat(parts, ignore_index=True)
