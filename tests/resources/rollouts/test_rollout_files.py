"""Rollouts of a problem: what is fetched, what counts, and that every fault is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.traces.label_recomputation import Rollout
from ta_assets.core.values import CorpusSource
from ta_resources.rollouts.problem_files import UnusableProblem
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.rollouts.rollout_files import parse_rollouts

if TYPE_CHECKING:
    from tests.resources.hub_stand_in import HubStandIn

HEALTHY: dict[str, Any] = {"chunk_removed": "so", "chunk_resampled": "but", "answer": "5", "is_correct": True}


def parsed(*entries: object) -> tuple[Rollout, ...]:
    return parse_rollouts("x", json.dumps(entries).encode())


def test_only_rollouts_with_an_answer_count() -> None:
    unanswered = [{**HEALTHY, "answer": answer} for answer in ("", "None", None)]
    assert parsed(HEALTHY, *unanswered, {"error": "timeout"}) == (Rollout("so", "but", True),)


def test_an_answer_that_nobody_can_judge_is_answered_and_neither_right_nor_wrong() -> None:
    assert parsed({**HEALTHY, "is_correct": None}) == (Rollout("so", "but", None),)
    with pytest.raises(UnusableProblem, match=r"\[0\]\.is_correct: found 'absent'"):
        parsed({key: value for key, value in HEALTHY.items() if key != "is_correct"})


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "line 1"),
        (b"[]", "whole file"),
        (b"{}", "whole file"),
        (b"[3]", r"\[0\]"),
        *(
            (json.dumps([HEALTHY, {**HEALTHY, key: value}]).encode(), rf"\[1\]\.{key}")
            for key, value in (
                ("answer", 5),
                ("is_correct", "True"),
                ("is_correct", 1),
                ("chunk_removed", None),
                ("chunk_resampled", ["but"]),
                ("chunk_resampled", "\ud800"),
            )
        ),
    ],
)
def test_a_fault_is_named_with_its_place(content: bytes, field: str) -> None:
    with pytest.raises(InputError, match=field):
        parse_rollouts("x/chunk_0/solutions.json", content)


def test_a_folder_without_a_sentences_rollouts_names_the_file(dataset_folder: Path, prefix: str) -> None:
    source, rollouts = CorpusSource(prefix=prefix, folder=str(dataset_folder)), RolloutsResource()
    assert rollouts.kept_rollouts(source, 10, [0, 1]) == 0
    place = dataset_folder / prefix / "problem_10/chunk_0"
    place.mkdir()
    (place / "solutions.json").write_text(json.dumps([HEALTHY]), encoding="utf-8")
    assert rollouts.kept_rollouts(source, 10, [0, 1]) == 1
    assert rollouts.load_rollouts(source, 10, [0]) == [(Rollout("so", "but", True),)]
    with pytest.raises(InputError, match=r"problem_10/chunk_1/solutions\.json"):
        rollouts.load_rollouts(source, 10, [0, 1])


def test_exactly_the_rollouts_of_one_problem_are_fetched_and_kept(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: Callable[..., RolloutsResource], prefix: str
) -> None:
    for index in range(4):
        entry = {**HEALTHY, "chunk_removed": f"sentence {index}"}
        hub.files[f"{prefix}/problem_10/chunk_{index}/solutions.json"] = json.dumps([entry]).encode()
    rollouts = new_rollouts()
    assert rollouts.kept_rollouts(hub_corpus, 10, range(4)) == 0
    found = rollouts.load_rollouts(hub_corpus, 10, range(3))
    assert [group[0].removed for group in found] == ["sentence 0", "sentence 1", "sentence 2"]
    fetched = [path.partition(prefix)[2] for path in hub.paths("/resolve/")]
    assert sorted(fetched) == [f"/problem_10/chunk_{index}/solutions.json" for index in range(3)]
    assert rollouts.kept_rollouts(hub_corpus, 10, range(4)) == 3
    before = len(hub.requests)
    assert new_rollouts(offline=True).load_rollouts(hub_corpus, 10, range(3)) == found
    assert len(hub.requests) == before
    with pytest.raises(InputError, match=r"chunk_3/solutions\.json.*run once with the network"):
        new_rollouts(offline=True).load_rollouts(hub_corpus, 10, range(4))
