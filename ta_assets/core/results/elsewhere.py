"""Metrics and deferral plans of a table of scores that no study made.

Belongs here: which columns stand for what, and what they give. Stays out: metrics and thresholds themselves
(``statistics.metrics``, ``deferral``), files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.results.deferral import Objective, Outcome, Rows, plan_groups
from ta_assets.core.results.deferral_cells import BUDGETS, EVERYTHING, trade_off
from ta_assets.core.statistics.metrics import (
    average_precision,
    macro_average_precision,
    pr_auc_trapezoid,
    spearman_mean,
    top_k_recall,
)
from ta_assets.core.values import jsonable

ALL_ROWS = "all"
"""The one part of a table without a column of parts."""
CHOSEN_ON, REPORTED_ON = "val", "test"
"""Parts on which thresholds are chosen, and on which they are reported."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table, one row a sentence (or whatever is scored)."""

    scores: tuple[str, ...]
    """Finite numbers; higher means more likely a 1."""
    label: str = "anchor"
    """0 and 1."""
    problem: str = "problem_id"
    """What rows belong together."""
    importance: str | None = None
    """Numbers to rank by; without it there are no rank correlations and recalls."""
    part: str | None = None
    """Names of the parts of a split."""
    group: str | None = None
    """Rows of one value get thresholds of their own."""


def measured(table: pd.DataFrame, columns: Columns, k_values: Sequence[int]) -> dict[str, Any]:
    """Metrics of every score on every part of the table, JSON-able; an undefined one is None.

    Returns:
        {score: {part: {n, prevalence, pr_auc, average_precision, macro_average_precision}}}, and with importances
        spearman_mean and top_{k}_recall.
    """
    parts = _parts(table, columns)
    return jsonable(
        {
            score: {name: _metrics(rows, score, columns, k_values) for name, rows in parts.items()}
            for score in columns.scores
        }
    )


def planned(table: pd.DataFrame, columns: Columns, objective: Objective, quantiles: int) -> dict[str, Any]:
    """Deferral plans of every score: chosen on the part ``val``, reported on ``test``; JSON-able.

    Returns:
        {score: {groups, val, test, trade_off}}: of each group t_neg, t_pos, meets_objective, val and test counts and
        rates; the same added up; errors at budgets from 0 to .5 without groups.

    Raises:
        ValueError: a part is absent, or no group is in both.
    """
    parts = _parts(table, columns)
    absent = [part for part in (CHOSEN_ON, REPORTED_ON) if part not in parts]
    if absent:
        raise ValueError(f"no rows of {' and '.join(absent)}: thresholds are chosen on val and reported on test")
    val, test = parts[CHOSEN_ON], parts[REPORTED_ON]
    groups = _groups(val, columns), _groups(test, columns)
    found = {}
    for score in columns.scores:
        both = _rows(val, score, columns), _rows(test, score, columns)
        plans = plan_groups(*both, groups, objective, quantiles)
        found[score] = {
            "groups": {
                one.group: {
                    "t_neg": one.plan.thresholds.negative,
                    "t_pos": one.plan.thresholds.positive,
                    "meets_objective": one.plan.meets_objective,
                    "val": one.plan.chosen_on.to_json(),
                    "test": one.test.to_json(),
                }
                for one in plans
            },
            "val": _sum([one.plan.chosen_on for one in plans]).to_json(),
            "test": _sum([one.test for one in plans]).to_json(),
            "trade_off": trade_off([both], BUDGETS, quantiles),
        }
    return jsonable(found)


def _parts(table: pd.DataFrame, columns: Columns) -> dict[str, pd.DataFrame]:
    if columns.part is None:
        return {ALL_ROWS: table}
    names = table[columns.part].to_numpy(dtype=str)
    return {str(name): table.take(np.flatnonzero(names == name)) for name in np.unique(names)}


def _metrics(rows: pd.DataFrame, score: str, columns: Columns, k_values: Sequence[int]) -> dict[str, float]:
    scores, labels = rows[score].to_numpy(np.float64), rows[columns.label].to_numpy()
    problems = rows[columns.problem].to_numpy()
    found = {
        "n": len(rows),
        "prevalence": float(labels.mean()),
        "pr_auc": pr_auc_trapezoid(labels, scores),
        "average_precision": average_precision(labels, scores),
        "macro_average_precision": macro_average_precision(labels, scores, problems),
    }
    if columns.importance is None:
        return found
    importance = rows[columns.importance].to_numpy(np.float64)
    recalls = {f"top_{k}_recall": top_k_recall(scores, importance, problems, k) for k in k_values}
    return found | {"spearman_mean": spearman_mean(scores, importance, problems)} | recalls


def _rows(rows: pd.DataFrame, score: str, columns: Columns) -> Rows:
    return Rows(rows[score].to_numpy(np.float64), rows[columns.label].to_numpy())


def _groups(rows: pd.DataFrame, columns: Columns) -> list[str]:
    if columns.group is None:
        return [EVERYTHING] * len(rows)
    return rows[columns.group].astype(str).tolist()


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    return sum(outcomes[1:], outcomes[0])
