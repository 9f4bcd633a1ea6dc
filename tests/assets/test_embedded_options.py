"""The embedded study through Dagster, with one option of the extraction switched on at a time."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import yaml

from ta_assets.core.option_values import VERTICAL_MODELS
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.values import CellResult
from ta_assets.definitions import build_definitions
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.world import World
from ta_assets.studies.loading import SHIPPED, load_studies
from ta_assets.vectors.probe_data import probe_data, split_of
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.table import INVARIANTS
from ta_checks.verdict import Verdict
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

CORPUS, SETTING, CELL = "option_correct", "option_small", "1|option_small"
MADE = (
    ("problem_ids", SETTING),
    ("splits", SETTING),
    ("sentences", CORPUS),
    ("activations", CORPUS),
    ("seed_free_scores", SETTING),
    ("probe_metrics", CELL),
)
ROOM = ("estimated_storage_to_write", "estimated_storage")


@dataclass(frozen=True)
class Made:
    """A study whose one cell was made."""

    world: World
    metadata: dict[str, Any]
    """Of the activations."""

    @property
    def cell(self) -> CellResult:
        return self.world.store.load("probe_metrics", CELL)

    @property
    def data(self) -> ProbeData:
        store = self.world.store
        split = split_of(store.load("splits", SETTING))
        return probe_data(store.load("sentences", CORPUS), store.load("activations", CORPUS), split, store.files)


def make(folder: Path, **sections: Any) -> Made:
    """The embedded corpus with these sections of a study, eight problems, one cell; every check must be quiet."""
    study = yaml.safe_load((SHIPPED / "embedded.yaml").read_text(encoding="utf-8"))
    (model,) = study["models"].values()
    model["language_model"] = str(SHIPPED / model["language_model"])
    study["dataset"]["folder"] = str(SHIPPED / study["dataset"]["folder"])
    study |= {
        "name": "option",
        "models": {"option": model},
        "settings": {SETTING: {"model": "option", "solutions": "correct", "problems": 8}},
        "statistics": {"bootstrap": 100},
        "verification": {"problem": "none"},  # the problems with rollouts need not be among the eight
        **sections,
    }
    study["probes"] = {"mlp_hidden": 8, "mlp_max_iter": 30} | study.get("probes", {})
    del study["readme"]
    (folder / "option.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    studies, store = load_studies(str(folder / "option.yaml")), ArtifactStore(base_dir=str(folder / "artifacts"))
    definitions = build_definitions(studies, resources={"store": store})
    metadata: dict[str, Any] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for asset, partition in MADE:
            result = runs.make(definitions, instance, asset, partition)
            assert runs.made(result, asset), (asset, [event.message for event in result.all_events])
            for found in result.get_asset_check_evaluations():
                assert found.passed or found.severity == dg.AssetCheckSeverity.WARN, found
            if asset == "activations":
                (event,) = result.asset_materializations_for_node(asset)
                metadata = {name: one.value for name, one in event.metadata.items()}
        view = Ledger(instance, lambda: definitions)
    return Made(World(studies, store, RolloutsResource(), LanguageModelResource(), view), metadata)


def judged(made: Made) -> Verdict:
    """The comparison of what is stored with what is computed afresh."""
    (rule,) = [row for row in INVARIANTS if row.name == "activations_match_text"]
    return judge(rule, Evidence("activations", CORPUS, made.world))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The study as it is by default, made once."""
    return make(tmp_path_factory.mktemp("plain"))


def test_several_layers_give_the_scores_of_the_primary_one_and_the_vectors_of_all(plain: Made, tmp_path: Path) -> None:
    shutil.copytree(plain.world.store.local_folder / "shards", tmp_path / "artifacts/shards")
    several = make(tmp_path, extraction={"storage_dtype": "float32", "layer": ["mid", 0.25, 3, "mid"]})
    assert several.metadata["blocks"] == "[2, 1, 3]"
    # the shards of the middle block came from another study, with another list of layers
    written, total = (float(several.metadata[key].removesuffix(" KiB")) for key in ROOM)
    assert written == pytest.approx(total * 2 / 3, abs=0.01)
    assert several.cell.predictions.equals(plain.cell.predictions)
    data = several.data
    assert data.vectors is not None
    assert list(data.by_block) == [1, 2, 3]
    np.testing.assert_array_equal(data.by_block[2], data.vectors)
    assert {vectors.shape for vectors in data.by_block.values()} == {data.vectors.shape}
    assert not np.allclose(data.by_block[1], data.by_block[3])
    with pytest.raises(KeyError):
        data.by_block[0]
    assert list(plain.data.by_block) == [2]


def test_the_last_token_of_a_sentence_can_be_probed_at_all_layers(tmp_path: Path) -> None:
    made = make(tmp_path, extraction={"storage_dtype": "float32", "pooling": "last", "layer": "all"})
    assert made.metadata["block"] == 2
    assert len(made.data.by_block) == 4
    activations = made.world.store.load("activations", CORPUS)
    for blocks in activations.record["shards"].values():
        blocks["3"] = blocks["0"]
    made.world.store.save("activations", CORPUS, activations)
    found = judged(made)
    assert found.status == "failed"
    assert all("block 3" in offender for offender in found.offenders)


