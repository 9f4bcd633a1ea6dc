"""A small real release: planted faults of several kinds, the gate that reads it, and its canaries; the other faults are
tried by ``make prove``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ta_assets.core.errors import InputError
from ta_checks import table
from ta_checks.verdict import Verdict
from tests.checks.test_verdict_gate import CI, gate, load
from tests.proof import matrix
from tests.proof import world as proof_world
from tests.proof.determinism import torch_threads
from tests.proof.faults import REFUSED, Fault, catalogue
from tests.proof.world import World

canary = load("canary")
REPRESENTATIVE = (
    "rows are shuffled in one problem",
    "the README has lost its block",
    "rollouts are filed under the next sentence",
    "a truncated shard is read",
    "NOT OK was edited into OK and sealed again",
)


def quiet(_: str) -> None:
    """Nobody reads the lines of a test."""


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_a_planted_fault_is_noticed_by_its_check(healthy: tuple[World, set[str]], tmp_path: Path, name: str) -> None:
    (fault,) = [one for one in catalogue() if one.name == name]
    row = matrix.judged(healthy[0], tmp_path / "fault", fault, healthy[1], quiet)
    assert row["caught_by_named_check"], row


def test_a_fault_that_nobody_plants_is_not_caught(healthy: tuple[World, set[str]], tmp_path: Path) -> None:
    nothing = Fault("nothing", "split_is_disjoint", "splits", lambda _: None)
    row = matrix.judged(healthy[0], tmp_path / "fault", nothing, healthy[1], quiet)
    assert (row["caught"], row["caught_by_named_check"], row["alarms"], row["error"]) == (False, False, [], "")


def test_a_fault_that_breaks_its_own_planting_is_not_caught(healthy: tuple[World, set[str]], tmp_path: Path) -> None:
    def broken(_: World) -> None:
        raise KeyError("planted badly")

    fault = Fault("broken", "split_is_disjoint", "splits", broken)
    row = matrix.judged(healthy[0], tmp_path / "fault", fault, healthy[1], quiet)
    assert not row["caught"]
    assert "planted badly" in row["error"]
    assert not (tmp_path / "fault").exists()


@pytest.mark.parametrize("expected", ["wanted.json", "another.json"])
def test_a_refusal_must_name_its_place(healthy: tuple[World, set[str]], tmp_path: Path, expected: str) -> None:
    def read(_: World) -> None:
        raise InputError("wanted.json", "field", 1, "two")

    fault = Fault("refused", REFUSED, "splits", lambda _: None, judge=read, expected=(expected,))
    row = matrix.judged(healthy[0], tmp_path / "fault", fault, healthy[1], quiet)
    assert row["caught"] == row["caught_by_named_check"] == (expected in row["said"])
    # the same error while planting is none of the product's answer
    fault = Fault("refused", REFUSED, "splits", read, judge=lambda _: None, expected=("wanted.json",))
    row = matrix.judged(healthy[0], tmp_path / "fault", fault, healthy[1], quiet)
    assert not row["caught"]
    assert "wanted.json" in row["error"]


def test_a_child_does_not_wait_for_its_parents_threads(
    healthy: tuple[World, set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled() -> float:
        return float((torch.ones(4_000_000) * 2).sum())

    monkeypatch.setattr(proof_world, "CHILD_SECONDS", 60)
    with torch_threads(2):
        expected = doubled()
        found = proof_world.in_child(healthy[0], tmp_path / "child", lambda _: {"sum": doubled()})
    assert found == {"sum": expected}


def test_what_a_small_release_leaves_behind_has_no_faults(healthy: tuple[World, set[str]]) -> None:
    world, _ = healthy
    assert gate.faults(world.study_file, world.verdict_file.parent, 0, CI / "checks.json") == []


def test_the_canaries_of_a_healthy_release_die(healthy: tuple[World, set[str]]) -> None:
    assert list(canary.blind(healthy[0].sources)) == []


def test_a_check_that_has_gone_blind_is_named(healthy: tuple[World, set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def blinded(row: table.Invariant) -> table.Invariant:
        return dataclasses.replace(row, rule=lambda **_: Verdict("passed")) if row.name == "split_is_disjoint" else row

    monkeypatch.setattr(canary, "INVARIANTS", tuple(blinded(row) for row in table.INVARIANTS))
    (said,) = canary.blind(healthy[0].sources)
    assert said.startswith("split_is_disjoint of splits[")
    assert "is passed on a damaged artifact" in said
    monkeypatch.setattr(canary, "INVARIANTS", table.INVARIANTS[:1])
    assert "scores_refit of seed_free_scores is gone from the table" in list(canary.blind(healthy[0].sources))
