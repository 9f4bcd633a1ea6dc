"""What a release would make and read, said without making it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.ledger.world import World
from ta_assets.plan import FRESH, MAKE, UNKNOWN, as_text, sources, steps
from tests.assets.conftest import TinyWorld, build_world
from tests.assets.made import copy_of, materialized


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[World]:
    """The first half of a study, as an interrupted release leaves it."""
    world = build_world(tmp_path_factory.mktemp("planned"), tiny_model)
    with materialized(world.study, assets=ASSETS[: ASSETS.index("activations") + 1]) as half:
        yield half


def test_what_is_there_is_up_to_date_and_what_is_not_is_to_be_made(made: World) -> None:
    found = steps(made)
    cells = [(asset, partition) for asset in ASSETS for partition in partitions_of(asset, made.studies.selected)]
    assert [(step.asset, step.partition) for step in found] == cells
    done = {"problem_ids", "splits", "sentences", "activations"}
    assert {step.asset for step in found if step.what == FRESH} == done
    assert {step.what for step in found if step.asset not in done} == {MAKE}
    reasons = {step.asset: step.why for step in found}
    assert reasons["cv_scores"] == "never made"
    assert reasons["probe_comparison"] == "made of cv_scores[tiny_incorrect]"
    text = "\n".join(as_text("tiny", found, sources(made)))
    assert text.startswith(f"study tiny: {len(found)} cells, ")
    assert "data of tiny_correct" in text
    assert "6 of 6 problems" in text
    assert "of weights" in text


def test_data_that_changed_is_made_again_with_all_that_comes_of_it(made: World, tmp_path: Path) -> None:
    source = made.studies.selected.source("tiny_correct")
    place = Path(str(source.folder)) / source.prefix / "problem_3"
    shutil.move(place, tmp_path / "problem_3")
    try:
        found = {(step.asset, step.partition): step for step in steps(made)}
        assert found["problem_ids", "tiny_correct"].what == MAKE
        assert found["activations", "tiny_correct"].why == "made of problem_ids[tiny_correct]"
        assert found["activations", "tiny_incorrect"].what == FRESH
    finally:
        shutil.move(tmp_path / "problem_3", place)


def test_what_cannot_be_identified_is_not_known_and_nothing_is_asked(made: World, tmp_path: Path) -> None:
    model = Path(made.studies.selected.extraction_spec("tiny_correct").language_model)
    hidden = model.with_name("hidden")
    model.rename(hidden)
    try:
        world = copy_of(made, tmp_path)
        found = {(step.asset, step.partition): step for step in steps(world)}
        assert found["activations", "tiny_correct"].what == UNKNOWN
        assert "an existing model folder" in found["activations", "tiny_correct"].why
        assert any(one.facts.startswith("not known: ") for one in sources(world))
    finally:
        hidden.rename(model)


def test_the_command_leaves_a_folder_as_it_is(tiny_world: TinyWorld) -> None:
    before = sorted(tiny_world.folder.rglob("*"))
    done = tiny_world.plan("--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["study"] == "tiny"
    assert {step["what"] for step in answer["steps"]} == {MAKE}
    assert {one["kind"] for one in answer["reads"]} == {"data", "language model"}
    assert sorted(tiny_world.folder.rglob("*")) == before
