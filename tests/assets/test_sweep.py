"""Sweeps: what a study may ask for, that every combination runs once, and that combinations share their vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
import pytest

from ta_assets.assets.sweeps import SweepVectors
from ta_assets.core.errors import InputError
from ta_assets.core.results import sweep
from ta_assets.definitions import build_definitions
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import combination_identity
from ta_assets.ledger.partitions import COMBINATIONS
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies, load_studies
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import combination_id, combinations, resolve, sweep_cells
from ta_resources.language_model.extractor import Extractor
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

PREDECESSORS_PLAN = {
    "layer": ["mid", 0.25, 0.5, 0.75],
    "pooling": ["mean", "tokens"],
    "target": ["anchor_binary", "importance_abs", "importance_signed"],
    "anchor_percentile": [80, 85, 90],
    "drop_last_chunk": [True, False],
    "residualize_against": ["none", "position", "position_plus_text"],
}
"""Times four splits: 768 combinations in the predecessor, each of which read its corpus and stored it again."""


def study_with(asked: dict[str, Any] | None) -> Study:
    study = load_studies("embedded").selected
    return study.model_copy(update={"sweep": asked})


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Problem id of every text that the language model reads."""
    seen: list[int] = []
    extract = Extractor.extract

    def counted(self: Extractor, texts: Any, **rest: Any) -> Iterator[Any]:
        class Counted:
            def __len__(self) -> int:
                return len(texts)

            def __iter__(self) -> Iterator[Any]:
                for text in texts:
                    seen.append(text[0])
                    yield text

        return extract(self, Counted(), **rest)

    monkeypatch.setattr(Extractor, "extract", counted)
    return seen


def world_of(
    studies: Studies,
    store: ArtifactStore,
    rollouts: RolloutsResource | None = None,
    model: LanguageModelResource | None = None,
) -> World:
    """A world whose ledger nobody reads."""
    ledger = Ledger(cast(dg.DagsterInstance, None), dg.Definitions)
    return World(studies, store, rollouts or RolloutsResource(), model or LanguageModelResource(), ledger)


def make_sweep(
    world: Any, asked: dict[str, Any], settings: dict[str, Any] | None = None
) -> tuple[Studies, ArtifactStore, dg.Definitions]:
    world.change_study(sweep=asked, **({"settings": settings} if settings else {}))
    studies = load_studies(str(world.study))
    store = ArtifactStore(base_dir=str(world.folder / "artifacts"))
    return studies, store, build_definitions(studies, resources={"store": store})


ONE_SETTING = {"tiny_correct": {"model": "tiny", "solutions": "correct"}}


