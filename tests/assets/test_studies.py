"""Study files: what is accepted, and that every fault is named at once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.errors import MAX_FAULTS, InputError, StudyError
from ta_assets.core.options import VerticalAttention
from ta_assets.ledger.made_from import extraction_options
from ta_assets.ledger.table import FACTS
from ta_assets.studies.loading import Studies, load_studies, read_study

HEALTHY: dict[str, Any] = {
    "name": "mine",
    "dataset": {"folder": "data"},
    "models": {"small": {"folder": "small-model", "language_model": "./model"}},
    "settings": {"small_correct": {"model": "small", "solutions": "correct"}},
}


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def write(folder: Path, content: object, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def changed(**sections: object) -> dict[str, Any]:
    return {**copy.deepcopy(HEALTHY), **sections}


def test_a_minimal_study_gets_the_predecessors_defaults(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, HEALTHY))
    assert (study.splits.train, study.labels.anchor_percentile, study.extraction.layer) == (0.7, 90.0, "mid")
    assert study.corpora == ("small_correct",)
    assert study.source("small_correct").prefix == "small-model/temperature_0.6_top_p_0.95/correct_base_solution"


def test_paths_are_resolved_against_the_study_file(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, HEALTHY))
    assert study.source("small_correct").folder == str(tmp_path / "data")
    assert study.extraction_spec("small_correct").language_model == str(tmp_path / "model")


def test_a_forced_answer_twin_is_a_corpus_of_its_own_beside_its_base(tmp_path: Path) -> None:
    both = {kind: {"model": "small", "solutions": kind} for kind in ("incorrect", "incorrect_forced_answer")}
    study = read_study(write(tmp_path, changed(settings=both)))
    prefixes = {corpus: study.source(corpus).prefix.rpartition("/")[2] for corpus in study.corpora}
    assert prefixes == {
        "small_incorrect": "incorrect_base_solution",
        "small_incorrect_forced_answer": "incorrect_base_solution_forced_answer",
    }
    first, *others = (study.extraction_spec(corpus) for corpus in study.corpora)
    assert others == [first], "both are read by the same model"


def test_a_hub_id_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    models = {"small": {"folder": "small-model", "language_model": "owner/model"}}
    study = read_study(write(tmp_path, changed(models=models)))
    assert study.extraction_spec("small_correct").language_model == "owner/model"


@pytest.mark.parametrize(
    ("sections", "where", "words"),
    [
        ({"settings": {"a": {"model": "small", "solutions": "correct", "problems": 2}}}, "a.problems", "at least 3"),
        ({"splits": {"train": 0.9}}, "splits", "must sum to 1"),
        ({"dataset": {"folder": "a", "repo_id": "b/c"}}, "dataset", "exactly one"),
        ({"dataset": {}}, "dataset", "exactly one"),
        ({"models": {"small": {"folder": "../up", "language_model": "x/y"}}}, "models.small.folder", "without '..'"),
        ({"models": {"small": {"folder": "/etc", "language_model": "x/y"}}}, "models.small.folder", "relative"),
        ({"models": {"Bad-Name": {"folder": "a", "language_model": "x/y"}}}, "models", "pattern"),
        ({"labels": {"anchor_percentile": 100}}, "labels.anchor_percentile", "less than 100"),
        ({"labels": {"anchor_percentile": True, "typo": 1}}, "labels.typo", "no such key"),
        ({"extraction": {"layer": -1}}, "extraction.layer", "at least 0"),
        ({"extraction": {"layer": True}}, "extraction.layer", "not a yes or no"),
        ({"extraction": {"layer": 1.0}}, "extraction.layer", "fraction of the depth in (0, 1)"),
        ({"extraction": {"layer": []}}, "extraction.layer", "the list is empty"),
        ({"extraction": {"layer": [0, "all"]}}, "extraction.layer", "a list of the others but all"),
        ({"extraction": {"pooling": "max"}}, "extraction.pooling", "'tokens'"),
        ({"extraction": {"vertical_attention": {"mode": "half"}}}, "extraction.vertical_attention.mode", "'light'"),
        ({"extraction": {"vertical_attention": {"last_tokens": 0}}}, "vertical_attention.last_tokens", "at least 1"),
        ({"probes": {"models": ["vertical_attention_baseline"]}}, "probes.models", "vertical_attention.mode: light"),
        ({"probes": {"models": ["oracle"]}}, "probes.models", "known are position_baseline"),
        ({"probes": {"models": ["mlp_probe", "mlp_probe"]}}, "probes.models", "each model once"),
        ({"probes": {"models": []}}, "probes.models", "at least 1"),
        ({"probes": {"models": ["attention_probe"]}}, "probes.models", "expected extraction.pooling: tokens"),
        (
            {
                "probes": {"models": ["attention_probe"]},
                "extraction": {"pooling": "tokens"},
                "labels": {"target": "importance_abs"},
            },
            "probes.models",
            "token_probes.loss: huber or mse, not bce",
        ),
        ({"probes": {"token_probes": {"heads": 0}}}, "probes.token_probes.heads", "at least 1"),
        ({"splits": {"scheme": "kfold"}}, "splits.scheme", "'lopo'"),
        ({"verification": {"problem": "some"}}, "verification.problem", "'auto'"),
        ({"verification": {"problem": -1}}, "verification.problem", "at least 0"),
        ({"verification": {"threshold": 1.5}}, "verification.threshold", "at most 1"),
        ({"seeds": 3}, "seeds", "5"),
        ({"settings": {"a": {"model": "unknown", "solutions": "correct"}}}, "settings.a.model", "one of models"),
        ({"readme": "../../etc/passwd"}, "readme", "without '..'"),
        ({"labels": {"target": "loudness"}}, "labels.target", "anchor_binary"),
        ({"probes": {"residualize_against": "tags"}}, "probes.residualize_against", "position_plus_text"),
        ({"deferral": {"probe": "oracle"}}, "deferral.probe", "one of position_baseline"),
        ({"deferral": {"budget": 1.5}}, "deferral.budget", "at most 1"),
        ({"deferral": {"quantiles": 1}}, "deferral.quantiles", "at least 2"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path(tmp_path: Path, sections: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_study(write(tmp_path, changed(**sections)))
    assert where in str(caught.value)
    assert words in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [("mid", "mid"), (3, 3), (0.25, 0.25), ("all", "all"), ([0, "mid", 0.75], (0, "mid", 0.75))],
)
def test_a_layer_is_kept_as_it_is_written(tmp_path: Path, written: Any, read: Any) -> None:
    study = read_study(write(tmp_path, changed(extraction={"layer": written})))
    layer = study.extraction_spec("small_correct").layer
    assert (layer, type(layer)) == (read, type(read))


def test_vertical_attention_that_is_off_is_as_if_there_were_none(tmp_path: Path) -> None:
    text = yaml.safe_dump(HEALTHY)
    default = read_study(write(tmp_path, text))
    off = read_study(write(tmp_path, text + "extraction: {vertical_attention: {mode: off, last_tokens: 3}}\n"))
    light = read_study(write(tmp_path, text + "extraction: {vertical_attention: {mode: light, last_tokens: 3}}\n"))
    specs = [study.extraction_spec("small_correct") for study in (default, off, light)]
    assert extraction_options(specs[0]) == extraction_options(specs[1])
    assert set(extraction_options(specs[0])) == {"layer", "pooling", "dtype", "storage_dtype"}
    assert specs[2].vertical_attention == VerticalAttention(mode="light", last_tokens=3)
    assert extraction_options(specs[2])["vertical_attention"]["mode"] == "light"


def test_options_of_token_probes_decide_cells_that_have_them_and_nothing_else(tmp_path: Path) -> None:
    def options(asset: str, models: list[str], heads: int) -> Any:
        probes = {"models": models, "token_probes": {"heads": heads}}
        content = changed(probes=probes, extraction={"pooling": "tokens"})
        return FACTS[asset].options(read_study(write(tmp_path, content)))

    for asset, models, same in (
        ("probe_metrics", ["linear_probe"], True),
        ("seed_free_scores", ["linear_probe", "attention_probe"], True),
        ("probe_metrics", ["linear_probe", "attention_probe"], False),
    ):
        assert (options(asset, models, 4) == options(asset, models, 8)) == same


def test_all_faults_of_a_file_are_listed_at_once(tmp_path: Path) -> None:
    broken = changed(seeds=3, splits={"seed": -1}, settings={"a": {"model": "small", "solutions": "maybe"}})
    with pytest.raises(StudyError) as caught:
        read_study(write(tmp_path, broken))
    assert [fault.field for fault in caught.value.faults] == ["splits.seed", "seeds", "settings.a.solutions"]
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    for line, fault in zip(lines, caught.value.faults, strict=True):
        assert line.startswith(f"{tmp_path / 'mine.yaml'}: {fault.field}: found {fault.value!r}, expected ")


def test_a_file_of_countless_faults_lists_the_first(tmp_path: Path) -> None:
    broken = changed(labels={f"typo_{number}": 1 for number in range(MAX_FAULTS + 7)})
    with pytest.raises(StudyError) as caught:
        read_study(write(tmp_path, broken))
    assert len(caught.value.faults) == MAX_FAULTS + 7
    *lines, last = str(caught.value).splitlines()
    assert len(lines) == MAX_FAULTS
    assert last.endswith("mine.yaml: 7 more faults")


@pytest.mark.parametrize("text", ["", "[]", "a: [", "name: x\nname: y", "!!python/object/apply:os.getcwd []", "\x00"])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_study(write(tmp_path, text))


def test_a_missing_study_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="one of embedded, from_scratch, paper"):
        load_studies("nowhere.yaml")


def test_the_shipped_studies_load_side_by_side() -> None:
    studies = load_studies("paper")
    assert studies.selected.name == "paper"
    assert set(studies.by_corpus) >= {"embedded_correct", "llama_correct", "qwen_incorrect"}
    assert studies.by_name["paper"].settings_of("llama_correct") == ("pilot", "full", "llama_correct")


@pytest.mark.parametrize("key", ["problems", "problems_seed"])
def test_settings_that_share_their_problems_must_draw_them_alike(tmp_path: Path, key: str) -> None:
    def written(value: int, shared: bool) -> Path:
        first = {"model": "small", "solutions": "correct", "shared_problems": True, key: 7}
        second = {"model": "small", "solutions": "incorrect", "shared_problems": shared, key: value}
        return write(tmp_path, changed(settings={"small_correct": first, "small_incorrect": second}))

    with pytest.raises(InputError) as caught:
        read_study(written(9, shared=True))
    for words in (f"settings.small_incorrect.{key}: found 9", "expected 7", f"settings.small_correct.{key}"):
        assert words in str(caught.value)
    read_study(written(7, shared=True))
    read_study(written(9, shared=False))


def test_two_studies_may_not_share_a_name(tmp_path: Path) -> None:
    first = read_study(write(tmp_path, HEALTHY))
    second = read_study(write(tmp_path, {**HEALTHY, "name": "other"}, "other.yaml"))
    with pytest.raises(InputError, match="does not use already"):
        Studies((first, second), current="mine")


@settings(max_examples=60, deadline=None)
@given(value=JSON_LIKE)
def test_any_value_in_any_section_is_accepted_or_named(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("studies")
    for section in HEALTHY.keys() | {"labels", "splits", "extraction", "seeds", "readme", "deferral", "sweep"}:
        try:
            read_study(write(folder, yaml.safe_dump(changed(**{section: value}), allow_unicode=True)))
        except InputError as error:
            assert str(folder) in str(error)
