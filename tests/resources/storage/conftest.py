"""Stores of each kind: a folder, an object store in memory, and S3 as moto's server plays it."""

from __future__ import annotations

import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ta_resources.storage.artifacts import ArtifactStore

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture
def s3_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets S3's client ask an address; it keeps what it was made with, so it is made anew."""
    s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")

    def speak(endpoint: str) -> None:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()

    return speak


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a server that plays S3."""
    server = pytest.importorskip("moto.server", reason="moto's server is not installed: the extra s3-test")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(s3_at: Callable[[str], None], s3_server: str) -> str:
    """URL of an empty bucket."""
    s3_at(s3_server)
    name = f"bucket-{uuid.uuid4().hex}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT")).close()
    return f"s3://{name}"


@pytest.fixture
def memory() -> str:
    """URL of an empty store in memory."""
    return f"memory://{uuid.uuid4().hex}"


def store_at(address: str, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(base_dir=address, local_dir=str(tmp_path / "local"))


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """An object store of each kind."""
    kind = request.param
    address = request.getfixturevalue("memory" if kind == "memory" else "bucket")
    return store_at(f"{address}/of/a/study", tmp_path)


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A store of each kind."""
    if request.param == "folder":
        return store_at(str(tmp_path / "artifacts"), tmp_path)
    address = request.getfixturevalue("memory" if request.param == "memory" else "bucket")
    return store_at(f"{address}/of/a/study", tmp_path)
