"""The command ``thought-anchors`` hands on to the commands that it names."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path

import pytest

from ta_assets import command, split

ROOT = Path(__file__).resolve().parents[2]


def test_the_installed_command_is_this_one() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, function = scripts["thought-anchors"].partition(":")
    assert getattr(importlib.import_module(module), function) is command.main


@pytest.mark.parametrize("name", list(command.COMMANDS))
def test_every_command_tells_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([name, "--help"])
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_a_command_gets_the_rest_of_the_arguments_and_gives_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "trace.txt"
    text.write_text("First the product. 3 * 4 = 12.", encoding="utf-8")
    assert command.main(["split", str(text)]) == 0
    assert json.loads(capsys.readouterr().out) == split.sentences_of(text)
    assert command.main(["split", str(tmp_path / "absent")]) == 1


@pytest.mark.parametrize(("arguments", "code"), [(["nonsense"], 2), (["--help"], 0), ([], 0)])
def test_what_is_no_command_is_answered_with_those_that_are(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == code
    answer = capsys.readouterr()
    assert all(name in answer.out + answer.err for name in command.COMMANDS)
