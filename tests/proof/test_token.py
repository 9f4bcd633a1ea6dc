"""A token that the Hub is asked with is in nothing that is written, be the Hub's answers good or bad."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.assets.conftest import TinyWorld, build_world, write_model
from tests.resources.hub_stand_in import HubStandIn

TOKEN = "hf_canaryOfTheTokenTest0123456789"
NEEDLES = tuple(TOKEN.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


@dataclass(frozen=True)
class Asked:
    """A release that read its dataset and its model from a Hub, with a token in the environment."""

    world: TinyWorld
    output: str
    code: int
    with_token: list[str]
    """Paths of the requests that carried the token."""


def release(folder: Path, *faults: tuple[str, int, int]) -> Asked:
    """Release a tiny study from a Hub that answers so many requests, whose path has this part, with a status."""
    write_model(folder / "model")
    world = build_world(folder, folder / "model", compute_logs=True)
    data = world.folder / "data"
    files = {path.relative_to(data).as_posix(): path.read_bytes() for path in data.rglob("*.json")}
    model = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    for name in ("data", "model"):
        (folder / name).rename(folder / f"moved_{name}")  # it is the Hub's, or it is nowhere
    with HubStandIn(files=files, model_files=model) as hub, pytest.MonkeyPatch.context() as patch:
        world.change_study(
            dataset={"repo_id": hub.repo_id},
            models={"tiny": {"folder": "tiny", "language_model": hub.model_id}},
            settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}},
        )
        for part, status, times in faults:
            hub.fail(part, "status", status=status, times=times)
        for name, value in {
            "HF_TOKEN": TOKEN,
            "HUGGING_FACE_HUB_TOKEN": TOKEN,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(folder / "hub"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        done = world.release()
        carried = [one.path for one in hub.requests if TOKEN in one.headers.get("authorization", "")]
    return Asked(world, done.stdout + done.stderr, done.returncode, carried)


def places_of_the_token(folder: Path) -> list[str]:
    """Files that hold the token, as text or in a database, where Dagster also keeps what it compressed."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and any(needle in content for content in contents(path) for needle in NEEDLES):
            found.append(path.relative_to(folder).as_posix())
    return found


def contents(path: Path) -> Iterator[bytes]:
    """The file, and every cell of a database, also unpacked."""
    yield path.read_bytes()
    if path.suffix != ".db":
        return
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    raw = cell if isinstance(cell, bytes) else str(cell).encode()
                    yield raw
                    with contextlib.suppress(zlib.error):
                        yield zlib.decompress(raw)


def test_the_search_finds_a_token_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "healthy.txt").write_text("hf_another", encoding="utf-8")
    (tmp_path / "logs/plain.txt").write_text(f"Bearer {TOKEN}", encoding="utf-8")
    (tmp_path / "logs/wide.txt").write_text(TOKEN, encoding="utf-16")
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as database:
        database.execute("CREATE TABLE snapshots (body BLOB)")
        database.execute("INSERT INTO snapshots VALUES (?)", (zlib.compress(f"{{{TOKEN!r}: 1}}".encode()),))
        database.commit()
    assert places_of_the_token(tmp_path) == ["logs/plain.txt", "logs/wide.txt", "runs.db"]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """The Hub fails once at each kind of request for the dataset, which is a line of the log."""
    faults = [("/revision/", 503, 1), ("/tree/", 503, 1), ("problem_2/", 503, 1)]
    return release(tmp_path_factory.mktemp("token"), *faults)


def test_a_token_is_sent_and_written_nowhere(healthy: Asked) -> None:
    assert healthy.world.rows(name="made", asset="probe_metrics", partition="0|tiny_correct")[0]["status"] == "passed"
    for part in ("/api/datasets/", "/datasets/someone/rollouts/resolve/", "/someone/tiny/resolve/"):
        assert any(path.startswith(part) for path in healthy.with_token), f"no request for {part} carried the token"
    assert "HTTP 503; attempt 1 of" in healthy.output
    assert TOKEN not in healthy.output
    assert places_of_the_token(healthy.world.folder) == []
    written = {path.relative_to(healthy.world.folder).parts[0] for path in healthy.world.folder.rglob("*.*")}
    assert {".dagster", "artifacts", "hub"} <= written
    assert list(healthy.world.folder.rglob(".dagster/**/*.db")), "Dagster's storage was looked at"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("/api/datasets/", "a dataset that you may read"),
        ("/someone/tiny/", "a token that is valid and may read the model"),
    ],
)
def test_a_token_that_is_refused_is_written_nowhere(tmp_path: Path, part: str, said: str) -> None:
    asked = release(tmp_path, (part, 401, 10_000))
    assert any(path.startswith(part) for path in asked.with_token), "the refused request carried the token"
    assert said in asked.output
    assert TOKEN not in asked.output
    assert places_of_the_token(asked.world.folder) == []
