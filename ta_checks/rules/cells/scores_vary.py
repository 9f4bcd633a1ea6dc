"""Rule: a scorer tells sentences of one problem apart.

Belongs here: this rule. Stays out: how well it does so, Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ta_checks.verdict import Verdict

PREFIX = "score_"


def scores_vary(predictions: pd.DataFrame, groups: Sequence[str] = ("problem_id",)) -> Verdict:
    """Fail on a model that gives all sentences of every problem one and the same score: it has learned nothing.

    Args:
        predictions: val and test rows with ``score_<model>``.
        groups: columns that tell problems (and folds) apart.
    """
    names = [name for name in predictions.columns if name.startswith(PREFIX)]
    if not names:
        return Verdict.failed("there are no scores")
    distinct = predictions.groupby(list(groups))[names].nunique(dropna=False).max()
    offenders = [f"{name.removeprefix(PREFIX)}: constant within every problem" for name in names if distinct[name] < 2]
    return Verdict.judge(
        len(offenders), "<=", 0, unit="constant scorers", n=len(names), offenders=offenders,
        message=f"{len(offenders)} of {len(names)} models score all sentences of a problem alike",
    )  # fmt: skip
