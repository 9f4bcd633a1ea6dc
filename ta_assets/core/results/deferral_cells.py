"""The deferral plan of a setting: thresholds chosen on val rows of its cells, reported on test rows, over seeds.

Belongs here: from predictions to the plan's JSON. Stays out: the thresholds themselves (``deferral``), which cells may
be believed, files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.options import DeferralOptions
from ta_assets.core.probes.models import SEEDED
from ta_assets.core.results.deferral import GroupPlan, Objective, Outcome, Rows, apply, best, plan_groups
from ta_assets.core.results.lopo import FOLD
from ta_assets.core.score_columns import SCORE_PREFIX
from ta_assets.core.statistics.threshold_pairs import Pairs
from ta_assets.core.values import jsonable

BUDGETS = tuple(np.linspace(0, 0.5, 11).round(3).tolist())
"""Shares of deferred sentences at which the trade-off is shown."""
EVERYTHING = "all"
"""The one group of a plan without groups."""
THIRDS = ("early", "middle", "late")


def objective_of(options: DeferralOptions) -> Objective:
    """What a plan must keep."""
    return Objective(options.objective, options.budget if options.objective == "budget" else options.error)


def seeds_to_plan(probe: str, seeds: Sequence[int]) -> list[int]:
    """The seeds whose cells a plan reads: all where the probe depends on the seed, else the smallest."""
    return sorted(seeds) if probe in SEEDED else sorted(seeds)[:1]


def grouped(predictions: pd.DataFrame, sentences: pd.DataFrame) -> pd.DataFrame:
    """The predictions of a cell with ``function_tag`` of their sentences.

    Args:
        predictions: rows with problem_id and chunk_idx; with folds, a sentence may have several.
        sentences: labelled sentences of the corpus, one row each, with ``function_tag``.
    """
    tags = sentences[["problem_id", "chunk_idx", "function_tag"]]
    return predictions.merge(tags, on=["problem_id", "chunk_idx"], how="left", validate="many_to_one")


def groups_of(predictions: pd.DataFrame, group: str) -> np.ndarray:
    """The group of every row, [n_rows] str: its first function tag, its third of the trace, or ``all``.

    Where problems were left out in turn, each fold has probes of its own, so its groups have thresholds of their own:
    chosen on val rows of the fold, they never saw its test problem.
    """
    if group == "function_tag":
        names = predictions["function_tag"].to_numpy(dtype=str)
    elif group == "position_third":
        third = np.minimum((predictions["relative_position"].to_numpy(dtype=np.float64) * 3).astype(int), 2)
        names = np.array(THIRDS)[third]
    else:
        names = np.full(len(predictions), EVERYTHING)
    if FOLD not in predictions:
        return names
    return np.array([f"fold {fold}, {name}" for fold, name in zip(predictions[FOLD], names, strict=True)], dtype=str)


def plan_cells(predictions: Mapping[int, pd.DataFrame], options: DeferralOptions) -> dict[str, Any]:
    """Plan every seed's cell, and average over seeds.

    Args:
        predictions: seed -> val and test rows with ``split``, ``anchor``, the probe's score and what the group needs.
        options: what is asked for.

    Returns:
        JSON-able: probe, objective, limit, quantiles, group; plans, one a seed and group (seed, group, t_neg, t_pos,
        meets_objective, promised, val and test counts and rates); summary_by_seed (seed, meets_objective, val, test:
        counts of its groups added up); summary (meets_objective and promised in all, mean over seeds of each rate on
        val and test); trade_off of the smallest seed, without groups. A rate without decided rows is None, and so is
        its mean.

    Raises:
        ValueError: as ``deferral.choose`` and ``plan_groups``.
    """
    plans, seeds = [], []
    for seed, table in sorted(predictions.items()):
        found = _plan(table, options)
        plans += [_group_json(seed, one) for one in found]
        both = {"val": _sum([one.plan.chosen_on for one in found]), "test": _sum([one.test for one in found])}
        met = all(one.plan.meets_objective for one in found)
        seeds.append({"seed": seed, "meets_objective": met} | {part: one.to_json() for part, one in both.items()})
    first = predictions[min(predictions)]
    folds = [table for _, table in first.groupby(FOLD)] if FOLD in first else [first]
    pairs = [(_rows(table, "val", options), _rows(table, "test", options)) for table in folds]
    return jsonable(
        {
            "probe": options.probe,
            "objective": options.objective,
            "limit": objective_of(options).limit,
            "quantiles": options.quantiles,
            "group": options.group,
            "plans": plans,
            "summary_by_seed": seeds,
            "summary": {
                "seeds": len(seeds),
                "meets_objective": all(one["meets_objective"] for one in seeds),
                "promised": all(one["promised"] for one in plans),
            }
            | {part: _mean([one[part] for one in seeds]) for part in ("val", "test")},
            "trade_off": trade_off(pairs, BUDGETS, options.quantiles),
        }
    )


def trade_off(folds: Sequence[tuple[Rows, Rows]], budgets: Sequence[float], quantiles: int) -> list[dict[str, float]]:
    """Errors against deferral: for each budget the best pair on the val rows of each fold, and what it does to test.

    Args:
        folds: (val, test) of each; a single split is one fold.
        budgets: largest shares to defer.
        quantiles: of the scores of val.
    """
    candidates = [Pairs.of(val.scores, val.labels, None, quantiles) for val, _ in folds]
    rows = []
    for budget in budgets:
        plans = [best(pairs, Objective("budget", budget), keep_promise=False) for pairs in candidates]
        outcomes = {
            "val": _sum([plan.chosen_on for plan in plans]),
            "test": _sum([apply(test, plan.thresholds) for (_, test), plan in zip(folds, plans, strict=True)]),
        }
        rates = {
            f"{part}_{rate}": getattr(outcome, rate)
            for part, outcome in outcomes.items()
            for rate in ("deferral_rate", "accepted_error")
        }
        rows.append({"budget": float(budget)} | rates)
    return rows


def _plan(table: pd.DataFrame, options: DeferralOptions) -> list[GroupPlan]:
    groups, split = groups_of(table, options.group), table["split"].to_numpy()
    val, test = (_rows(table, part, options) for part in ("val", "test"))
    both = groups[split == "val"].tolist(), groups[split == "test"].tolist()
    return plan_groups(val, test, both, objective_of(options), options.quantiles)


def _rows(table: pd.DataFrame, part: str, options: DeferralOptions) -> Rows:
    chosen = table.take(np.flatnonzero(table["split"] == part))
    scores = chosen[f"{SCORE_PREFIX}{options.probe}"].to_numpy()
    return Rows(scores, chosen["anchor"].to_numpy(), chosen["problem_id"].to_numpy())


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    return sum(outcomes[1:], outcomes[0])


def _group_json(seed: int, one: GroupPlan) -> dict[str, Any]:
    return {
        "seed": seed,
        "group": one.group,
        "t_neg": one.plan.thresholds.negative,
        "t_pos": one.plan.thresholds.positive,
        "meets_objective": one.plan.meets_objective,
        "promised": one.plan.promised,
        "val": one.plan.chosen_on.to_json(),
        "test": one.test.to_json(),
    }


def _mean(outcomes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in outcomes])) for name in outcomes[0]}