def test_stored_tokens_are_probed_by_their_mean(plain: Made, tmp_path: Path) -> None:
    tokens = make(tmp_path, extraction={"storage_dtype": "float32", "pooling": "tokens"})
    assert plain.data.vectors is not None
    assert tokens.data.vectors is not None
    np.testing.assert_allclose(tokens.data.vectors, plain.data.vectors, rtol=1e-5, atol=1e-5)
    assert set(tokens.cell.metrics["models"]) == set(plain.cell.metrics["models"])


def test_token_probes_are_fitted_in_a_cell_and_measured_like_the_others(tmp_path: Path) -> None:
    models = ["linear_probe", "attention_probe", "multimax_probe"]
    probes = {"models": models, "token_probes": {"epochs": 3, "width": 16}}
    made = make(tmp_path, extraction={"storage_dtype": "float32", "pooling": "tokens"}, probes=probes)
    metrics = made.cell.metrics["models"]
    assert set(metrics) == set(models)
    for model in models[1:]:
        assert 0 <= metrics[model]["test"]["average_precision"] <= 1
        assert metrics[model]["fit"]["n_iter"] == 3
        assert made.cell.predictions[f"score_{model}"].nunique() > 1
    data, tokens = made.data, made.data.tokens
    assert tokens is not None
    assert data.vectors is not None
    for row in (0, 7, len(data.rows) - 1):
        assert len(tokens.of_row(row)) == tokens.lengths[row] == data.rows["token_count"].iloc[row]
        np.testing.assert_allclose(tokens.of_row(row).mean(axis=0), data.vectors[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["light", "full"])
def test_vertical_scores_have_models_of_their_own(plain: Made, tmp_path: Path, mode: str) -> None:
    shutil.copytree(plain.world.store.local_folder / "shards", tmp_path / "artifacts/shards")
    vertical = {"mode": mode, "last_tokens": 4, "max_full_length": 150}
    models = ["position_baseline", "linear_probe", *VERTICAL_MODELS]
    made = make(
        tmp_path,
        extraction={"storage_dtype": "float32", "vertical_attention": vertical},
        probes={"models": models},
    )
    assert made.metadata["estimated_storage_to_write"] == "0.00 B"
    modes = made.metadata["vertical_attention_modes"]
    assert set(modes) == ({"light"} if mode == "light" else {"full", "light_fallback"})
    assert sum(modes.values()) == 8
    assert np.isfinite(made.data.rows["vertical_score"]).all()
    assert made.data.rows["vertical_score"].nunique() > len(made.data.rows) / 2
    assert set(made.cell.metrics["models"]) == set(models)
    assert "vertical_attention_plus_position - position_baseline" in made.cell.metrics["confidence_intervals"]
    assert made.cell.metrics["models"]["linear_probe"] == plain.cell.metrics["models"]["linear_probe"]
    assert judged(made).status == "passed"
    activations = made.world.store.load("activations", CORPUS)
    activations.spans["vertical_score"] = activations.spans["vertical_score"][::-1].to_numpy()
    made.world.store.save("activations", CORPUS, activations)
    found = judged(made)
    assert found.status == "failed"
    assert "vertical attention" in found.offenders[0]


def test_leaving_one_problem_out_shares_the_activations(plain: Made, tmp_path: Path) -> None:
    shutil.copytree(plain.world.store.local_folder / "shards", tmp_path / "artifacts/shards")
    made = make(tmp_path, splits={"scheme": "lopo"})
    assert made.metadata["estimated_storage_to_write"].startswith("0")
    folds = made.cell.metrics["folds"]
    test = made.cell.predictions.query("split == 'test'")
    assert sorted(folds, key=int) == [str(one) for one in sorted(test["problem_id"].unique())]
    assert len(folds) == 8
    assert (test["fold_id"] == test["problem_id"]).all()
    assert "## Highest-scored test sentences" in made.cell.report


def test_continuous_targets_and_residuals_can_be_left_out_problem_by_problem(tmp_path: Path) -> None:
    made = make(
        tmp_path,
        splits={"scheme": "lopo"},
        labels={"target": "importance_signed", "rollouts": 60},
        probes={"residualize_against": "position"},
    )
    metrics = made.cell.metrics
    assert metrics["primary_metric"] == "spearman_mean"
    assert set(metrics["residual"]["models"]) == {"linear_probe", "mlp_probe"}


def test_a_sweep_ranks_layers_and_poolings_read_in_one_pass(tmp_path: Path) -> None:
    made = make(tmp_path, sweep={"layer": [0, "mid"], "pooling": ["mean", "last"]})
    studies, store = made.world.studies, made.world.store
    definitions = build_definitions(studies, resources={"store": store})
    with dg.DagsterInstance.ephemeral() as instance:
        assert definitions.resolve_job_def("sweep").execute_in_process(instance=instance).success
    table = store.load("sweep_leaderboard", "option")
    assert table["score"].nunique() == 4
    indices = [folder.name for folder in (store.local_folder / "sweep_vectors").iterdir()]
    assert len(indices) == 1, "one pass over the corpus serves all four"
