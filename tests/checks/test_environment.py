"""The snapshot tells what a result depends on and nothing private."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ta_checks.report import environment
from ta_checks.report.environment import git_state, snapshot


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(["git", "-C", str(folder), *who, *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_clean_checkout_is_clean_and_names_its_commit(checkout: Path) -> None:
    assert git_state(checkout / "package") == {"commit": git(checkout, "rev-parse", "HEAD"), "clean": True}


@pytest.mark.parametrize("file", ["package/module.py", "package/new.py", "elsewhere.txt"])
def test_a_changed_or_untracked_file_makes_it_unclean(checkout: Path, file: str) -> None:
    (checkout / file).write_text("changed\n")
    assert git_state(checkout / "package")["clean"] is False


def test_without_a_commit_or_a_tracked_file_nothing_is_claimed(checkout: Path, tmp_path: Path) -> None:
    (checkout / "site-packages").mkdir()
    (checkout / "site-packages" / "installed.py").write_text("")
    assert git_state(checkout / "site-packages") == {"commit": None, "clean": None}
    assert git_state(tmp_path / "absent") == {"commit": None, "clean": None}


def test_without_git_nothing_is_claimed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    assert git_state(checkout / "package") == {"commit": None, "clean": None}


def test_the_snapshot_is_strict_json_with_versions_and_hardware() -> None:
    made = snapshot()
    json.dumps(made, allow_nan=False)
    assert set(made) == {
        "python", "platform", "packages", "git", "device", "driver", "cpu_count", "memory_bytes",
        "device_memory_bytes",
    }  # fmt: skip
    assert made["python"] == platform.python_version()
    assert {"numpy", "dagster", "torch"} <= set(made["packages"])
    assert made["device"]


def test_the_snapshot_holds_nothing_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_ACCESS_KEY", "canary-41f9")
    shown = json.dumps(snapshot())
    assert "canary-41f9" not in shown
    assert str(Path.home()) + os.sep not in shown
    assert os.getcwd() not in shown
    assert platform.node() not in json.dumps({**snapshot(), "packages": {}}) or len(platform.node()) < 4


def test_without_a_driver_the_device_is_known_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "GPU_FILES", (str(tmp_path / "none"),))
    monkeypatch.setattr(environment, "sys", SimpleNamespace(modules={}, platform="linux"))
    monkeypatch.setattr(environment, "_output", lambda *_: pytest.fail("nobody need be asked"))
    assert environment._device() == ("cpu", None, None)
