"""Artifacts in a folder, in memory and in S3: the same values under the same names, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.results.cells import PREDICTION_COLUMNS
from ta_assets.core.values import CellResult, Markdown, PooledProblem
from ta_resources.storage.artifacts import Activations, ArtifactStore
from ta_resources.storage.manifest import MANIFEST
from ta_resources.storage.objects import Objects, StoreFailedError
from ta_resources.storage.shards import ShardStore, StoredTokens, read_shard

ROOT = Path(__file__).resolve().parents[3]
SPANS = pd.DataFrame(
    {"problem_id": [1], "chunk_idx": [0], "token_start": [0], "token_end": [3], "token_count": [3]}, dtype="int64"
)
RECORD = {"extraction": {}, "block": 2, "blocks": [2], "d_model": 8, "shards": {}, "tokens": {}, "skipped": []}
PREDICTIONS = pd.DataFrame({name: [0.0] for name in PREDICTION_COLUMNS})
VALUES: Mapping[tuple[str, str], Any] = {
    ("table", "corpus"): pd.DataFrame({"problem_id": [1, 2], "score": [0.5, 1.0], "text": ["a|b", "ü"]}),
    ("notes", "setting"): {"train": [1, 2], "val": [3]},
    ("activations", "corpus"): Activations(SPANS, RECORD),
    ("probe_metrics", "3|pilot"): CellResult({"seed": 3}, PREDICTIONS, Markdown("# Cell\r\n\n| ü… |\n")),
}


def part(store: ArtifactStore, asset: str, partition: str, name: str) -> str:
    """Name of the file that holds a part of an artifact."""
    folder = store.folder(asset, partition)
    return store.files.part(folder, name, str(store.hashes(asset, partition)[f"{folder}/{name}"]))


def remove(store: ArtifactStore, name: str) -> None:
    if isinstance(store.files, Objects):
        store.files.system.rm_file(f"{store.files.root}/{name}")
    else:
        Path(store.files.place(name)).unlink()


def test_every_value_has_the_names_and_hashes_that_it_has_in_a_folder(anywhere: ArtifactStore, tmp_path: Path) -> None:
    folder = ArtifactStore(base_dir=str(tmp_path / "compared"))
    for key, value in VALUES.items():
        saved, expected = anywhere.save(*key, value), folder.save(*key, value)
        assert saved == expected
        assert anywhere.hashes(*key) == folder.hashes(*key) == saved.files
        assert anywhere.exists(*key)
        loaded, compared = anywhere.load(*key), folder.load(*key)
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(loaded, compared)
        elif isinstance(value, CellResult):
            assert (loaded.metrics, loaded.report) == (value.metrics, value.report)
            pd.testing.assert_frame_equal(loaded.predictions, compared.predictions)
        elif isinstance(value, Activations):
            assert loaded.record == value.record
        else:
            assert loaded == value


def test_only_a_folder_is_known_to_hold_something_without_a_request(anywhere: ArtifactStore) -> None:
    anywhere.save("notes", "setting", 1)
    assert anywhere.was_made("notes", "setting") == (not isinstance(anywhere.files, Objects))
    assert not anywhere.was_made("notes", "other")


def test_what_was_never_made_says_what_to_do(anywhere: ArtifactStore) -> None:
    assert not anywhere.exists("notes", "setting")
    assert anywhere.hashes("notes", "setting") == {}
    with pytest.raises(InputError, match="materialize notes first"):
        anywhere.load("notes", "setting")


def test_a_changed_or_a_missing_part_is_told_and_not_trusted(anywhere: ArtifactStore) -> None:
    recorded = anywhere.save("notes", "setting", {"train": [1]}).files
    name = part(anywhere, "notes", "setting", "value.json")
    anywhere.files.write(name, b'{"train": [2]}')
    with pytest.raises(InputError, match="materialize notes again"):
        anywhere.load("notes", "setting")
    changed = anywhere.hashes("notes", "setting")
    assert changed["notes/setting/value.json"] == hashlib.sha256(b'{"train": [2]}').hexdigest()
    remove(anywhere, name)
    with pytest.raises(InputError, match="found None"):
        anywhere.load("notes", "setting")
    assert anywhere.hashes("notes", "setting").get("notes/setting/value.json") is None
    anywhere.save("notes", "setting", {"train": [1]})
    assert anywhere.hashes("notes", "setting") == recorded


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", '{"kind": "Popen", "files": {}}', '{"kind": "value", "files": {"../../secret.json": "0"}}',
     '{"kind": "value", "files": {"value.json": "../../secret"}}'],
)  # fmt: skip
def test_a_forged_manifest_is_refused(memory: str, tmp_path: Path, manifest: str) -> None:
    store = ArtifactStore(base_dir=memory, local_dir=str(tmp_path))
    store.save("notes", "setting", {"train": [1]})
    store.files.write(f"notes/setting/{MANIFEST}", manifest.encode())
    with pytest.raises(InputError):
        store.load("notes", "setting")


def test_a_writer_that_dies_before_its_manifest_changes_nothing(
    objects: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects.save("notes", "setting", {"train": [1]}).files
    write = Objects.write

    def dies(self: Objects, name: str, content: bytes) -> None:
        if name.endswith(MANIFEST):
            raise KeyboardInterrupt
        write(self, name, content)

    with monkeypatch.context() as planted:
        planted.setattr(Objects, "write", dies)
        for name, value in (("setting", {"train": [2]}), ("setting", list(range(100))), ("another", 1)):
            with pytest.raises(KeyboardInterrupt):
                objects.save("notes", name, value)
    assert objects.load("notes", "setting") == {"train": [1]}
    assert objects.hashes("notes", "setting") == before
    assert not objects.exists("notes", "another")


def test_of_two_writers_at_once_the_last_counts_and_is_whole(objects: ArtifactStore) -> None:
    first, second = ({"train": [number]} for number in (1, 2))
    objects.save("notes", "setting", first)
    manifest = objects.files.read(f"notes/setting/{MANIFEST}")
    objects.save("notes", "setting", second)
    assert objects.load("notes", "setting") == second
    assert manifest is not None
    objects.files.write(f"notes/setting/{MANIFEST}", manifest)  # of the first, which is slow
    assert objects.load("notes", "setting") == first


def ragged(problem_id: int, counts: list[int]) -> PooledProblem:
    """A problem whose tokens are all stored."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    vectors = np.random.default_rng(problem_id).normal(size=(offsets[-1], 3)).astype(np.float16)
    return PooledProblem(
        problem_id, 2, vectors, np.stack([offsets[:-1], offsets[1:]], axis=1), int(offsets[-1]), "a b", offsets
    )


