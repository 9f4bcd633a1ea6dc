"""The files of a verdict against what Dagster recorded of them, on a study of which nothing was made."""

from __future__ import annotations

import atexit
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from ta_assets.assets import verdicts
from ta_assets.assets.verdicts import FILES, VERDICT_ASSET, read_release, release_folder
from ta_assets.core.errors import InputError
from ta_assets.definitions import build_definitions
from ta_assets.jobs import release, runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.studies.loading import load_studies
from ta_checks.report.rows import UNEDITED
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.atomic import write_file

NAMES = ("verdict.json", "verdict.md", "verdict.txt", "junit.xml", "environment.json")


@dataclass
class Verdicts:
    """Releases of a study."""

    base: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    @property
    def folder(self) -> Path:
        """Of the files."""
        return release_folder("tiny", self.base)

    @property
    def view(self) -> Ledger:
        """The instance as it is now."""
        return Ledger(self.instance, lambda: self.definitions)

    def make(self) -> dg.ExecuteInProcessResult:
        """Materialize the verdict."""
        return runs.make(self.definitions, self.instance, VERDICT_ASSET, "tiny")

    def row(self, name: str) -> dict[str, Any]:
        """Of the verdict on the disk."""
        content = json.loads((self.folder / "verdict.json").read_text(encoding="utf-8"))
        (row,) = (row for row in content["checks"] if row["name"] == name)
        return row

    def release(self) -> dg.ExecuteInProcessResult:
        """The job, which makes nothing but the verdict here."""
        job = self.definitions.resolve_job_def("release")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        result = job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=quiet)
        atexit.unregister(print)
        return result


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Verdicts]:
    monkeypatch.setattr(release.Stage, "run", lambda _: [])
    study = {
        "name": "tiny",
        "dataset": {"folder": "data"},
        "models": {"tiny": {"folder": "tiny", "language_model": "./model"}},
        "settings": {"tiny_correct": {"model": "tiny", "solutions": "correct"}},
    }
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(study), encoding="utf-8")
    store = ArtifactStore(base_dir=str(tmp_path / "artifacts"))
    definitions = build_definitions(load_studies(str(file)), resources={"store": store})
    with dg.DagsterInstance.ephemeral() as instance:
        yield Verdicts(store.base, instance, definitions)


def test_every_file_is_recorded_and_read_back(made: Verdicts) -> None:
    with pytest.raises(InputError, match="a release of study tiny"):
        read_release(made.view, "tiny", made.base)
    made.make()
    assert made.row(UNEDITED.name)["message"] == "no earlier verdict is recorded"
    latest = made.view.materialization(VERDICT_ASSET, "tiny")
    assert latest is not None
    present = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.folder.iterdir()}
    assert latest.metadata[FILES] == present
    assert set(present) == {*NAMES}
    decision, table = read_release(made.view, "tiny", made.base)
    assert decision == "NOT OK"
    assert table.splitlines()[-1].startswith("tiny: NOT OK")
    made.make()
    assert (made.row(UNEDITED.name)["status"], made.row(UNEDITED.name)["n"]) == ("passed", len(NAMES))


@pytest.mark.parametrize(("name", "gone"), [*((name, False) for name in NAMES), ("verdict.json", True)])
def test_a_file_that_was_edited_or_deleted_is_refused_and_red_in_the_next_verdict(
    made: Verdicts, name: str, gone: bool
) -> None:
    made.make()
    path = made.folder / name
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"{name}: sha256: .* as its release recorded it"):
        read_release(made.view, "tiny", made.base)
    made.make()
    row = made.row(UNEDITED.name)
    assert row["status"] == "failed"
    assert row["offenders"] == [f"{name} is gone" if gone else f"{name} was edited since its release wrote it"]
    made.make()
    assert made.row(UNEDITED.name)["status"] == "passed", "what was written anew is sound"


@pytest.mark.parametrize(("first", "written"), [(False, 0), (False, 3), (True, 0), (True, 3)])
def test_a_release_that_died_between_record_and_files_is_no_edit(
    made: Verdicts, monkeypatch: pytest.MonkeyPatch, first: bool, written: int
) -> None:
    if not first:
        made.make()

    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "write_file", dies_after(written))
        assert not runs.made(made.make(), VERDICT_ASSET)
        assert not runs.made(made.make(), VERDICT_ASSET)
    made.make()
    assert made.row(UNEDITED.name)["status"] == "passed"


def test_an_edit_after_a_release_that_died_is_found(made: Verdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    made.make()
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "write_file", dies_after(1))
        made.make()
    path = made.folder / "verdict.md"
    path.write_text(path.read_text(encoding="utf-8").replace("NOT OK", "OK"), encoding="utf-8")
    made.make()
    assert made.row(UNEDITED.name)["offenders"] == ["verdict.md was edited since its release wrote it"]


def dies_after(files: int) -> Any:
    left = [files]

    def write(path: Path, content: bytes) -> None:
        if not left[0]:
            raise InputError(path, "write", "No space left on device", "a disk with room")
        left[0] -= 1
        write_file(path, content)

    return write


def test_checks_that_cannot_be_collected_end_in_a_verdict_that_says_so(
    made: Verdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("planted: no row can be read")

    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "make_report", broken)
        result = made.release()
    assert not result.success
    assert read_release(made.view, "tiny", made.base)[0] == "NOT OK"
    assert made.row("release")["message"] == "ZeroDivisionError: planted: no row can be read"
    made.make()
    assert made.row(UNEDITED.name)["status"] == "passed"


def test_a_release_whose_verdict_cannot_be_written_says_why(made: Verdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "write_file", dies_after(0))
        result = made.release()
    said = str([event.step_failure_data.error for event in result.all_events if event.is_step_failure])
    assert not result.success
    assert "the verdict of study tiny was not written" in said
    assert "No space left on device" in said
