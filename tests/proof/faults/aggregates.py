"""Faults in what is made of a setting's cells: means over seeds, the plan of deferral."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ta_assets.core.results import aggregate
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace
from tests.proof.world import CORPUS, World

MEAN = "average_precision_mean"


def _value(asset: str, edit: Callable[[dict[str, Any]], Any]) -> Callable[[World], None]:
    """The asset returns a value that ``edit`` has changed in place."""

    def plant(world: World) -> None:
        def wrong(value: dict[str, Any]) -> dict[str, Any]:
            changed = json.loads(json.dumps(value))
            edit(changed)
            return changed

        make_wrong(world, asset, CORPUS, wrong)

    return plant


def _raise_means(value: dict[str, Any]) -> None:
    for row in value["summary_by_model"]:
        row[MEAN] += 0.05


def _forget_seeds(value: dict[str, Any]) -> None:
    value["seeds"] = value["seeds"][:3]


def _undefine(value: dict[str, Any]) -> None:
    value["summary_by_model"][0][MEAN] = None


def _drop_model(value: dict[str, Any]) -> None:
    value["summary_by_model"].pop()


def _sample_deviation(world: World) -> None:
    def spread(records: Any, metrics: Any) -> dict[str, float]:
        values = {name: np.array([record[name] for record in records]) for name in metrics}
        return {f"{name}_mean": float(one.mean()) for name, one in values.items()} | {
            f"{name}_std": float(one.std(ddof=1)) if len(one) > 1 else 0.0 for name, one in values.items()
        }

    replace(aggregate, "_spread", spread)
    world.make("aggregate_metrics", CORPUS)


def _means_of_val(world: World) -> None:
    right = aggregate._part
    replace(aggregate, "_part", lambda records, part: right(records, "val"))
    world.make("aggregate_metrics", CORPUS)


def _few_seeds_in_the_mean(world: World) -> None:
    right = aggregate.aggregate
    replace(aggregate, "aggregate", lambda cells, **options: right({seed: cells[seed] for seed in (0, 1)}, **options))
    world.make("aggregate_metrics", CORPUS)


def _swap_thresholds(value: dict[str, Any]) -> None:
    for plan in value["plans"]:
        plan["t_neg"], plan["t_pos"] = plan["t_pos"] + 1e-6, plan["t_neg"]


def _hide_errors(value: dict[str, Any]) -> None:
    for plan in value["plans"]:
        plan["test"]["n_errors"] = -1


def _overspend(value: dict[str, Any]) -> None:
    for plan in value["plans"]:
        plan.update(t_neg=-1e9, t_pos=1e9)


AGAIN = "aggregate_recomputes"
FAULTS = (
    Fault("the mean is over two seeds", "all_seeds_aggregated", "aggregate_metrics", _few_seeds_in_the_mean),
    Fault(
        "the aggregate names three seeds",
        "all_seeds_aggregated",
        "aggregate_metrics",
        _value("aggregate_metrics", _forget_seeds),
    ),
    Fault("means are of an older run", AGAIN, "aggregate_metrics", _value("aggregate_metrics", _raise_means)),
    Fault("a model is missing in the mean", AGAIN, "aggregate_metrics", _value("aggregate_metrics", _drop_model)),
    Fault("deviations are of a sample, not of the seeds", AGAIN, "aggregate_metrics", _sample_deviation),
    Fault("means are of the validation part", AGAIN, "aggregate_metrics", _means_of_val),
    Fault("a mean is undefined", "finite_metrics", "aggregate_metrics", _value("aggregate_metrics", _undefine)),
    Fault(
        "the thresholds of deferral are swapped",
        "deferral_recomputes",
        "deferral_plan",
        _value("deferral_plan", _swap_thresholds),
    ),
    Fault(
        "the plan of deferral hides its errors",
        "deferral_recomputes",
        "deferral_plan",
        _value("deferral_plan", _hide_errors),
    ),
    Fault(
        "the plan of deferral defers too much",
        "deferral_objective_met",
        "deferral_plan",
        _value("deferral_plan", _overspend),
        status="warned",
    ),
)
