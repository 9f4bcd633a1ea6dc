"""A few kills where they hurt most, and whether the judge of kills sees what it should."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from ta_resources.storage import atomic
from tests.proof import kills, releases
from tests.proof.conftest import Killable
from tests.proof.kills import Target

NEVER = 60.0
REPEATS = int(os.environ.get("TA_PROOF_REPEATS", "1"))
"""How often two releases are started at once."""


def at(phase: str, point: str, number: int = 1) -> Target:
    """A kill inside a write; the delay never comes into play."""
    return Target(phase, NEVER, point, number)


TARGETS = (
    at("start", "rename"),  # a whole database that is not yet in its place
    at("start", "after commit", 8),  # one that is half made
    at("start", "rename", 2),
    at("start", "before commit", 8),
    at("extraction", "half written", 3),  # holds the slot of the pool
    at("start", "between slot and run"),  # the slot of the one before is free, its run still open
    at("fitting", "before commit", 300),
    Target("aggregation", 0.3, warm=False),
    at("verdict", "half written", 2),
)
EXTRACTION = 4


@pytest.mark.prove
def test_a_release_that_is_killed_again_and_again_ends_as_if_nobody_had(killable: Killable) -> None:
    done = kills.kill_chain(killable.world, killable.starter, killable.expected, random.Random(0), TARGETS)
    assert [kill.faults for kill in done] == [[]] * len(TARGETS)
    assert [kill.attempt.phase for kill in done] == [target.phase for target in TARGETS], "each died where it should"
    assert done[EXTRACTION].slots, "the pool's slot was held when the process died"
    assert done[EXTRACTION].open_runs, "and its runs were open"
    assert not done[EXTRACTION + 1].slots
    assert done[EXTRACTION + 1].open_runs & done[EXTRACTION].open_runs


def test_a_changed_byte_a_repetition_an_open_run_and_a_held_slot_are_faults(killable: Killable, tmp_path: Path) -> None:
    begun = tmp_path / "begun.jsonl"
    begun.write_text("".join(json.dumps({"begun": unit}) + "\n" for unit in ("a", "b", "c")), encoding="utf-8")
    ended = releases.Attempt(0, begun, tmp_path / "none", lambda: 0)
    first = kills.Kill(TARGETS[0], ended, 1.0, True, {"run"}, {"run"}, {"run"}, [])
    second = kills.Kill(TARGETS[0], ended, 1.0, True, {"run"}, {"run"}, {"run"}, ["x"])
    healthy = killable.expected.results
    changed = kills.Undisturbed({**healthy, "artifacts": {**healthy["artifacts"], "a": "0"}}, {}, {})
    kills.judge(killable.world, killable.starter, changed, [first, second])
    assert [fault.partition(":")[0] for fault in first.faults] == [
        "3 units of work were repeated",
        "unfinished file was read",
        "run run was not closed",
        "run run kept its slot",
        "not what an undisturbed release gives",
    ]


def test_an_unfinished_file_that_is_read_is_seen(tmp_path: Path) -> None:
    releases.require_access_times(tmp_path)
    path = atomic.beside(tmp_path / "value.json", atomic.UNFINISHED)
    path.write_text("{", encoding="utf-8")
    with releases.unread(tmp_path) as read:
        path.unlink()
    assert read == []
    path.write_text("{", encoding="utf-8")
    with releases.unread(tmp_path) as read:
        path.read_text(encoding="utf-8")
    assert read == [path.name]


def test_of_two_unfinished_folders_each_file_is_watched_and_none_stays_open(tmp_path: Path) -> None:
    folders = [atomic.beside(tmp_path / name, atomic.UNFINISHED) for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "value.json").write_text("{", encoding="utf-8")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for folder in folders:
        with releases.unread(tmp_path) as read:
            (folder / "value.json").read_text(encoding="utf-8")
        assert read == [f"{folder.name}/value.json"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("late", [number / REPEATS for number in range(REPEATS)])
def test_two_releases_at_once_create_one_instance_and_make_every_cell_once(killable: Killable, late: float) -> None:
    releases.empty(killable.world)
    first = killable.starter.start()
    # from at once to well after the instance was created
    time.sleep(2 * late * killable.expected.seconds["start"])
    both = [first, killable.starter.start()]
    assert [attempt.wait() for attempt in both] == [0, 0]
    units = [unit for attempt in both for unit in attempt.begun()]
    assert len(units) == len(set(units)) > 0
    assert releases.results(killable.world) == killable.expected.results


def test_every_phase_has_writes_to_die_in(killable: Killable) -> None:
    for phase in kills.PHASES:
        assert {"before commit", "after commit", "mkdir"} <= killable.expected.points[phase].keys()