@pytest.mark.slow
def test_every_combination_runs_once_and_is_ranked(tiny_world: Any, forwards: list[int]) -> None:
    asked = {"anchor_percentile": [80, 90], "target": ["anchor_binary", "importance_abs"]}
    studies, store, definitions = make_sweep(tiny_world, asked, ONE_SETTING)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("sweep")
        assert job.execute_in_process(instance=instance).success
        keys = [cell.key for cell in sweep_cells(studies.selected)]
        assert len(keys) == 3
        assert sorted(instance.get_dynamic_partitions(str(COMBINATIONS.name))) == sorted(keys)
        assert sorted(instance.get_materialized_partitions(dg.AssetKey("sweep_metrics"))) == sorted(keys)
        assert len(forwards) == 6, "one pass over the corpus for three combinations"
        table = store.load("sweep_leaderboard", "tiny")
        assert sorted(table["key"]) == sorted(keys)
        assert table["adjusted_p"].between(0, 1, inclusive="right").all()

        def runs_of(asset: str) -> int:
            return len(instance.get_runs(dg.RunsFilter(job_name=runs.job_of(asset))))

        before = runs_of("sweep_metrics")
        assert job.execute_in_process(instance=instance).success
        assert (runs_of("sweep_metrics"), len(forwards)) == (before, 6), "a finished combination never runs again"

        wider = {**asked, "anchor_percentile": [80, 90, 85]}
        studies, store, definitions = make_sweep(tiny_world, wider, ONE_SETTING)
        assert definitions.resolve_job_def("sweep").execute_in_process(instance=instance).success
        assert (runs_of("sweep_metrics"), len(forwards)) == (before + 1, 6), "only the new combination is computed"
        assert len(store.load("sweep_leaderboard", "tiny")) == 4

        chunks = tiny_world.problem("correct", 2) / "chunks_labeled.json"
        chunks.write_text(chunks.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
        assert definitions.resolve_job_def("sweep").execute_in_process(instance=instance).success
        assert runs_of("sweep_metrics") == before + 1 + 4, "changed labels are another data version"
        assert len(forwards) == 6, "changed labels repeat no forward pass"


@pytest.mark.slow
def test_a_combination_that_fails_is_tried_again_and_keeps_no_other_from_being_ranked(
    tiny_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, store, definitions = make_sweep(tiny_world, {"residualize_against": ["none", "position"]}, ONE_SETTING)
    healthy = sweep.cross_validated

    def broken(data: Any, options: Any, probe: str) -> dict[str, Any]:
        if options.residualize_against == "position":
            raise RuntimeError("planted")
        return healthy(data, options, probe)

    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("sweep")
        monkeypatch.setattr(sweep, "cross_validated", broken)
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success
        plain, residual = sweep_cells(studies.selected)
        assert store.load("sweep_leaderboard", "tiny")["key"].tolist() == [plain.key]
        assert residual.key in str(result.failure_data_for_node("sweep_combinations"))
        monkeypatch.setattr(sweep, "cross_validated", healthy)
        assert job.execute_in_process(instance=instance).success
        assert len(store.load("sweep_leaderboard", "tiny")) == 2


def test_the_predecessors_plan_reads_each_text_once_and_stores_a_fortieth(tiny_world: Any, forwards: list[int]) -> None:
    studies, store, _ = make_sweep(tiny_world, PREDECESSORS_PLAN)
    rollouts, model = RolloutsResource(), LanguageModelResource()
    source = SweepVectors(world_of(studies, store, rollouts, model), lambda _: None)
    cells, per_combination = sweep_cells(studies.selected), 0
    ids = {one: rollouts.list_problem_ids(studies.selected.source(one)) for one in studies.selected.corpora}
    for cell in cells:
        corpus = cell.study.settings[cell.setting].corpus
        activations = source.of(cell, ids[corpus])
        assert len(activations.record["blocks"]) == 1
        if cell.study.extraction.pooling == "tokens":
            names = [shard.file for shard in activations.shards.values()]
            per_combination += sum(store.files.sizes(names).values())
        else:
            per_combination += 2 * activations.record["d_model"] * len(activations.spans)
    assert len(cells) == 2 * 240, "192 a split there, where drop_last_chunk did not vary for continuous targets"
    assert sorted(forwards) == sorted(2 * [1, 2, 3, 4, 5, 6]), "each text of each corpus once, for all its layers"
    stored = sum(path.stat().st_size for path in (store.local_folder / "shards").rglob("*") if path.is_file())
    assert stored <= per_combination / 40
    primary = {cell.study.extraction.layer: source.of(cell, ids[cell.setting]).record["block"] for cell in cells}
    assert len(set(primary.values())) > 1, "every layer has the vectors of its own block"


@pytest.mark.slow
def test_token_probes_are_swept_too(tiny_world: Any) -> None:
    asked = {"probe": ["linear_probe", "attention_probe"], "pooling": ["tokens"]}
    probes = {"models": ["position_baseline", "linear_probe", "attention_probe"], "token_probes": {"epochs": 2}}
    tiny_world.change_study(extraction={"pooling": "tokens"}, probes=probes)
    _, store, definitions = make_sweep(tiny_world, asked, ONE_SETTING)
    with dg.DagsterInstance.ephemeral() as instance:
        assert definitions.resolve_job_def("sweep").execute_in_process(instance=instance).success
    assert set(store.load("sweep_leaderboard", "tiny")["probe"]) == {"linear_probe", "attention_probe"}


def test_a_missing_section_and_an_unknown_key_are_said(tiny_world: Any) -> None:
    _, _, definitions = make_sweep(tiny_world, {"anchor_percentile": [80]})
    studies = load_studies(str(tiny_world.study))
    with pytest.raises(InputError, match="a combination of some study's section sweep"):
        world_of(studies, ArtifactStore()).combination("anchor_percentile=1~sweep_000000000000|tiny_correct")
    tiny_world.change_study(sweep=None)
    studies = load_studies(str(tiny_world.study))
    definitions = build_definitions(studies, resources={"store": ArtifactStore(base_dir=str(tiny_world.folder / "a"))})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("sweep").execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success


def test_keys_are_readable_and_addressed_by_their_content() -> None:
    cells = sweep_cells(study_with({"layer": ["mid", 1], "labels.drop_last_chunk": [True, False]}))
    keys = [cell.key for cell in cells]
    assert len(set(keys)) == len(keys) == 8
    first = cells[0]
    assert first.key == (f"drop_last_chunk=True,layer=mid~{combination_id(first.factors)}|embedded_correct")
    again = {"labels.drop_last_chunk": True, "extraction.layer": "mid"}
    assert combination_id(again) == combination_id(first.factors), "the order of factors does not matter"
    assert combination_id({**again, "extraction.layer": 1}) != combination_id(again)
    assert (first.study.labels.drop_last_chunk, first.study.extraction.layer) == (True, "mid")
    percentiles = [combinations(study_with({"anchor_percentile": [value]})) for value in (90, 90.0)]
    assert percentiles[0] == percentiles[1]
    assert cells[-1].study.extraction.layer == 1


def test_percentiles_are_no_factor_of_a_continuous_target() -> None:
    found = combinations(study_with({"anchor_percentile": [85, 90, 95], "target": ["anchor_binary", "importance_abs"]}))
    assert len(found) == 4
    assert {"labels.target": "importance_abs"} in found


def test_keys_of_a_section_within_a_section_are_factors() -> None:
    asked = {"probes.token_probes.learning_rate": [0.001, 0.0003], "token_probes.heads": [4, 8]}
    cells = [cell for cell in sweep_cells(study_with(asked)) if cell.setting == "embedded_correct"]
    assert cells[0].key.startswith("token_probes_heads=4,token_probes_learning_rate=0_001~sweep_")
    found = [cell.study.probe_options.token_probes for cell in cells]
    assert [(one.learning_rate, one.heads) for one in found] == [(0.001, 4), (0.001, 8), (0.0003, 4), (0.0003, 8)]
    assert {one.width for one in found} == {128}, "the other keys stay"


def test_how_vertical_attention_is_scored_is_no_factor_where_it_is_off() -> None:
    asked = {"vertical_attention.mode": [False, "light"], "last_tokens": [1, 4, 8], "depth_control": [True, False]}
    found = combinations(study_with(asked))
    assert len(found) == 1 + 3 * 2, "YAML reads a bare off as a no"
    assert found[0] == {"extraction.vertical_attention.mode": "off"}


def test_options_of_token_probes_decide_combinations_of_these_probes(tiny_world: Any) -> None:
    def made_from(heads: int) -> dict[str, Any]:
        probes = {"models": ["linear_probe", "attention_probe"], "token_probes": {"heads": heads}}
        tiny_world.change_study(extraction={"pooling": "tokens"}, probes=probes)
        studies, store, _ = make_sweep(tiny_world, {"probe": ["linear_probe", "attention_probe"]}, ONE_SETTING)
        store.save("problem_ids", "tiny_correct", [1, 2, 3])
        world = world_of(studies, store)
        return {cell.probe: combination_identity(world, cell.key) for cell in sweep_cells(studies.selected)}

    four, eight = made_from(4), made_from(8)
    assert four["linear_probe"] == eight["linear_probe"]
    assert four["attention_probe"] != eight["attention_probe"]


def test_any_key_of_a_section_can_be_a_factor_by_its_dotted_or_its_short_name() -> None:
    study = study_with(None)
    assert resolve(study, "mlp_hidden") == resolve(study, "probes.mlp_hidden") == "probes.mlp_hidden"
    assert resolve(study, "probe") == "probe"
    heads = "probes.token_probes.heads"
    assert [resolve(study, name) for name in (heads, "token_probes.heads", "heads")] == [heads] * 3
    assert sweep_cells(study) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"loudness": [1]}, "sweep.loudness: must be probe, or a key of labels"),
        ({"vertical_attention": ["light"]}, "must be one of extraction.vertical_attention.mode, extraction.vert"),
        ({"vertical_attention": [{"mode": "light"}]}, "sweep.vertical_attention.0: found {'mode': 'light'}"),
        ({"layer": [[0, 1]]}, "sweep.layer.0: found [0, 1], expected must be a number, a text, or true or false"),
        ({"vertical_attention.moed": ["light"]}, "sweep.vertical_attention.moed: must be probe, or a key of labels"),
        ({"vertical_attention.mode": ["half"]}, "sweep.vertical_attention.mode: 'half' is not allowed there"),
        ({"token_probes.heads": [0]}, "sweep.token_probes.heads: 0 is not allowed there"),
        ({"mode": ["off"], "vertical_attention.mode": ["light"]}, "vertical_attention.mode is a factor already"),
        ({"vertical_attention.mode": [False, "off"]}, "a value is listed twice"),
        ({"layer": [-1]}, "sweep.layer: -1 is not allowed there"),
        ({"layer": []}, "sweep.layer"),
        ({"layer": ["mid", "mid"]}, "a value is listed twice"),
        ({"anchor_percentile": [90, 90.0]}, "a value is listed twice"),
        ({"layer": ["mid"], "extraction.layer": [1]}, "extraction.layer is a factor already"),
        ({"probe": ["oracle"]}, "'oracle' must be one of position_baseline"),
        ({"splits.train": [0.9]}, "must sum to 1"),
        ({"mlp_hidden": list(range(1, 300)), "mlp_max_iter": list(range(1, 300))}, "expected at most 10000"),
    ],
)
def test_a_faulty_sweep_is_named(tiny_world: Any, asked: dict[str, Any], said: str) -> None:
    tiny_world.change_study(sweep=asked)
    with pytest.raises(InputError) as caught:
        load_studies(str(tiny_world.study))
    assert said in str(caught.value)
