"""A Postgres server of the tests' own, as Debian's package ``postgresql`` has it; without one, its tests skip."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BINARIES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"))
FAST = "-c fsync=off -c synchronous_commit=off -c shared_buffers=32MB -c max_connections=60"
"""Nobody cuts the power of a test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need the server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.postgres)


@dataclass(frozen=True)
class Server:
    """A server that listens on the loopback."""

    binaries: Path
    folder: Path
    port: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of Postgres' commands as the user who may."""
        return subprocess.run(
            [*_as_user(), str(self.binaries / command[0]), *command[1:]],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    def start(self) -> None:
        """Start it, or start it again."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} {FAST}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it and every connection."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "stop")

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "ta", name)
        return f"postgresql://ta:secret@127.0.0.1:{self.port}/{name}"


def _as_user() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    pytest.importorskip("dagster_postgres", reason="the extra postgres is not installed")
    binaries = next((folder for folder in BINARIES if (folder / "initdb").is_file()), None)
    if binaries is None:
        pytest.skip("no Postgres server is installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    made = Server(binaries, folder, free_port())
    made.run("initdb", "-A", "trust", "-U", "ta", "-N", "-D", str(folder / "data"))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(server: Server) -> str:
    return server.database()
