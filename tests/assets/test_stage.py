"""What a release says of cells while it runs: each reason once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ta_assets.jobs.stage import Outcome, Stage, incidents
from ta_assets.studies.loading import load_studies

PARENTS = {"a": [("sentences", "a")], "b": [("sentences", "b")]}


@pytest.fixture
def stage() -> Stage:
    """The activations of two corpora, after the sentences of one of them crashed."""
    ledger = SimpleNamespace(parents=lambda _, key: PARENTS[key], together=lambda _: None)
    world = SimpleNamespace(ledger=ledger, studies=load_studies("embedded"))
    so_far = [Outcome("sentences[a]", "crashed", "no network"), Outcome("sentences[b]", "computed", "never made")]
    return Stage(cast("Any", None), cast("Any", world), so_far)


@pytest.mark.parametrize(
    ("outcome", "partition", "is_known"),
    [
        (Outcome("activations[a]", "left out", "sentences[a] was not made"), "a", True),
        (Outcome("activations[b]", "left out", "label_support of sentences[b] did not pass"), "b", False),
        (Outcome("activations[b]", "crashed", "no network"), "b", True),
        (Outcome("activations[b]", "crashed", "no memory"), "b", False),
        (Outcome("activations[b]", "fresh", ""), "b", True),
        (Outcome("activations[b]", "computed", "never made"), "b", False),
        (Outcome("activations[b]", "failed", "no network"), "b", False),
    ],
)
def test_what_follows_from_a_cell_that_is_lost_is_not_said_again(
    stage: Stage, outcome: Outcome, partition: str, is_known: bool
) -> None:
    assert stage._is_known(outcome, ("activations", partition)) == is_known


def test_cells_that_crashed_for_one_reason_are_one_incident() -> None:
    outcomes = [Outcome(f"problem_ids[{key}]", "crashed", "no network") for key in "abc"]
    assert incidents(outcomes) == ["problem_ids[a] and 2 more cells crashed: no network"]
