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
from ta_assets.jobs.stage import Outcome, incidents
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import ASSETS, FACTS, Scope
from ta_assets.studies.loading import load_studies
from ta_checks.report.rows import UNEDITED
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.atomic import write_file

NAMES = ("verdict.json", "verdict.md", "verdict.txt", "junit.xml", "environment.json", "release.json")


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
        yield Verdicts(store.local_folder, instance, definitions)


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


def kept(made: Verdicts) -> list[dict[str, bytes]]:
    """The files of each release, the oldest first."""
    folders = sorted((made.base / "tiny/releases").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    return [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]


def test_each_release_keeps_its_files_and_the_latest_are_a_copy(made: Verdicts) -> None:
    made.release()
    first = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    made.make()
    latest = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    assert kept(made) == [first, latest]
    assert set(first) == {*NAMES}
    by_job, by_hand = (json.loads(files["release.json"]) for files in (first, latest))
    assert by_job["started"] <= by_job["ended"]
    assert set(by_job["seconds"]) == {one for one in ASSETS if FACTS[one].scope is not Scope.GENERATED}
    assert by_hand["run"] is by_hand["started"] is None
    assert by_hand["seconds"] == {}
    environment = json.loads(first["environment.json"])
    assert by_job["commit"] == environment["git"]["commit"]
    for key in ("device", "driver", "memory_bytes", "device_memory_bytes"):
        assert by_job[key] == environment[key]
    assert by_job["bytes"] == dict.fromkeys(ASSETS, 0), "nothing was made"


def test_an_edit_of_what_an_earlier_release_kept_is_no_edit_of_the_latest(made: Verdicts) -> None:
    made.make()
    (folder,) = (made.base / "tiny/releases").iterdir()
    (folder / "verdict.md").write_text("OK", encoding="utf-8")
    made.make()
    assert made.row(UNEDITED.name)["status"] == "passed"
    assert len(kept(made)) == 2


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


def test_cells_that_crash_for_one_reason_are_one_incident_and_others_are_their_own() -> None:
    same = [Outcome(f"splits[{name}]", "crashed", "no network") for name in "abc"]
    other = Outcome("splits[d]", "failed", "no room")
    assert incidents([*same, other, Outcome("splits[e]", "fresh", "")]) == [
        "splits[a] and 2 more cells crashed: no network",
        "splits[d] failed: no room",
    ]


def test_a_release_whose_verdict_cannot_be_written_says_why(made: Verdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "write_file", dies_after(0))
        result = made.release()
    said = str([event.step_failure_data.error for event in result.all_events if event.is_step_failure])
    assert not result.success
    assert "the verdict of study tiny was not written" in said
    assert "No space left on device" in said
