"""Reproduce published tables from their artifacts: ``python -m ta_assets.reproduce --help``.

Belongs here: reading the files, and printing what core computes from them as one JSON object.
Stays out: Dagster, metrics and models themselves, comparison with published values (that is for tests).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.option_values import VERTICAL_MODELS
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import POSITION_FEATURES, add_split
from ta_assets.core.probes.models import NEEDS_ACTIVATIONS, SEED_FREE, ProbeData, fit_scores
from ta_assets.core.results.tidy import SCORED_PARTS
from ta_assets.core.score_columns import KEYS, SCORE_PREFIX
from ta_assets.core.statistics.metrics import evaluate
from ta_assets.core.values import Split, jsonable
from ta_resources.strict_json import read_json

EXIT_BAD_INPUT = 2
REFITTED = tuple(model for model in SEED_FREE if model not in (*NEEDS_ACTIVATIONS, *VERTICAL_MODELS))
K_VALUES = (5, 10)
"""Of the published recalls."""
ALL_ROWS = "all"
PARTS_OF = {"both": SCORED_PARTS, "test": ("test",), ALL_ROWS: (ALL_ROWS,)}
"""By the rows that are asked for: what is measured apart."""
TARGET_COLUMNS = ("anchor", "importance_score")
LABEL_NUMBERS = tuple(dict.fromkeys((*KEYS, *TARGET_COLUMNS, *POSITION_FEATURES)))
WHOLE_NUMBERS = (*KEYS, "seed")
PREDICTION_NUMBERS = (*KEYS, "seed", *TARGET_COLUMNS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the object was printed, 2 when files (or arguments) are bad."""
    parser = argparse.ArgumentParser(prog="python -m ta_assets.reproduce", description=_DESCRIPTION)
    parser.add_argument("--predictions", type=Path, required=True, help="scores of sentences (parquet)")
    parser.add_argument("--labels", type=Path, help="sentence table (parquet), to refit the baselines on")
    parser.add_argument("--splits", type=Path, help="problem ids of train, val and test (JSON), with --labels")
    parser.add_argument(
        "--rows", choices=PARTS_OF, default="both",
        help="what to measure: val and test (the default), test alone, or all rows, whatever their part",
    )  # fmt: skip
    parser.add_argument("--k", type=_positive, nargs="+", default=K_VALUES, metavar="K", help="of the top-k recalls")
    asked = parser.parse_args(arguments)
    if (asked.labels is None) != (asked.splits is None):
        parser.error("--labels and --splits need each other")
    found: dict[str, Any] = {}
    faults: list[InputError] = []
    readers: dict[str, Callable[[Path], Any]] = {
        "labels": read_labels,
        "splits": read_splits,
        "predictions": partial(read_predictions, rows=asked.rows),
    }
    for name, read in readers.items():
        path = getattr(asked, name)
        try:
            if path is not None:
                found[name] = read(path)
        except InputError as fault:
            faults.append(fault)
    if not faults:
        try:
            answer = {"recomputed": recompute(found["predictions"], PARTS_OF[asked.rows], asked.k)}
            if asked.labels is not None:
                data = _probe_data(found["labels"], found["splits"], asked)
                answer = {"refit": refit(data, asked.k), **answer}
        except InputError as fault:
            faults.append(fault)
        else:
            print(json.dumps(jsonable(answer), indent=1, allow_nan=False))
            return 0
    for fault in faults:
        print(fault, file=sys.stderr)
    return EXIT_BAD_INPUT


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def refit(data: ProbeData, k_values: Sequence[int] = K_VALUES) -> dict[str, dict[str, dict[str, float]]]:
    """Fit the models that need no activations anew: {model: {val, test: {metric: value}}}."""
    part = data.rows["split"].to_numpy()
    fits = {model: fit_scores(model, data, ProbeOptions()).scores for model in REFITTED}
    return {
        model: {
            name: _measured(data.rows.take(np.flatnonzero(part == name)), scores[part == name], k_values)
            for name in SCORED_PARTS
        }
        for model, scores in fits.items()
    }


