"""The dagster-pandas types of the table assets: which columns they have and what may stand in them."""

import warnings

import dagster as dg
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS

with warnings.catch_warnings():
    # dagster-pandas marks its own columns as beta in 1.13
    warnings.simplefilter("ignore", dg.BetaWarning)

    SentenceTable = create_dagster_pandas_dataframe_type(
        name="SentenceTable",
        description="One row a sentence of a trace, with its labels.",
        columns=[
            PandasColumn.integer_column("problem_id", non_nullable=True),
            PandasColumn.integer_column("chunk_idx", non_nullable=True, min_value=0),
            PandasColumn.integer_column("num_chunks", non_nullable=True, min_value=1),
            PandasColumn.string_column("chunk_text", non_nullable=True),
            PandasColumn.string_column("function_tag", non_nullable=True),
            PandasColumn.float_column("counterfactual_raw", non_nullable=True),
            PandasColumn.float_column("importance_signed", non_nullable=True),
            PandasColumn.float_column("importance_score", non_nullable=True, min_value=0.0),
            PandasColumn.integer_column("anchor", non_nullable=True, min_value=0, max_value=1),
            PandasColumn.float_column("relative_position", non_nullable=True, min_value=0.0, max_value=1.0),
            PandasColumn.integer_column("source_text_len", non_nullable=True, min_value=0),
            *(PandasColumn.float_column(name, min_value=0.0, ignore_missing_vals=True) for name in COUNT_COLUMNS),
        ],
    )

    ScalingTable = create_dagster_pandas_dataframe_type(
        name="ScalingTable",
        description="One row a probe of a setting: mean and standard deviation over seeds of every test metric.",
        columns=[
            PandasColumn.string_column("setting", non_nullable=True),
            PandasColumn.string_column("model", non_nullable=True),
            PandasColumn.boolean_column("best", non_nullable=True),
            PandasColumn.integer_column("seeds", non_nullable=True, min_value=1),
            PandasColumn.boolean_column("depends_on_seed", non_nullable=True),
            PandasColumn.string_column("left_out", non_nullable=True),
        ],
    )
