"""Which problems a setting uses, and when its data is listed anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from ta_assets.assets.problems import ProblemIdsConfig, chosen_ids, skip_facts
from ta_assets.core.values import CorpusSource, Skip
from ta_assets.definitions import build_definitions
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies, load_studies, read_study


class Listings:
    """A resource that remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    def list_problem_ids(self, source: CorpusSource, *, refresh: bool = False) -> list[int]:
        self.asked.append((source.prefix.rpartition("/")[2], refresh))
        return [1, 2, 3, 4]


def studies(folder: Path) -> Studies:
    content = {
        "name": "mine",
        "dataset": {"repo_id": "someone/rollouts"},
        "models": {"small": {"folder": "tiny", "language_model": "./model"}},
        "settings": {
            kind: {"model": "small", "solutions": kind, "shared_problems": True} for kind in ("correct", "incorrect")
        },
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Studies((read_study(folder / "mine.yaml"),), current="mine")


def _world(studies: Studies, listings: Listings) -> World:
    """A world that knows where problems are listed, and nothing else."""
    nothing = cast("Any", None)
    return World(studies, nothing, cast("Any", listings), nothing, nothing)


@pytest.mark.parametrize("refresh", [False, True])
def test_every_listing_that_decides_a_setting_is_asked_for_anew_when_wanted(tmp_path: Path, refresh: bool) -> None:
    listings = Listings()
    ids, available = chosen_ids(_world(studies(tmp_path), listings), "correct", refresh=refresh)
    assert (ids, available) == ([1, 2, 3, 4], 4)
    assert listings.asked == [("correct_base_solution", refresh), ("incorrect_base_solution", refresh)]


def test_a_refresh_is_an_option_of_the_asset_and_is_off() -> None:
    assert not ProblemIdsConfig().refresh
    schema: Any = build_definitions(load_studies("embedded")).resolve_job_def("make_problem_ids").run_config_schema
    ops = schema.config_type.fields["ops"].config_type.fields
    assert "refresh" in str(ops["problem_ids"].config_type.fields)


def test_skips_are_told_with_their_kinds_and_reasons() -> None:
    facts = skip_facts([Skip(1, "unusable", "half a file"), Skip(2, "unusable", "none"), Skip(3, "unlabelled", "x")])
    assert (facts["skipped"], facts["skipped_kinds"]) == (3, {"unusable": 2, "unlabelled": 1})
    assert "half a file" in str(cast("Any", facts["skipped_problems"]).value)