def test_shards_are_the_same_bytes_under_the_same_names(anywhere: ArtifactStore, tmp_path: Path) -> None:
    shards = ShardStore(anywhere.files, "f" * 64)
    name, given = shards.name(7, "a b", ["a", "b"]), ragged(7, [2, 1, 4])
    assert shards.find(name) is None
    shard = shards.write(name, given)
    assert shard == ShardStore(ArtifactStore(base_dir=str(tmp_path / "compared")).files, "f" * 64).write(name, given)
    assert anywhere.files.sizes([name, "shards/none"]).keys() == {name}
    found = shards.find(name)
    assert found is not None
    assert found[0] == shard
    assert read_shard(anywhere.files, shard).vectors.tobytes() == given.vectors.tobytes()
    tokens = StoredTokens(anywhere.files, {7: shard}, [(7, 2), (7, 0)])
    np.testing.assert_array_equal(tokens.of_row(0), given.of_sentence(2))
    np.testing.assert_array_equal(tokens.of_row(1), given.of_sentence(0))


def test_a_shard_that_was_changed_or_is_gone_is_named(anywhere: ArtifactStore) -> None:
    shards = ShardStore(anywhere.files, "f" * 64)
    shard = shards.write(shards.name(7, "a b", ["a", "b"]), ragged(7, [2, 1]))
    content = anywhere.files.read(shard.file)
    assert content is not None
    anywhere.files.write(shard.file, content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert shards.find(shard.file) is None
    with pytest.raises(InputError, match="materialize activations again") as caught:
        read_shard(anywhere.files, shard)
    assert caught.value.source == anywhere.files.place(shard.file)
    remove(anywhere, shard.file)
    with pytest.raises(InputError, match="found None"):
        read_shard(anywhere.files, shard)


def test_a_local_copy_has_the_hash_that_is_asked_for_or_is_made_again(objects: ArtifactStore) -> None:
    files, sha256 = objects.files, hashlib.sha256(b"content").hexdigest()
    with pytest.raises(InputError, match="found None"):
        files.local("a/b.safetensors", sha256)
    files.write("a/b.safetensors", b"content")
    copy = files.local("a/b.safetensors", sha256)
    assert copy.read_bytes() == b"content"
    copy.write_bytes(b"damaged")
    assert files.local("a/b.safetensors", sha256).read_bytes() == b"content"
    files.write("a/b.safetensors", b"another")
    assert files.local("a/b.safetensors", sha256) == copy, "what is named by its hash never grows old"
    copy.unlink()
    with pytest.raises(InputError, match=hashlib.sha256(b"another").hexdigest()):
        files.local("a/b.safetensors", sha256)
    assert not copy.exists()


def test_many_hashes_are_asked_for_at_once_and_tell_what_is_absent(anywhere: ArtifactStore) -> None:
    contents = {f"many/{number}": str(number).encode() for number in range(70)}
    for name, content in contents.items():
        anywhere.files.write(name, content)
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert anywhere.files.hashes([*contents, "many/none"]) == {**expected, "many/none": None}


@pytest.mark.parametrize(
    ("address", "field", "expected"),
    [
        ("ftp://host/folder", "address", "s3://"),
        ("s3://", "address", "s3://"),
        ("https://bucket.s3.amazonaws.com/x", "address", "a folder, or"),
        ("gs://bucket/x", "library", "pip install 'thought-anchor-probes[gs]'"),
    ],
)
def test_an_address_that_means_nothing_here_is_named(address: str, field: str, expected: str) -> None:
    with pytest.raises(InputError, match=field) as caught:
        _ = ArtifactStore(base_dir=address).files
    assert caught.value.source == address
    assert expected in caught.value.expected


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TA_ARTIFACTS", raising=False)
    assert ArtifactStore.configured().local_folder == tmp_path / "artifacts"
    monkeypatch.setenv("TA_ARTIFACTS", "memory://named")
    store = ArtifactStore.configured(recovers=False)
    assert store.place("notes", "1|a") == "memory://named/notes/a/1"
    assert store.local_folder == tmp_path / "artifacts"
    monkeypatch.setenv("TA_ARTIFACTS", f"file://{tmp_path}/elsewhere")
    assert ArtifactStore.configured().place("notes", "a") == str(tmp_path / "elsewhere/notes/a")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError("connection reset by peer"), "a store that answers"),
        (PermissionError("Access Denied"), "credentials that may"),
        (RuntimeError("a library's own error\nof two lines"), "a store that answers"),
    ],
)
def test_a_store_that_fails_is_named_on_one_line_and_never_taken_for_an_empty_one(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    store = ArtifactStore(base_dir=memory, local_dir=str(tmp_path))
    before = store.save("notes", "setting", {"train": [1]}).files
    shards = ShardStore(store.files, "f" * 64)
    shard = shards.write("shards/a", ragged(7, [2, 1]))
    system = type(shards.files.system) if isinstance(shards.files, Objects) else None
    assert system is not None

    def fails(*_: object, **__: object) -> None:
        raise error

    for method in ("info", "cat_file", "pipe_file", "ls"):
        monkeypatch.setattr(system, method, fails)
    asked: list[Callable[[], object]] = [
        store.files.check,
        lambda: store.exists("notes", "setting"),
        lambda: store.load("notes", "setting"),
        lambda: store.hashes("notes", "setting"),
        lambda: store.save("notes", "setting", {"train": [2]}),
        lambda: shards.find(shard.file),
        lambda: read_shard(store.files, shard),
        lambda: store.files.sizes([shard.file]),
        lambda: store.files.hashes([shard.file]),
    ]
    for ask in asked:
        with pytest.raises(StoreFailedError) as caught:
            ask()
        assert str(caught.value).startswith(f"{memory}/")
        assert expected in caught.value.expected
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert store.hashes("notes", "setting") == before
    store.save("notes", "setting", {"train": [2]})
    assert store.load("notes", "setting") == {"train": [2]}


class Refusing(BaseHTTPRequestHandler):
    """Answers every request as S3 answers one without rights."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = answer  # noqa: N815 - named by the library

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(s3_at: Callable[[str], None]) -> Iterator[str]:
    """URL of a bucket of others."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        s3_at(f"http://127.0.0.1:{server.server_port}")
        yield "s3://of-somebody-else/x"
        server.shutdown()


@pytest.mark.s3
def test_a_bucket_without_rights_is_named_with_what_is_needed(refusing: str, tmp_path: Path) -> None:
    store = ArtifactStore(base_dir=refusing, local_dir=str(tmp_path))
    with pytest.raises(StoreFailedError, match="credentials that may write there") as caught:
        store.files.check()
    assert caught.value.source.startswith(f"{refusing}/")
    with pytest.raises(StoreFailedError, match="credentials that may read there"):
        store.exists("notes", "setting")


@pytest.mark.s3
def test_a_bucket_that_does_not_exist_is_named(bucket: str, tmp_path: Path) -> None:
    ArtifactStore(base_dir=f"{bucket}/x", local_dir=str(tmp_path)).files.check()
    with pytest.raises(StoreFailedError, match="a bucket that exists"):
        ArtifactStore(base_dir=f"{bucket}-not/x", local_dir=str(tmp_path)).files.check()


SAVES_FOR_EVER = """
import sys
from ta_resources.storage.artifacts import ArtifactStore
store = ArtifactStore(base_dir=sys.argv[1], local_dir=sys.argv[2])
print("begun", flush=True)
for number in range(10**6):
    store.save("notes", "setting", {"number": number, "text": str(number) * 20_000})
"""


@pytest.mark.s3
def test_a_writer_that_is_killed_leaves_a_whole_artifact(bucket: str, tmp_path: Path) -> None:
    store = ArtifactStore(base_dir=bucket, local_dir=str(tmp_path))
    for wait in (0.05, 0.3):
        command = [sys.executable, "-c", SAVES_FOR_EVER, bucket, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(wait)
            process.kill()
        if store.exists("notes", "setting"):
            value = store.load("notes", "setting")
            assert value["text"] == str(value["number"]) * 20_000
    store.save("notes", "setting", {"number": -1})
    assert store.load("notes", "setting") == {"number": -1}
    assert json.dumps(store.hashes("notes", "setting"))
