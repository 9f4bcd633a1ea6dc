"""A release whose page cannot be read fails, and says why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ta_assets.jobs import release


def evaluation(name: str, *, passed: bool) -> dg.AssetCheckEvaluation:
    """What a run tells of a check."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("report"),
        check_name=name,
        passed=passed,
        metadata={},
        description=f"{name} was looked at",
    )


def faults(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, made: bool, checks: list[dg.AssetCheckEvaluation]
) -> list[str]:
    """What a release has against a page that was made, or not, and judged like this."""
    step = SimpleNamespace(is_step_success=made, step_key=release.PAGE_ASSET)
    result = SimpleNamespace(all_events=[step], run_id="run", get_asset_check_evaluations=lambda: checks)
    monkeypatch.setattr(release.runs, "make", lambda *_, **__: result)
    ledger = SimpleNamespace(definitions=lambda: None, failure=lambda run, asset: f"{asset} failed in {run}")
    world: Any = SimpleNamespace(ledger=ledger, store=SimpleNamespace(local_folder=folder))
    world.fresh = lambda: world
    context: Any = SimpleNamespace(instance=None, log=SimpleNamespace(info=lambda _: None))
    return release._page_faults(context, world, "embedded")


def test_a_page_that_holds_has_no_faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks = [evaluation("report_is_current", passed=True)]
    assert faults(monkeypatch, tmp_path, made=True, checks=checks) == []


def test_a_red_check_of_the_page_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks = [evaluation("report_is_inert", passed=False), evaluation("report_is_current", passed=True)]
    found = faults(monkeypatch, tmp_path, made=True, checks=checks)
    assert found == ["report_is_inert: report_is_inert was looked at"]


def test_a_page_that_was_not_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert faults(monkeypatch, tmp_path, made=False, checks=[]) == ["report failed in run"]


def test_a_page_that_nobody_judged_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert faults(monkeypatch, tmp_path, made=True, checks=[]) == ["no check of it was evaluated"]
