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
from ta_assets.definitions import build_definitions
from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.studies.loading import load_studies
from ta_checks.table import INVARIANTS

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


def test_every_cell_of_every_study_is_a_partition(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    studies = load_studies("embedded")
    for asset in ASSETS:
        keys = [key for study in studies.studies for key in partitions_of(asset, study)]
        definition = graph.get(dg.AssetKey(asset)).partitions_def
        assert definition is not None
        assert sorted(keys) == sorted(definition.get_partition_keys())


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
    absent = [f"{tmp_path}/study.yaml: {key}: found None" for key in ("dataset", "models", "settings")]
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
