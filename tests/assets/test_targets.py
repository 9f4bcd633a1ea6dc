"""A study of a continuous target with residuals: made, judged by every check, and red where a fault is planted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ta_assets.core.option_values import DEFAULT_MODELS
from ta_assets.core.options import LabelRule, ProbesSection
from ta_assets.core.probes.residuals import AGAINST
from ta_assets.core.probes.targets import TARGETS
from ta_assets.ledger.table import made_from, partitions_of
from ta_assets.ledger.world import World
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.table import INVARIANTS
from tests.assets.made import change, copy_of, materialized, verdict

CELL = "3|tiny_correct"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_world: Callable) -> Iterator[World]:
    """One setting whose target is the signed importance, also of a probe on tokens."""
    folder = tmp_path_factory.mktemp("continuous")
    world = make_world(folder, tiny_model)
    world.change_study(
        labels={"target": "importance_signed"},
        extraction={"storage_dtype": "float32", "pooling": "tokens"},
        probes={
            "models": [*DEFAULT_MODELS, "attention_probe"],
            "mlp_hidden": 8,
            "mlp_max_iter": 30,
            "token_probes": {"loss": "huber", "width": 8, "epochs": 3},
            "residualize_against": "position_plus_text",
        },
        settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}},
    )
    with materialized(world.study) as world:
        yield world


@pytest.fixture
def copied(made: World, tmp_path: Path) -> World:
    return copy_of(made, tmp_path)


def test_a_healthy_continuous_study_raises_no_alarm(made: World) -> None:
    for invariant in (one for one in INVARIANTS if one.applies(made.studies.selected)):
        for partition in partitions_of(invariant.asset, made.studies.selected):
            found = judge(invariant, Evidence(invariant.asset, partition, made))
            allowed = {"passed"} if invariant.severity == "ERROR" else {"passed", "warned"}
            assert found.status in allowed, (invariant.name, partition, found.message)


def test_the_mean_and_the_best_are_by_rank_correlation(made: World) -> None:
    value = made.store.load("aggregate_metrics", "tiny_correct")
    assert value["primary_metric"] == "spearman_mean"
    assert value["best_model"] is not None
    assert value["best_seed"]["val"] is not None
    assert {row["model"] for row in value["residual_by_model"]} == {"linear_probe", "mlp_probe"}
    assert "nan" not in (made.store.local_folder / "tiny/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda m: m["models"]["linear_probe"]["test"].update(spearman_mean=None), id="undefined"),
        pytest.param(lambda m: m["models"]["linear_probe"]["test"].clear(), id="a metric that is not there"),
        pytest.param(lambda m: m["models"].pop("mlp_probe"), id="a probe that is not there"),
        pytest.param(lambda m: m["residual"]["models"]["mlp_probe"]["val"].clear(), id="no residual metric"),
        pytest.param(lambda m: m["residual"]["models"].clear(), id="no refitted probe"),
    ],
)
def test_a_metric_that_is_missing_is_not_finite(copied: World, edit: Callable[[dict[str, Any]], object]) -> None:
    def planted(value: Any) -> Any:
        edit(value.metrics)
        return value

    change(copied, "probe_metrics", CELL, planted)
    assert verdict(copied, "finite_metrics", "probe_metrics", CELL).status == "failed"


def test_scores_are_judged_against_the_importance_and_not_against_anchors(copied: World) -> None:
    def oracle(value: Any) -> Any:
        return dataclasses.replace(
            value,
            predictions=value.predictions.assign(
                score_linear_probe=value.predictions["importance_signed"].astype(np.float32)
            ),
        )

    change(copied, "probe_metrics", CELL, oracle)
    found = verdict(copied, "beats_shuffled_labels", "probe_metrics", CELL)
    assert found.passed, found.message
    assert found.details["agreement"]["linear_probe"] == 1.0


def test_a_target_changes_cells_and_not_sentences(made: World, tmp_path: Path) -> None:
    assert "target" not in made_from(made, "sentences", "tiny_correct")["labels"]
    options = made_from(made, "probe_metrics", CELL)["probes"]
    assert (options["target"], options["anchor_percentile"]) == ("importance_signed", 90.0)
    plain = made_from(made, "probe_metrics", "0|embedded_correct")["probes"]
    assert plain["target"] == "anchor_binary"
    assert "anchor_percentile" not in plain


def test_a_study_names_the_targets_and_residuals_that_there_are() -> None:
    target = LabelRule.model_fields["target"].annotation
    against = ProbesSection.model_fields["residualize_against"].annotation
    assert set(getattr(target, "__args__", ())) == set(TARGETS)
    assert tuple(getattr(against, "__args__", ())) == AGAINST
