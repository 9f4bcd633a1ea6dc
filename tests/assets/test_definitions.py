"""What Dagster loads: complete, light, and free of pickles."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from ta_assets.definitions import build_definitions
from ta_assets.partitions import partitions_of
from ta_assets.studies import load_studies
from ta_checks import ASSETS, INVARIANTS

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
