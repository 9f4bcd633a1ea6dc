"""Metrics and deferral plans of a table of scores from elsewhere: ``thought-anchors measure --help``.

Belongs here: reading the file, and printing what core computes from it as one JSON object.
Stays out: Dagster, metrics and thresholds themselves, the layout of a study's own predictions (``reproduce``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.results.deferral import OBJECTIVES, Objective
from ta_assets.core.results.elsewhere import Columns, measured, planned

EXIT_BAD_INPUT = 2
DESCRIPTION = """Measure columns of scores against a column of labels, and plan which rows a score may decide and which
a person looks at. TABLE is a parquet file, or CSV with a heading. Prints one JSON object {"metrics": {score: {part:
{metric: value}}}}, and with --objective {"deferral": {"scores": {score: {groups, val, test, trade_off}}}}: thresholds
are chosen on the rows whose part is val and reported on those of test. An undefined value is null."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the object was printed, 2 when the file (or an argument) is bad."""
    parser = argparse.ArgumentParser(prog="thought-anchors measure", description=DESCRIPTION)
    parser.add_argument("table", type=Path, metavar="TABLE")
    parser.add_argument("--scores", nargs="+", required=True, metavar="COLUMN", help="higher means more likely a 1")
    parser.add_argument("--label", default="anchor", metavar="COLUMN", help="0 and 1 (default: anchor)")
    parser.add_argument("--problem", default="problem_id", metavar="COLUMN", help="rows that belong together")
    parser.add_argument("--importance", metavar="COLUMN", help="for rank correlations and recalls")
    parser.add_argument("--split", metavar="COLUMN", help="part of each row; without it all rows are one part")
    parser.add_argument("--k", type=int, nargs="+", default=(5, 10), metavar="K", help="of the top-k recalls")
    parser.add_argument("--group", metavar="COLUMN", help="thresholds of their own for the rows of each value")
    parser.add_argument("--objective", choices=OBJECTIVES, help="plan: fewest errors within a budget, or the reverse")
    parser.add_argument("--limit", type=float, default=0.2, help="largest share deferred, or of errors (default: 0.2)")
    parser.add_argument("--quantiles", type=int, default=101, help="candidate thresholds (default: 101)")
    asked = parser.parse_args(arguments)
    _refuse_bad_numbers(parser, asked)
    columns = Columns(tuple(asked.scores), asked.label, asked.problem, asked.importance, asked.split, asked.group)
    try:
        table = read_table(asked.table, columns)
        answer = {"metrics": measured(table, columns, asked.k)}
        if asked.objective:
            answer["deferral"] = _planned(table, columns, asked)
    except InputError as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    print(json.dumps(answer, indent=1, allow_nan=False))
    return 0


def read_table(path: Path, columns: Columns) -> pd.DataFrame:
    """Read the file and look at the columns that are asked for.

    Raises:
        InputError: unreadable, without rows or a column, labels other than 0 and 1, numbers that are none or not
            finite, or a row without a problem, part or group.
    """
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except Exception as error:  # pandas and pyarrow raise errors of many kinds
        raise InputError(path, "file", str(error), "a readable parquet or CSV file") from error
    names = [columns.problem, columns.part, columns.group]
    numbers = [*columns.scores, columns.label, columns.importance]
    absent = [name for name in dict.fromkeys([*numbers, *names]) if name is not None and name not in table.columns]
    if absent:
        raise InputError(path, "columns", list(table.columns), f"also {', '.join(absent)}")
    if table.empty:
        raise InputError(path, "rows", 0, "at least one row")
    for name in numbers:
        if name is not None:
            _require_numbers(table, name, path)
    odd = sorted(set(table[columns.label].tolist()) - {0, 1})
    if odd:
        raise InputError(path, columns.label, odd, "only 0 and 1")
    for name in names:
        absent_values = 0 if name is None else int(np.count_nonzero(pd.isna(table[name])))
        if name is not None and absent_values:
            raise InputError(path, name, f"{absent_values} rows without one", "a value in every row")
    return table


def _refuse_bad_numbers(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    if min(asked.k) < 1:
        parser.error(f"argument --k: {min(asked.k)} is below 1")
    if not 0 <= asked.limit <= 1:
        parser.error(f"argument --limit: {asked.limit} is no share from 0 to 1")
    if asked.quantiles < 2:
        parser.error(f"argument --quantiles: {asked.quantiles} is below 2")
    if asked.objective and not asked.split:
        parser.error("--objective needs --split: thresholds are chosen on rows of val and reported on those of test")
    if asked.group and not asked.objective:
        parser.error("--group needs --objective: groups are those of a plan")


def _planned(table: pd.DataFrame, columns: Columns, asked: argparse.Namespace) -> dict[str, object]:
    objective = Objective(asked.objective, asked.limit)
    try:
        plans = planned(table, columns, objective, asked.quantiles)
    except ValueError as error:
        raise InputError(asked.table, columns.group or str(columns.part), str(error), "rows to plan on") from error
    return {"objective": objective.kind, "limit": objective.limit, "group": columns.group, "scores": plans}


def _require_numbers(table: pd.DataFrame, name: str, path: Path) -> None:
    values = table[name]
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        raise InputError(path, name, str(values.dtype), "a column of numbers")
    bad = int(np.count_nonzero(~np.isfinite(values.to_numpy(dtype=np.float64, na_value=np.nan))))
    if bad:
        raise InputError(path, name, f"{bad} values absent or not finite", "finite numbers in every row")


if __name__ == "__main__":
    sys.exit(main())
