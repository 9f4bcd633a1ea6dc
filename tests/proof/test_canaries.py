"""The gate and its canaries on a small real release."""

from __future__ import annotations

import dataclasses

import pytest

from ta_checks import table
from ta_checks.verdict import Verdict
from tests.checks.test_verdict_gate import CI, gate, load
from tests.proof.world import World

canary = load("canary")


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
