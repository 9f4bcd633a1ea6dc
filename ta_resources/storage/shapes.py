"""What a stored artifact must look like beyond the hash of its bytes: parts, columns, keys.

A hash says that a file is the one that was stored, not that it was stored by this version of the project, nor by hand.
Belongs here: shapes. Stays out: reading and hashing (``storage``), whether the numbers are right (``ta_checks``).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from ta_assets.core.errors import InputError
from ta_assets.core.score_columns import KEYS, SCORE_PREFIX, scored_models
from ta_assets.core.traces.labels import COLUMNS, LABEL_DTYPES

SPAN_DTYPES: Mapping[str, str] = dict.fromkeys(
    ("problem_id", "chunk_idx", "token_start", "token_end", "token_count"), "int64"
)


def _inside(file: str) -> str:
    place = PurePosixPath(file)
    if place.is_absolute() or ".." in place.parts or "\\" in file:
        raise ValueError("must be a file below the folder of artifacts")
    return file


Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
Ids = Annotated[list[Annotated[int, Field(strict=True)]], Field(strict=True)]


class _ShardRecord(BaseModel):
    file: Annotated[str, AfterValidator(_inside)]
    sha256: str


class _SkipRecord(BaseModel):
    problem_id: int
    kind: str
    reason: str


class _ActivationsRecord(BaseModel):
    extraction: dict[str, Any]
    block: int
    blocks: list[int]
    d_model: int
    shards: dict[Digits, dict[Digits, _ShardRecord]]
    tokens: dict[Digits, int]
    skipped: list[_SkipRecord]


class _Parts(BaseModel):
    train: Ids
    val: Ids
    test: Ids


class _Folds(BaseModel):
    folds: dict[Digits, _Parts]


ACTIVATIONS_RECORD = TypeAdapter(_ActivationsRecord)
SPLIT, FOLDS, PROBLEM_IDS = TypeAdapter(_Parts), TypeAdapter(_Folds), TypeAdapter(Ids)


def check_record(kind: type, parts: Mapping[str, Any], files: Mapping[str, str], manifest: str) -> None:
    """Refuse parts that are not the fields of the record, or are of another type.

    Args:
        kind: one of ``storage.RECORDS``.
        parts: field -> value, as decoded.
        files: field -> path or URL of its file, for messages.
        manifest: path or URL of the file that names them.

    Raises:
        InputError: a part is missing, unknown or of another type; or as ``check_spans``, or a record of activations
            without its keys.
    """
    hints = get_type_hints(kind)
    required = {
        one.name
        for one in dataclasses.fields(kind)
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    }
    if not required <= set(parts) <= set(hints):
        expected = f"{', '.join(sorted(required))} of {kind.__name__}"
        raise InputError(manifest, "files", sorted(parts), expected)
    for name, value in parts.items():
        if not _is_a(value, hints[name]):
            raise InputError(files[name], "content", value, f"{_name_of(hints[name])}, as {kind.__name__} has it")
    if kind.__name__ == "Activations":
        _check_activations(parts["record"], files["record"])
        _check_spans(parts["spans"], files["spans"])
    if kind.__name__ == "CellResult":
        _check_predictions(parts["predictions"], files["predictions"])


def check_value(asset: str, value: Any, place: str) -> None:
    """Refuse a value that its asset does not store; assets without a shape of their own are not looked at.

    Args:
        asset: what the value is of.
        value: as decoded.
        place: path or URL of its file, for messages.

    Raises:
        InputError: with the file, the column or key, and what should be there.
    """
    check = VALUES.get(asset)
    if check is not None:
        check(value, place)


def _check_problem_ids(value: Any, place: str) -> None:
    _valid(PROBLEM_IDS, value, place)


def _check_splits(value: Any, place: str) -> None:
    shape = FOLDS if isinstance(value, dict) and "folds" in value else SPLIT
    _valid(shape, value, place)


def _valid(shape: TypeAdapter[Any], value: Any, place: str) -> None:
    try:
        shape.validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "content"
        found = None if fault["type"] == "missing" else fault["input"]
        raise InputError(place, where, found, fault["msg"].removeprefix("Value error, ")) from None


def _check_activations(record: dict[str, Any], place: str) -> None:
    _valid(ACTIVATIONS_RECORD, record, place)
    for problem_id, of in record["shards"].items():
        for block in {record["block"], *record["blocks"]}:
            if str(block) not in of:
                raise InputError(place, f"shards.{problem_id}", sorted(of), f"also block {block}, as the record says")


def _check_sentences(table: Any, place: str) -> None:
    _check_columns(table, LABEL_DTYPES, place)
    _check_keys(table, place)
    for name, column in COLUMNS.items():
        if column.low == -np.inf and column.high == np.inf:
            continue
        values = table[name].to_numpy(np.float64)
        right = (values >= column.low) & (values <= column.high) & np.isfinite(values)
        wrong = ~(right if column.known else right | np.isnan(values))
        if wrong.any():
            expected = f"finite numbers from {column.low} to {column.high}"
            raise InputError(place, name, float(values[wrong][0]), expected)


VALUES: Mapping[str, Callable[[Any, str], None]] = {
    "problem_ids": _check_problem_ids,
    "splits": _check_splits,
    "sentences": _check_sentences,
}
"""Asset -> what refuses another value than it stores. Storing lies below the table of assets, so these stand here."""


def _check_spans(table: pd.DataFrame, place: str) -> None:
    _check_columns(table, SPAN_DTYPES, place)
    _check_keys(table, place)
    wrong = np.flatnonzero((table["token_start"] < 0) | (table["token_end"] <= table["token_start"]))
    if wrong.size:
        found = table[["token_start", "token_end"]].to_numpy()[wrong[0]].tolist()
        raise InputError(place, f"row {wrong[0]}: token_start, token_end", found, "0 <= start < end")


def _check_predictions(table: pd.DataFrame, place: str) -> None:
    from ta_assets.core.results.cells import PREDICTION_COLUMNS

    absent = [name for name in PREDICTION_COLUMNS if name not in table.columns]
    if absent:
        raise InputError(place, "columns", list(table.columns), f"also {', '.join(absent)}")
    scores = (f"{SCORE_PREFIX}{model}" for model in scored_models(table))
    texts = [name for name in scores if table[name].dtype.kind != "f"]
    if texts:
        raise InputError(place, texts[0], str(table[texts[0]].dtype), "a column of floats")


def _check_columns(table: Any, dtypes: Mapping[str, str], place: str) -> None:
    if not isinstance(table, pd.DataFrame):
        raise InputError(place, "content", table, "a table")
    absent = [name for name in dtypes if name not in table.columns]
    if absent:
        raise InputError(place, "columns", list(table.columns), f"also {', '.join(absent)}")
    for name, dtype in dtypes.items():
        # an empty column of texts comes back without a type
        if str(table[name].dtype) != dtype and len(table):
            raise InputError(place, name, str(table[name].dtype), f"a column of {dtype}")


def _check_keys(table: pd.DataFrame, place: str) -> None:
    twice = table.duplicated(KEYS)
    if twice.any():
        raise InputError(place, ", ".join(KEYS), table.loc[twice, KEYS].to_numpy()[0].tolist(), "each sentence once")
    if (table[KEYS] < 0).any(axis=None):
        raise InputError(place, ", ".join(KEYS), int(table[KEYS].to_numpy().min()), "numbers from 0")


def _is_a(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_a(value, one) for one in get_args(hint))
    return isinstance(value, get_origin(hint) or hint)


def _name_of(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))
