"""Fifty SIGKILLs of campaigns: at most the batch at hand is lost, and the labels are those of an undisturbed one."""

from __future__ import annotations

import pytest

from tests.benchmarks.campaign_machinery import kills


@pytest.mark.prove
def test_campaigns_that_are_killed_lose_at_most_a_batch_and_no_label_changes() -> None:
    found = kills(50)
    assert found["n"] >= 50
    assert found["value"] == 0, found["detail"]
