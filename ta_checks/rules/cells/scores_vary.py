"""A model tells sentences of one problem apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ta_checks.evidence import FOLD, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import SCORE_PREFIX


def read(evidence: Evidence) -> dict[str, Any]:
    """The scores of every model of the cell."""
    table = evidence.value.predictions
    return {"predictions": table, "groups": [name for name in (FOLD, "problem_id") if name in table]}


def scores_vary(predictions: pd.DataFrame, groups: Sequence[str] = ("problem_id",)) -> Verdict:
    """Fail on a model that gives all sentences of every problem one and the same score: it has learned nothing.

    Args:
        predictions: val and test rows with ``score_<model>``.
        groups: columns that tell problems (and folds) apart.
    """
    names = [name for name in predictions.columns if name.startswith(SCORE_PREFIX)]
    if not names:
        return Verdict.failed("there are no scores")
    distinct = predictions.groupby(list(groups))[names].nunique(dropna=False).max()
    constant = [
        f"{name.removeprefix(SCORE_PREFIX)}: constant within every problem" for name in names if distinct[name] < 2
    ]
    message = f"{len(constant)} of {len(names)} models score all sentences of a problem alike"
    return Verdict.no_faults(constant, n=len(names), unit="constant scorers", message=message)


ROW = Invariant(
    "scores_vary",
    "probe_metrics",
    read,
    scores_vary,
    "A model scores all sentences of every problem alike: its fit collapsed, and its metrics are those of chance. "
    "Look at the fit's warnings and at the vectors.",
)
