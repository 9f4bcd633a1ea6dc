"""Faults in the code that fits probes and rivals, and in the code that compares them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ta_assets.core.comparison import precision_table
from ta_assets.core.crossfit import fit, ridge
from ta_assets.core.probes import feature_sets
from ta_assets.core.results import cells
from ta_assets.core.statistics import intervals, jackknife, power
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace
from tests.proof.world import CORPUS, World


def _code(asset: str, owner: object, name: str, wrong: Callable[[Any], Any]) -> Callable[[World], None]:
    """A function is ``wrong`` of it for good, and an asset is made anew."""

    def plant(world: World) -> None:
        replace(owner, name, wrong(getattr(owner, name)))
        world.make(asset, CORPUS)

    return plant


def _worst_penalty(_: Any) -> Any:
    def worst(spectrum: Any, target: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
        grid = ridge.penalties(spectrum)
        errors = ridge.left_out_errors(spectrum, target, groups, grid)
        return float(grid[np.argmax(errors)]), float(errors.max())

    return worst


def _training_on_all(right: Any) -> Any:
    def leaking(folds: Any, problems: np.ndarray) -> Any:
        for one in right(folds, problems):
            yield SimpleNamespace(**{**vars(one), "train": np.arange(len(problems))})

    return leaking


def _without_a_problem(right: Any) -> Any:
    """Every fold forgets one training problem."""

    def losing(folds: Any, problems: np.ndarray) -> Any:
        for one in right(folds, problems):
            lost = problems[one.train].min()
            yield dataclasses.replace(one, train=one.train[problems[one.train] != lost])

    return losing


def _next_texts(right: Any) -> Any:
    return lambda texts: right([*texts[1:], texts[0]])


def _later_first(right: Any) -> Any:
    return lambda rows: {name: -scores if name == "order" else scores for name, scores in right(rows).items()}


def _single_tests(_: Any) -> Any:
    return lambda p_values: np.asarray(p_values)


def _half(right: Any) -> Any:
    """Intervals of 50 %."""
    return lambda values, **given: right(values, **{**given, "level": 0.5})


def _without_root(right: Any) -> Any:
    return lambda delta, deviation, n, **given: right(delta / n**0.5, deviation, n, **given)


def _easiest(right: Any) -> Any:
    """The rival that a row is held against is the one with the largest lead."""

    def easy(self: Any, name: str) -> Any:
        rivals = right(self, name)
        return (max(rivals, key=lambda rival: self.difference((name, rival)).mean()),)

    return easy


def _row(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[World], None]:
    """The first row of the comparison is another."""

    def plant(world: World) -> None:
        def edited(value: dict[str, Any]) -> dict[str, Any]:
            first, *others = value["rows"]
            return {**value, "rows": [{**first, **edit(first)}, *others]}

        make_wrong(world, "probe_comparison", CORPUS, edited)

    return plant


def _in_scores(owner: object, name: str, wrong: Callable[[Any], Any]) -> Callable[[World], None]:
    return _code("cv_scores", owner, name, wrong)


def _in_rows(owner: object, name: str, wrong: Callable[[Any], Any]) -> Callable[[World], None]:
    return _code("probe_comparison", owner, name, wrong)


def _network(edit: Callable[[Any, int], tuple[Any, int]]) -> Callable[[World], None]:
    """The network of every cell of a setting is trained on other rows, labels or vectors, or with another seed."""

    def plant(world: World) -> None:
        right = cells.fit_scores

        def wrong(model: str, data: Any, options: Any, seed: int = 0) -> Any:
            changed = edit(data, seed) if model == "mlp_probe" else (data, seed)
            return right(model, changed[0], options, changed[1])

        replace(cells, "fit_scores", wrong)
        for seed in range(5):
            world.make("probe_metrics", f"{seed}|{CORPUS}")

    return plant


def _on_all_rows(data: Any, seed: int) -> tuple[Any, int]:
    return dataclasses.replace(data, train=np.ones_like(data.train)), seed


def _on_next_labels(data: Any, seed: int) -> tuple[Any, int]:
    return dataclasses.replace(data, rows=data.rows.assign(anchor=np.roll(data.rows["anchor"], 1))), seed


def _next_seed(data: Any, seed: int) -> tuple[Any, int]:
    return data, seed + 1


FITS, CLAIMS = ("fits_refit", "cv_scores"), ("claims_recompute", "probe_comparison")
FAULTS = (
    *(
        Fault(name, *FITS, plant)
        for name, plant in (
            ("penalties are the worst of the grid", _in_scores(ridge, "best_penalty", _worst_penalty)),
            ("a rival trains on the problems that it is scored on", _in_scores(fit, "folds_of", _training_on_all)),
            ("every fold forgets a training problem", _in_scores(fit, "folds_of", _without_a_problem)),
            ("a rival on position has fewer knots", _in_scores(feature_sets, "RELATIVE_KNOTS", lambda _: 4)),
            ("a rival on words has fewer components", _in_scores(feature_sets, "TEXT_COMPONENTS", lambda _: 5)),
            ("a rival on words reads the next sentence", _in_scores(feature_sets, "_text", _next_texts)),
            ("the untrained order puts the last first", _in_scores(fit, "untrained_scores", _later_first)),
        )
    ),
    *(
        Fault(name, "network_refits", "probe_metrics", _network(edit))
        for name, edit in (
            ("the network trains on what it is tested on", _on_all_rows),
            ("the network learns labels of the next sentence", _on_next_labels),
            ("the network has the seed of another cell", _next_seed),
        )
    ),
    *(
        Fault(name, *CLAIMS, plant)
        for name, plant in (
            ("the list of rivals is cut short", _in_rows(precision_table, "HURDLES", lambda _: ("sentence_length",))),
            ("a row is held against its easiest rival", _in_rows(precision_table.PrecisionTable, "rivals", _easiest)),
            ("p-values are not corrected", _in_rows(intervals, "holm", _single_tests)),
            ("fits that are shared count as independent", _in_rows(jackknife, "factor", lambda _: lambda *__: 1.0)),
            ("intervals are of another level", _in_rows(intervals, "interval", _half)),
            ("power forgets the root of n", _in_rows(power, "power", _without_root)),
            ("a lead is told with the other sign", _row(lambda row: {"difference": -row["difference"]})),
            ("the p-value of a row is another column's", _row(lambda row: {"p": row["chance_p"] / 2})),
            ("a share of the ceiling is of another ceiling", _row(lambda row: {"share_of_ceiling": 0.123})),
        )
    ),
)