def recompute(
    predictions: pd.DataFrame, parts: Sequence[str] = SCORED_PARTS, k_values: Sequence[int] = K_VALUES
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Measure stored scores anew: {model: {seed: {part: {metric: value}}}}; the part ``all`` is every row."""
    seeds = predictions["seed"].to_numpy()
    inside = {part: part == ALL_ROWS or (predictions["split"] == part).to_numpy() for part in parts}
    tables = {
        (seed, part): predictions.take(np.flatnonzero((seeds == seed) & chosen))
        for seed in np.unique(seeds).tolist()
        for part, chosen in inside.items()
    }
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for column in predictions.columns:
        if column.startswith(SCORE_PREFIX):
            by_seed = found.setdefault(column.removeprefix(SCORE_PREFIX), {})
            for (seed, part), rows in tables.items():
                scores = rows[column].to_numpy(dtype=np.float32)
                by_seed.setdefault(str(seed), {})[part] = _measured(rows, scores, k_values)
    return found


def read_labels(path: Path) -> pd.DataFrame:
    """Read labelled sentences, sorted by (problem_id, chunk_idx).

    Raises:
        InputError: unreadable, a column absent, numbers absent or not finite, a sentence listed twice.
    """
    table = _read_table(path, LABEL_NUMBERS, ("chunk_text",))
    _require_anchors(table, path)
    _require_texts(table, "chunk_text", path)
    return _sorted_once(table, list(KEYS), path)


def read_predictions(path: Path, rows: str = "both") -> pd.DataFrame:
    """Read scores per seed, sorted by (seed, problem_id, chunk_idx): of tied scores the earlier sentence wins.

    Args:
        path: a parquet file with problem_id, chunk_idx, seed, anchor, importance_score and ``score_<model>`` columns.
        rows: a key of ``PARTS_OF``; those of other parts are left out, and for ``all`` no column ``split`` is needed.

    Raises:
        InputError: as ``read_labels``; a part that is no text, no score column, or a seed without rows of a part.
    """
    parts, filtered = PARTS_OF[rows], rows != ALL_ROWS
    table = _read_table(path, PREDICTION_NUMBERS, ("split",) if filtered else ())
    _require_anchors(table, path)
    scores = [name for name in table.columns if name.startswith(SCORE_PREFIX)]
    if not scores:
        raise InputError(path, "columns", list(table.columns), f"at least one {SCORE_PREFIX}<model>")
    _require_numbers(table, scores, path)
    if filtered:
        _require_texts(table, "split", path)
        for seed, found in table.groupby("seed")["split"]:
            if not set(parts) <= set(found) <= {"train", *SCORED_PARTS}:
                known = sorted(map(str, set(found)))
                raise InputError(path, f"split of seed {seed}", known, f"rows of {' and of '.join(parts)}")
        table = table.take(np.flatnonzero(table["split"].isin(parts)))
    return _sorted_once(table, ["seed", *KEYS], path)


def read_splits(path: Path) -> Split:
    """Read {"train": [ids], "val": [ids], "test": [ids]}.

    Raises:
        InputError: unreadable, not of this shape, an empty part, or a problem in two parts.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(path, "file", str(error), "a readable JSON file") from error
    content = read_json(str(path), raw)
    parts: dict[str, tuple[int, ...]] = {}
    for name in ("train", "val", "test"):
        ids = content.get(name) if isinstance(content, dict) else None
        if not isinstance(ids, list) or not ids or not all(type(one) is int for one in ids):
            raise InputError(path, name, ids, "a list of problem ids (whole numbers), not empty")
        parts[name] = tuple(sorted(ids))
    every = [one for ids in parts.values() for one in ids]
    twice = sorted({one for one in every if every.count(one) > 1})
    if twice:
        raise InputError(path, "problem ids", twice, "each problem in one part, once")
    return Split(**parts)


def _probe_data(labels: pd.DataFrame, split: Split, paths: argparse.Namespace) -> ProbeData:
    absent = sorted(set(split.part_of()) - set(labels["problem_id"].tolist()))
    if absent:
        raise InputError(paths.splits, "problem ids", absent, f"problems that have rows in {paths.labels}")
    data = ProbeData.of(add_split(labels, split), None)
    classes = sorted(set(data.rows["anchor"].to_numpy()[data.train].tolist()))
    if classes != [0, 1]:
        raise InputError(
            paths.labels, "anchor of the train problems", classes, "both 0 and 1, or nothing can be fitted"
        )
    return data


def _measured(rows: pd.DataFrame, scores: np.ndarray, k_values: Sequence[int]) -> dict[str, float]:
    measured = evaluate(rows, scores, tuple(k_values))
    return {name: measured[name] for name in ("pr_auc", "spearman_mean", *(f"top_{k}_recall" for k in k_values))}


def _read_table(path: Path, numbers: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises errors of many kinds
        raise InputError(path, "file", str(error), "a readable parquet file") from error
    absent = [name for name in (*numbers, *texts) if name not in table.columns]
    if absent:
        raise InputError(path, "columns", list(table.columns), f"also {', '.join(absent)}")
    if table.empty:
        raise InputError(path, "rows", 0, "at least one row")
    _require_numbers(table, numbers, path)
    return table


def _require_numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    for name in columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(path, name, str(table[name].dtype), "a column of numbers")
        if name in WHOLE_NUMBERS and not pd.api.types.is_integer_dtype(table[name]):
            raise InputError(path, name, str(table[name].dtype), "a column of whole numbers")
        with np.errstate(over="ignore"):
            values = table[name].to_numpy(dtype=np.float32, na_value=np.nan)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise InputError(path, name, f"{bad} values absent or not finite in float32", "finite numbers in every row")


def _require_texts(table: pd.DataFrame, column: str, path: Path) -> None:
    others = [value for value in table[column] if not isinstance(value, str)]
    if others:
        raise InputError(path, column, f"{others[0]!r}, which is no text", "text in every row")


def _require_anchors(table: pd.DataFrame, path: Path) -> None:
    odd = sorted(set(table["anchor"].tolist()) - {0, 1})
    if odd:
        raise InputError(path, "anchor", odd, "only 0 and 1")


def _sorted_once(table: pd.DataFrame, keys: list[str], path: Path) -> pd.DataFrame:
    twice = int(table.duplicated(keys).sum())
    if twice:
        raise InputError(path, ", ".join(keys), f"{twice} repeated rows", "each sentence once")
    return table.sort_values(keys, kind="stable").reset_index(drop=True)


_DESCRIPTION = """Measure stored scores anew and, given --labels and --splits, fit the position and text baselines anew.
Prints one JSON object {"refit": {model: {val, test}}, "recomputed": {model: {seed: {part: {metric: value}}}}}; parts
are val and test, test, or all. An undefined metric is null."""

if __name__ == "__main__":
    sys.exit(main())
