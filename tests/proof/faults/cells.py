"""Faults in the cells: how probes are fitted and measured, and whose predictions are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neural_network import MLPClassifier

from ta_assets.core.probes import models as probes
from ta_assets.core.results import cells
from ta_assets.core.values import CellResult
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace
from tests.proof.world import CORPUS, OTHER, World

SEED = 3
CELL = f"{SEED}|{CORPUS}"
RECOMPUTE, VARY, DIFFER, FINITE = "predictions_recompute", "scores_vary", "seeds_differ", "finite_metrics"


def _cell(edit: Callable[[CellResult], CellResult]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        make_wrong(world, "probe_metrics", CELL, edit)

    return plant


def _predictions(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    return _cell(lambda value: dataclasses.replace(value, predictions=edit(value.predictions)))


def _metrics(edit: Callable[[dict[str, Any]], Any]) -> Callable[[World], None]:
    def changed(value: CellResult) -> CellResult:
        edit(value.metrics)
        return value

    return _cell(changed)


def _copied(key: str, **columns: Any) -> Callable[[World], None]:
    """The cell is a copy of another one; ``columns`` of its predictions, and its seed if given, are adapted."""

    def plant(world: World) -> None:
        other = world.store.load("probe_metrics", key)

        def copied(_: CellResult) -> CellResult:
            return dataclasses.replace(
                other,
                metrics={**other.metrics, **columns},
                predictions=other.predictions.assign(**columns),
            )

        make_wrong(world, "probe_metrics", CELL, copied)

    return plant


def _fitted(edit: Callable[[str, np.ndarray], np.ndarray]) -> Callable[[World], None]:
    """Every fit of the setting gives other scores."""

    def plant(world: World) -> None:
        right = cells.fit_scores

        def wrong(model: str, *given: Any) -> probes.Fit:
            fit = right(model, *given)
            return dataclasses.replace(fit, scores=edit(model, fit.scores))

        replace(cells, "fit_scores", wrong)
        world.make("seed_free_scores", CORPUS)

    return plant


def _refit(world: World) -> None:
    """Make all cells of the setting by the code as it is now."""
    for seed in range(5):
        world.make("probe_metrics", f"{seed}|{CORPUS}")


class DeadNetwork(MLPClassifier):
    """A network whose units have all died: its output no longer depends on its input."""

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        return np.full((len(X), 2), 0.5)


def _dead(world: World) -> None:
    replace(probes, "MLPClassifier", DeadNetwork)
    _refit(world)


def _impatient(world: World) -> None:
    right = probes.mlp_settings
    replace(probes, "mlp_settings", lambda options, seed: {**right(options, seed), "max_iter": 3})
    _refit(world)


def _one_seed(world: World) -> None:
    right = probes.mlp_settings
    replace(probes, "mlp_settings", lambda options, seed: right(options, 0))
    _refit(world)


def _noise_from_the_clock(world: World) -> None:
    """A model that no seed should change is drawn anew in every cell."""
    right = cells._all_scores

    def wrong(data: Any, options: Any, seed: int, seed_free: Any) -> Any:
        scores, fits = right(data, options, seed, seed_free)
        jitter = np.random.default_rng(seed).normal(scale=1e-3, size=len(data.rows)).astype(np.float32)
        return {**scores, "linear_probe": scores["linear_probe"] + jitter}, fits

    replace(cells, "_all_scores", wrong)
    _refit(world)


def _measured_on_everything(world: World) -> None:
    right = cells._measure
    replace(cells, "_measure", lambda data, inside, scores, options: right(data, np.ones_like(inside), scores, options))
    world.make("probe_metrics", CELL)


def _scaled_with_test(world: World) -> None:
    """Held-out rows lose their own mean before they are scored."""
    right = probes._activations

    def inputs(data: probes.ProbeData) -> np.ndarray:
        every = right(data)
        held = ~data.train
        return np.asarray(every - every[held].mean(axis=0) * held[:, None], dtype=np.float32)

    model = probes._MODELS["linear_probe"]
    replace(probes, "_MODELS", {**probes._MODELS, "linear_probe": dataclasses.replace(model, inputs=inputs)})
    world.make("seed_free_scores", CORPUS)


def _stale_seed_free(world: World) -> None:
    """Seed-free scores are kept from before the label rule changed."""
    kept = {name: world.store.load("seed_free_scores", name) for name in (CORPUS, OTHER)}

    def stale(data: probes.ProbeData, options: Any) -> Any:
        ids = set(data.rows["problem_id"])
        return next(value for value in kept.values() if ids == set(value.scores["problem_id"]))

    replace(cells, "seed_free_scores", stale)
    world.change_study(labels={"rollouts": 60, "anchor_percentile": 75})


def _undefined(metrics: dict[str, Any]) -> None:
    metrics["models"]["linear_probe"]["test"]["top_5_recall"] = None


def _flattered(metrics: dict[str, Any]) -> None:
    metrics["models"]["linear_probe"]["test"]["average_precision"] = 0.99


def _swapped_models(metrics: dict[str, Any]) -> None:
    models = metrics["models"]
    models["linear_probe"], models["position_baseline"] = models["position_baseline"], models["linear_probe"]


FAULTS = (
    *(
        Fault(name, RECOMPUTE, "probe_metrics", plant)
        for name, plant in (
            ("a cell is copied from another setting", _copied(f"{SEED}|{OTHER}")),
            ("a cell is copied from another seed", _copied(f"1|{CORPUS}")),
            (
                "two columns of scores are swapped",
                _predictions(
                    lambda t: t.rename(
                        columns={"score_linear_probe": "score_mlp_probe", "score_mlp_probe": "score_linear_probe"}
                    )
                ),
            ),
            ("labels of predictions are shifted", _predictions(lambda t: t.assign(anchor=np.roll(t["anchor"], 1)))),
            ("a prediction is lost", _predictions(lambda t: t.iloc[1:].reset_index(drop=True))),
            (
                "scores are sorted without their sentences",
                _predictions(lambda t: t.assign(score_linear_probe=np.sort(t["score_linear_probe"].to_numpy()))),
            ),
            (
                "val and test are swapped",
                _predictions(lambda t: t.assign(split=np.where(t["split"] == "val", "test", "val"))),
            ),
            ("a test metric is flattered", _metrics(_flattered)),
            ("the metrics of two models are swapped", _metrics(_swapped_models)),
            ("metrics are measured on training sentences too", _measured_on_everything),
        )
    ),
    Fault(
        "a baseline gives every sentence the same score",
        VARY,
        "probe_metrics",
        _fitted(lambda model, scores: np.zeros_like(scores) if model == "text_only_baseline" else scores),
    ),
    Fault("a network is dead", VARY, "probe_metrics", _dead),
    Fault("networks are stopped after three epochs", "fits_converged", "probe_metrics", _impatient, status="warned"),
    Fault("all seeds are seed 0", DIFFER, "aggregate_metrics", _one_seed),
    Fault(
        "a cell is copied from another seed and relabelled",
        DIFFER,
        "aggregate_metrics",
        _copied(f"1|{CORPUS}", seed=SEED),
    ),
    Fault("a model without a seed differs between seeds", DIFFER, "aggregate_metrics", _noise_from_the_clock),
    Fault("a metric is undefined", FINITE, "probe_metrics", _metrics(_undefined)),
    Fault(
        "scores of the probes have the other sign",
        "beats_shuffled_labels",
        "probe_metrics",
        _fitted(lambda model, scores: 1 - scores),
        status="warned",
    ),
    Fault("held-out sentences are centred by themselves", "scores_refit", "seed_free_scores", _scaled_with_test),
    Fault("seed-free scores are from before the labels changed", "scores_refit", "seed_free_scores", _stale_seed_free),
)
