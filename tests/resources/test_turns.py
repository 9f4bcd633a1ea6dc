"""The turn of a job that makes many cells. Releases that are killed, and two at once, are in ``tests/proof``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ta_assets.core.errors import InputError
from ta_resources import turns

HOLD = (
    "import sys, pathlib, dagster; from ta_resources import turns;"
    "turns.wait_for_turn(dagster.DagsterInstance.ephemeral(), pathlib.Path(sys.argv[1]), 'study', print);"
    "print('held', flush=True); sys.stdin.read()"
)


def test_a_second_release_says_for_what_it_waits_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout
            said = f"another release holds {tmp_path / turns.LOCK}: waiting for it to end\n"
            assert second.stdout.readline() == said
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.communicate("")


def test_a_folder_in_which_no_lock_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file", encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(InputError, match="artifacts"):
        turns.wait_for_turn(instance, tmp_path / "artifacts", "study", lambda _: None)
