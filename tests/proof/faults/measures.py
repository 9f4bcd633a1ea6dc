"""Faults in the code of metrics beside the primary one, and in what is chosen by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.results import aggregate
from ta_assets.core.statistics import metrics
from tests.proof.faults import Fault
from tests.proof.faults.planting import replace
from tests.proof.world import CORPUS, World

CELL = f"3|{CORPUS}"


def _metric(name: str, wrong: Callable[[Callable[..., float]], Callable[..., float]]) -> Callable[[World], None]:
    """A metric is measured by another formula."""

    def plant(world: World) -> None:
        replace(metrics, name, wrong(getattr(metrics, name)))
        world.make("probe_metrics", CELL)

    return plant


def _seed_by_test(world: World) -> None:
    """The seed that is best on the test problems is called the best."""

    right = aggregate._best_seed

    def best(val: pd.DataFrame, test: pd.DataFrame, primary_metric: str) -> dict[str, Any]:
        shown = test.take(np.flatnonzero(test["metric"] == primary_metric))
        found = right(shown, test, primary_metric)
        same = (val["model"] == found["model"]) & (val["seed"] == found["seed"])
        return {**found, "val": float(val["value"].to_numpy()[same.to_numpy()][0])}

    replace(aggregate, "_best_seed", best)
    world.make("aggregate_metrics", CORPUS)


def _seeds_from_the_end(world: World) -> None:
    """The seeds that are kept of a model are its worst on val."""
    right = aggregate._best_seeds

    def worst(val: pd.DataFrame, test: pd.DataFrame, k: int) -> pd.DataFrame:
        return right(val.assign(value=-val["value"]), test, k)

    replace(aggregate, "_best_seeds", worst)
    world.make("aggregate_metrics", CORPUS)


def _of_one_cell(world: World) -> None:
    """The number beside the best seed is that of val, not of test."""
    right = aggregate._best_seed

    def same(val: pd.DataFrame, test: pd.DataFrame, primary_metric: str) -> dict[str, Any]:
        found = right(val, test, primary_metric)
        return {**found, "test": found["val"]}

    replace(aggregate, "_best_seed", same)
    world.make("aggregate_metrics", CORPUS)


AGAIN, CHOSEN = ("metrics_measured_again", "probe_metrics"), ("chosen_on_val", "aggregate_metrics")
FAULTS = (
    *(
        Fault(name, *AGAIN, plant)
        for name, plant in (
            (
                "the area under the curve is the average precision",
                _metric("pr_auc_trapezoid", lambda _: metrics.average_precision),
            ),
            (
                "top-k recall is of one sentence more",
                _metric("top_k_recall", lambda right: lambda *given: right(*given[:3], given[3] + 1)),
            ),
            (
                "rank correlations are a hundredth too high",
                _metric("spearman_mean", lambda right: lambda *given: right(*given) + 0.01),
            ),
            (
                "the mean over problems is pooled",
                _metric(
                    "macro_average_precision",
                    lambda _: lambda labels, scores, _groups: metrics.average_precision(labels, scores),
                ),
            ),
        )
    ),
    Fault("the best seed is chosen on test", *CHOSEN, _seed_by_test),
    Fault("the seeds that are kept are the worst on val", *CHOSEN, _seeds_from_the_end),
    Fault("the test value of the best seed is that of val", *CHOSEN, _of_one_cell),
)
