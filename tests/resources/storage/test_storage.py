"""Artifacts on disk: whole or absent, verified when read."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pandas as pd
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.results.cells import PREDICTION_COLUMNS
from ta_assets.core.values import CellResult, Markdown
from ta_resources.processes import host
from ta_resources.storage import atomic
from ta_resources.storage.artifacts import Activations, ArtifactStore
from ta_resources.storage.manifest import MANIFEST

SPANS = pd.DataFrame(
    {"problem_id": [1], "chunk_idx": [0], "token_start": [0], "token_end": [3], "token_count": [3]}, dtype="int64"
)
RECORD = {"extraction": {}, "block": 2, "blocks": [2], "d_model": 8, "shards": {}, "tokens": {}, "skipped": []}
PREDICTIONS = pd.DataFrame({name: [0.0] for name in PREDICTION_COLUMNS})


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(base_dir=str(tmp_path))


def left_by_a_dead_process(path: Path, mark: str) -> Path:
    """A name beside ``path`` as a killed writer leaves it: this pid, but started at another time."""
    return path.with_name(f"{path.name}{mark}{'0' * 32}@{os.getpid()}_1@{host()}")


def test_a_table_comes_back_as_it_was(store: ArtifactStore) -> None:
    table = pd.DataFrame({"problem_id": [1, 2], "score": [0.5, 1.0], "text": ["a|b", "ü"]})
    store.save("notes", "corpus", table)
    pd.testing.assert_frame_equal(store.load("notes", "corpus"), table)


def test_json_comes_back_as_it_was(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1, 2], "val": [3]})
    assert store.load("notes", "setting") == {"train": [1, 2], "val": [3]}


def test_a_record_comes_back_as_its_class(store: ArtifactStore) -> None:
    value = Activations(SPANS, RECORD)
    store.save("activations", "corpus", value)
    loaded = store.load("activations", "corpus")
    assert isinstance(loaded, Activations)
    assert loaded.record == value.record


def test_a_report_lies_beside_its_cell_as_markdown(store: ArtifactStore) -> None:
    report = Markdown("# Cell\r\n\n| a |\n| --- |\n| ü… |\n")
    store.save("probe_metrics", "3|pilot", CellResult({"seed": 3}, PREDICTIONS, report))
    path = Path(store.place("probe_metrics", "3|pilot")) / "report.md"
    assert path.read_bytes() == report.encode()
    loaded = store.load("probe_metrics", "3|pilot").report
    assert isinstance(loaded, Markdown)
    assert loaded == report
    path.write_text("edited", encoding="utf-8")
    with pytest.raises(InputError, match="sha256"):
        store.load("probe_metrics", "3|pilot")


def test_equal_values_are_equal_bytes(store: ArtifactStore) -> None:
    table = pd.DataFrame({"a": [1.5, 2.5]})
    store.save("x", "1", table)
    first = store.hashes("x", "1")
    store.save("x", "1", table)
    assert store.hashes("x", "1") == first


def test_a_cell_lies_below_its_setting(store: ArtifactStore) -> None:
    assert store.folder("probe_metrics", "3|full") == "probe_metrics/full/3"


def test_nan_is_refused_rather_than_written(store: ArtifactStore) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.save("x", "1", {"a": float("nan")})
    assert not store.exists("x", "1")


def test_what_was_never_made_says_what_to_do(store: ArtifactStore) -> None:
    with pytest.raises(InputError, match="materialize notes first"):
        store.load("notes", "setting")


def test_a_changed_file_is_not_trusted(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1]})
    (Path(store.place("notes", "setting")) / "value.json").write_text('{"train": [2]}', encoding="utf-8")
    with pytest.raises(InputError, match="materialize notes again"):
        store.load("notes", "setting")


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"kind": "Popen", "files": {}}', '{"kind": "value", "files": {"../../secret.json": "0"}}'],
)
def test_a_forged_manifest_is_refused(store: ArtifactStore, manifest: str) -> None:
    store.save("notes", "setting", {"train": [1]})
    (Path(store.place("notes", "setting")) / MANIFEST).write_text(manifest, encoding="utf-8")
    with pytest.raises(InputError):
        store.load("notes", "setting")


def test_an_interrupted_write_leaves_the_old_artifact(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save("notes", "setting", {"train": [1]})
    calls = []

    def dies_between_the_renames(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", dies_between_the_renames)
    with pytest.raises(KeyboardInterrupt):
        store.save("notes", "setting", {"train": [2]})
    monkeypatch.undo()
    assert store.load("notes", "setting") == {"train": [1]}


def test_a_kill_between_the_renames_is_undone_by_the_next_reader(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1]})
    folder = Path(store.place("notes", "setting"))
    folder.rename(left_by_a_dead_process(folder, atomic.REPLACED))
    assert store.load("notes", "setting") == {"train": [1]}


def test_a_reader_that_does_not_recover_leaves_the_disk_as_it_is(store: ArtifactStore) -> None:
    store.save("notes", "a", {"b": 1})
    folder = Path(store.place("notes", "a"))
    aside = left_by_a_dead_process(folder, atomic.REPLACED)
    folder.rename(aside)
    looking = ArtifactStore(base_dir=str(store.local_folder), recovers=False)
    assert not looking.exists("notes", "a")
    assert looking.hashes("notes", "a") == {}
    assert aside.is_dir()
    assert store.exists("notes", "a")
    assert looking.load("notes", "a") == {"b": 1}


def test_what_a_living_writer_moved_aside_is_left_to_it(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1]})
    folder = Path(store.place("notes", "setting"))
    aside = left_by_a_dead_process(folder, atomic.REPLACED)
    living = aside.with_name(aside.name.replace(f"@{os.getpid()}_1@", f"@{os.getppid()}_{start_of(os.getppid())}@"))
    folder.rename(living)
    assert not store.exists("notes", "setting")
    assert atomic.clear_abandoned(store.local_folder) == []
    assert living.is_dir()


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]


def test_unfinished_folders_are_never_read(store: ArtifactStore) -> None:
    folder = Path(store.place("notes", "setting"))
    unfinished = left_by_a_dead_process(folder, atomic.UNFINISHED)
    unfinished.mkdir(parents=True)
    (unfinished / MANIFEST).write_text(json.dumps({"kind": "value", "files": {}}), encoding="utf-8")
    assert not store.exists("notes", "setting")


def test_a_kill_after_the_second_rename_cannot_bring_back_what_was_replaced(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [2]})
    folder = Path(store.place("notes", "setting"))
    aside = left_by_a_dead_process(folder, atomic.REPLACED)
    aside.mkdir()
    (aside / MANIFEST).write_text("of the artifact before", encoding="utf-8")
    store.save("notes", "setting", {"train": [3]})
    assert not aside.exists()
    assert store.load("notes", "setting") == {"train": [3]}


def test_what_dead_processes_left_is_removed_or_put_back(store: ArtifactStore) -> None:
    for name, value in (("a", 1), ("b", 2)):
        store.save("notes", name, value)
    shard = store.local_folder / "shards/x/problem_1.safetensors"
    atomic.write_file(shard, b"whole")
    unfinished = [left_by_a_dead_process(path, atomic.UNFINISHED) for path in (shard, Path(store.place("notes", "c")))]
    unfinished[0].write_bytes(b"half")
    unfinished[1].mkdir()
    Path(store.place("notes", "a")).rename(left_by_a_dead_process(Path(store.place("notes", "a")), atomic.REPLACED))
    replaced = left_by_a_dead_process(Path(store.place("notes", "b")), atomic.REPLACED)
    replaced.mkdir()
    foreign = shard.with_name(f"mine{atomic.UNFINISHED}draft")
    foreign.write_bytes(b"of somebody else")
    assert len(atomic.clear_abandoned(store.local_folder)) == 4
    left = sorted(path.name for path in store.local_folder.rglob("*") if path.is_file())
    assert left == sorted([MANIFEST, "value.json"] * 2 + [shard.name, foreign.name])
    assert store.load("notes", "a") == 1


def test_a_disk_that_takes_no_more_is_named_and_keeps_what_was_stored(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1]})
    folder = Path(store.place("notes", "setting"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # the system's own refusal, as of a quota
    try:
        store.save("notes", "setting", {"train": [2]})
        with pytest.raises(InputError, match=r"room for it.*is kept") as caught:
            store.save("notes", "setting", {"train": list(range(2000))})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.source == str(folder)
    assert store.load("notes", "setting") == {"train": [2]}
    assert [path.name for path in folder.parent.iterdir()] == ["setting"]


def test_hashes_tell_missing_from_changed(store: ArtifactStore) -> None:
    store.save("notes", "setting", {"train": [1]})
    before = store.hashes("notes", "setting")
    (Path(store.place("notes", "setting")) / "value.json").unlink()
    after = store.hashes("notes", "setting")
    assert set(before) - set(after) == {"notes/setting/value.json"}
