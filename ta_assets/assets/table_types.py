"""The dagster-pandas types of the table assets: which columns they have and what may stand in them."""

import math
import warnings
from typing import Any

import dagster as dg
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

from ta_assets.core.traces.labels import COLUMNS, Column


def _column(name: str, column: Column) -> PandasColumn:
    """A column as dagster-pandas checks it."""
    if column.dtype == "object":
        return PandasColumn.string_column(name, non_nullable=column.known)
    bounds: dict[str, Any] = {
        key: end for key, end in (("min_value", column.low), ("max_value", column.high)) if math.isfinite(end)
    }
    if column.dtype == "int64":
        return PandasColumn.integer_column(name, non_nullable=column.known, **bounds)
    return PandasColumn.float_column(name, non_nullable=column.known, ignore_missing_vals=not column.known, **bounds)


with warnings.catch_warnings():
    # dagster-pandas marks its own columns as beta in 1.13
    warnings.simplefilter("ignore", dg.BetaWarning)

    SentenceTable = create_dagster_pandas_dataframe_type(
        name="SentenceTable",
        description="One row a sentence of a trace, with its labels.",
        columns=[_column(name, column) for name, column in COLUMNS.items()],
    )

    ScalingTable = create_dagster_pandas_dataframe_type(
        name="ScalingTable",
        description="One row a probe of a setting: mean and standard deviation over seeds of every test metric, leads "
        "over rivals with their intervals, and bytes of the vectors on the disk.",
        columns=[
            PandasColumn.string_column("setting", non_nullable=True),
            PandasColumn.string_column("model", non_nullable=True),
            PandasColumn.boolean_column("best", non_nullable=True),
            PandasColumn.integer_column("seeds", non_nullable=True, min_value=1),
            PandasColumn.boolean_column("depends_on_seed", non_nullable=True),
            PandasColumn.string_column("left_out", non_nullable=True),
            PandasColumn.integer_column("storage_bytes", non_nullable=True, min_value=0),
        ],
    )
