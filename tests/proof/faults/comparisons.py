"""Faults in the out-of-fold scores and in the comparison that is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.assets import comparison
from ta_assets.core.comparison import claims
from ta_assets.core.crossfit import fit as crossfit
from ta_assets.core.crossfit import logistic, nulls
from ta_assets.core.statistics import intervals
from ta_assets.core.values import CrossFitted
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace
from tests.proof.world import CORPUS, World

N_FEW = 4
"""Fewer than an interval needs, enough for three parts of a split."""


def _scores(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        def wrong(value: CrossFitted) -> CrossFitted:
            return dataclasses.replace(value, scores=edit(value.scores))

        make_wrong(world, "cv_scores", CORPUS, wrong)

    return plant


def _rows(edit: Callable[[dict[str, Any]], dict[str, Any]], kind: str = "probe") -> Callable[[World], None]:
    def plant(world: World) -> None:
        def wrong(value: dict[str, Any]) -> dict[str, Any]:
            return {**value, "rows": [row | (edit(row) if row["kind"] == kind else {}) for row in value["rows"]]}

        make_wrong(world, "probe_comparison", CORPUS, wrong)

    return plant


def _leaking_folds(*modules: Any) -> Callable[[World], None]:
    """A fold trains on the problem that it holds out, too."""

    def plant(world: World) -> None:
        right = crossfit.folds_of

        def leaking(*given: Any) -> Iterator[Any]:
            for fold in right(*given):
                yield dataclasses.replace(fold, train=np.union1d(fold.train, fold.test))

        for module in modules:
            replace(module, "folds_of", leaking)
        world.make("cv_scores", CORPUS)

    return plant


def _stopped_short(world: World) -> None:
    replace(logistic, "MAX_ITERATIONS", 3)
    world.make("cv_scores", CORPUS)


def _few(world: World) -> None:
    """Leave the corpus so few problems that no interval may be given, those with rollouts among them."""
    import shutil

    folders = sorted(world.problems(CORPUS), key=lambda path: not (path / "chunk_0").is_dir())
    for folder in folders[N_FEW:]:
        shutil.rmtree(folder)
    world.forget()


def _interval_of_few(world: World) -> None:
    replace(intervals, "MIN_PROBLEMS_FOR_INTERVAL", 2)
    replace(claims, "least_problems", lambda *_: 2)
    _few(world)


def _claim_of_few(world: World) -> None:
    _few(world)
    for asset in ("problem_ids", "splits", "sentences", "activations", "cv_scores"):
        world.make(asset, CORPUS)
    _rows(lambda row: {"verdict": "better"})(world)


def _looks_at_noise(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "level": 0.2, "looks": [{**look, "level": 0.2} for look in value["looks"]]}


def _forgotten_look(world: World) -> None:
    """A problem is gone, and the comparison of the others is taken for the first."""
    import shutil

    folders = sorted(world.problems(CORPUS), key=lambda path: (path / "chunk_0").is_dir())
    shutil.rmtree(folders[0])
    world.forget()
    for asset in ("problem_ids", "splits", "sentences", "activations", "cv_scores"):
        world.make(asset, CORPUS)
    replace(comparison, "earlier_looks", lambda *_: ())
    world.make("probe_comparison", CORPUS)


def _better(row: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "better", "low": row["high"] - 1.0 if row["high"] is not None else -1.0}


def _perfect_order(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(**{"order/0": scores["anchor"].astype(float)})


def _false_claim(row: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "better", "p": 0.9}


def _without_a_problem(scores: pd.DataFrame) -> pd.DataFrame:
    kept = np.flatnonzero(scores["problem_id"] != scores["problem_id"].iloc[0])
    return scores.take(kept).reset_index(drop=True)


def _without_first(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(**{"ridge/0": scores["ridge/0"].where(scores.index > 0)})


OUT, AGAIN = "scores_out_of_fold", "comparison_recomputes"
FAULTS = (
    *(
        Fault(name, OUT, "cv_scores", plant)
        for name, plant in (
            ("folds train on the problem that they hold out", _leaking_folds(crossfit, nulls)),
            ("the scored fits see the held-out problem", _leaking_folds(crossfit)),
            ("the permuted fits see the held-out problem", _leaking_folds(nulls)),
            ("scores are stored with other labels", _scores(lambda t: t.assign(anchor=np.roll(t["anchor"], 1)))),
            (
                "a problem has no out-of-fold scores",
                _scores(_without_a_problem),
            ),
            (
                "an out-of-fold score is NaN",
                _scores(_without_first),
            ),
        )
    ),
    Fault("logistic fits are stopped after three iterations", "fits_at_optimum", "cv_scores", _stopped_short),
    *(
        Fault(name, AGAIN, "probe_comparison", plant)
        for name, plant in (
            ("average precisions of an older run", _rows(lambda row: {"average_precision": 0.9})),
            ("differences have the other sign", _rows(lambda row: {"difference": -row["difference"]})),
            ("a probe is called better against its interval", _rows(_better)),
            ("rows are held against chance, not a rival", _rows(lambda row: {"against": "chance"})),
        )
    ),
    Fault(
        "intervals have no width",
        "interval_not_degenerate",
        "probe_comparison",
        _rows(lambda row: {"low": row["difference"], "high": row["difference"]}),
    ),
    Fault(
        "intervals leave out their estimate",
        "interval_not_degenerate",
        "probe_comparison",
        _rows(lambda row: {"ap_low": row["average_precision"] + 0.01, "ap_high": row["average_precision"] + 0.02}),
    ),
    Fault("an interval over four problems", "interval_not_degenerate", "probe_comparison", _interval_of_few),
    Fault("a claim on four problems", "enough_problems", "probe_comparison", _claim_of_few),
    Fault(
        "a level with which every fifth look finds something",
        "looks_counted",
        "probe_comparison",
        lambda world: make_wrong(world, "probe_comparison", CORPUS, _looks_at_noise),
    ),
    Fault("an earlier look is forgotten", "looks_counted", "probe_comparison", _forgotten_look),
    Fault(
        "the untrained order is perfect",
        "beats_order_baseline",
        "probe_comparison",
        _scores(_perfect_order),
        status="warned",
    ),
    Fault(
        "a claim that the correction takes back",
        "claims_survive_correction",
        "probe_comparison",
        _rows(_false_claim),
        status="warned",
    ),
)
