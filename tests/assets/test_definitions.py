"""What Dagster loads: complete, light, and free of pickles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ta_assets import definitions as loaded
from ta_assets.core.errors import InputError
from ta_assets.core.traces.labels import COLUMNS
from ta_assets.definitions import build_definitions
from ta_assets.ledger.catalog import ENTRIES
from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.studies.loading import load_studies
from ta_checks.table import INVARIANTS
from ta_resources.storage.artifacts import ArtifactStore

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "huggingface_hub", "sklearn", "scipy", "matplotlib")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(load_studies("embedded"))


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = f"import sys, ta_assets.definitions; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_invariant_is_a_partitioned_check_with_a_description(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for invariant in INVARIANTS:
        key = dg.AssetCheckKey(dg.AssetKey(invariant.asset), invariant.name)
        assert key in graph.asset_check_keys
        assert len(invariant.description) > 60
        assert not any(character.isdigit() for character in invariant.name), "a name never carries a bound"


def test_assets_are_listed_in_the_order_in_which_they_depend(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for asset in ASSETS:
        for parent in graph.get(dg.AssetKey(asset)).parent_keys:
            assert ASSETS.index(parent.to_user_string()) < ASSETS.index(asset)


def partition_keys(definitions: dg.Definitions, asset: str) -> list[str]:
    definition = definitions.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
    assert definition is not None
    return sorted(definition.get_partition_keys())


def cells(asset: str, *names: str) -> list[str]:
    by_name = load_studies("embedded").by_name
    return sorted(key for name in names for key in partitions_of(asset, by_name[name]))


@pytest.mark.parametrize("asset", ASSETS)
def test_every_cell_of_the_selected_study_is_a_partition_and_no_other(definitions: dg.Definitions, asset: str) -> None:
    assert partition_keys(definitions, asset) == cells(asset, "embedded")


def test_a_study_that_was_made_here_or_is_asked_for_has_its_partitions_too(tmp_path: Path) -> None:
    store = ArtifactStore(base_dir=str(tmp_path))
    made = {"store": store}
    before = build_definitions(load_studies("embedded"), resources=made)
    assert partition_keys(before, "activations") == cells("activations", "embedded")
    store.save("problem_ids", "pilot", [1, 2, 3])
    after = build_definitions(load_studies("embedded"), resources=made)
    assert partition_keys(after, "activations") == cells("activations", "embedded", "paper")
    asked = build_definitions(load_studies(f"embedded{os.pathsep}paper"))
    assert partition_keys(asked, "activations") == cells("activations", "embedded", "paper")


def test_every_asset_is_described_for_the_catalog(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {*ENTRIES}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert 1 <= len(node.kinds) <= 3
        assert node.owners
    groups = [graph.get(dg.AssetKey(asset)).group_name for asset in ASSETS]
    assert groups.index("1_data") < groups.index("2_activations") < groups.index("3_probes")
    schema = graph.get(dg.AssetKey("sentences")).metadata["dagster/column_schema"]
    assert [(column.name, column.description) for column in schema.columns] == [
        (name, column.meaning) for name, column in COLUMNS.items()
    ]


def test_what_starts_a_release_by_itself_is_off(definitions: dg.Definitions) -> None:
    assert [one.name for one in definitions.schedules or ()] == ["nightly_release"]
    assert [one.name for one in definitions.sensors or ()] == ["release_on_new_data", "report_failed_release"]
    for one in (*(definitions.schedules or ()), *(definitions.sensors or ())):
        assert one.default_status.value == "STOPPED"


def test_the_jobs_name_their_study(definitions: dg.Definitions) -> None:
    for name in ("release", "sweep"):
        job = definitions.resolve_job_def(name)
        assert job.tags["study"] == "embedded"
        assert "**embedded**" in (job.description or "")


def test_no_output_can_reach_dagsters_pickling_io_manager(definitions: dg.Definitions) -> None:
    resources = dict(definitions.resources or {})
    assert type(resources["io_manager"]).__name__ == "ArtifactIOManager"
    release = definitions.resolve_job_def("release")
    keys = {output.io_manager_key for node in release.graph.node_defs for output in getattr(node, "output_defs", ())}
    assert keys <= {"in_memory", "io_manager"}
    assert {node.name for node in release.graph.node_defs if any(
        output.io_manager_key == "io_manager" for output in getattr(node, "output_defs", ())
    )} <= {"verdict"}  # fmt: skip


def with_a_broken_study(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    study = tmp_path / "study.yaml"
    study.write_text("name: [1]", encoding="utf-8")
    chosen = {"TA_STUDY": str(study), "DAGSTER_MODULE_NAME": loaded.__name__, "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **chosen}
    environment.pop("DAGSTER_HOME", None)
    program = [str(Path(sys.executable).with_name("dagster")), *command]
    return subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)


def test_a_command_answers_a_broken_study_with_one_line_per_fault(tmp_path: Path) -> None:
    done = with_a_broken_study(tmp_path, "asset", "list")
    assert done.returncode == 1
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"StudyError: {tmp_path}/study.yaml: name: found [1]")
    absent = [f"{tmp_path}/study.yaml: {key}: found None" for key in ("models", "settings")]
    assert [line.partition(",")[0] for line in others] == absent


def test_a_code_server_still_reports_a_broken_study_with_its_stack(tmp_path: Path) -> None:
    done = with_a_broken_study(tmp_path, "definitions", "validate", "-m", "ta_assets.definitions")
    assert done.returncode == 1
    assert f"ta_assets.core.errors.StudyError: {tmp_path}/study.yaml: name: found [1]" in done.stdout
    assert "in build_definitions" in done.stdout


def test_only_an_input_error_while_loading_changes_what_python_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", before)  # put back afterwards

    def broken(error: Exception) -> None:
        def build() -> dg.Definitions:
            raise error

        monkeypatch.setattr(loaded, "build_definitions", build)
        with pytest.raises(type(error)):
            loaded.load()

    broken(ValueError("a mistake of ours"))
    assert sys.excepthook is before
    broken(InputError("study.yaml", "seeds", 3, "5"))
    assert sys.excepthook is not before
    for error in (InputError("study.yaml", "seeds", 3, "5"), ValueError("a mistake of ours")):
        sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err.splitlines() == [
        "InputError: study.yaml: seeds: found 3, expected 5",
        "ValueError: a mistake of ours",
    ]
