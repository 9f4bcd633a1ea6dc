"""Rollouts on disk: append-only parts of parquet, each whole or not there.

A part holds some consecutive rollouts of one key (``records.key_of``: model, tokenizer, prefix, sampling). Its name
says which, so that what is missing is known from names alone, and no rollout is ever in two parts. Several processes
may share a store. Belongs here: layout, locks, reading with checks. Stays out: sampling (``run``).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ta_assets.core.campaign.records import Completion, Drawn, FinishReason
from ta_assets.core.campaign.seeds import seed_of
from ta_assets.core.errors import InputError, in_short
from ta_resources.storage.atomic import clear_abandoned, sha256_of, write_file

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("generated_tokens", pa.int64(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
    ]
)
KEY = b"thought_anchors.key"
LOCKS = ".locks"
_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"(\d{10})-(\d{10})\.parquet")


@dataclass(frozen=True)
class PartFile:
    """A stored part."""

    path: Path
    first: int
    end: int
    """One more than the number of its last rollout."""


class Parts:
    """A store of rollouts below one folder."""

    def __init__(self, root: Path) -> None:
        """Open a store, which need not exist; what dead writers left unfinished is removed.

        Raises:
            InputError: the folder may not be written.
        """
        self.root = root
        clear_abandoned(root)

    def parts(self, key: str) -> list[PartFile]:
        """The parts of a key, by their first rollout."""
        found = []
        for path in self._folder(key).glob("*.parquet"):
            match = _PART.fullmatch(path.name)
            if match is None:
                raise InputError(path, "name", path.name, "FIRST-END.parquet, each ten digits")
            found.append(PartFile(path, int(match[1]), int(match[2])))
        return sorted(found, key=lambda part: part.first)

    def missing(self, key: str, first: int, end: int) -> list[tuple[int, int]]:
        """Half-open ranges of numbers in [first, end) that no part holds."""
        gaps, cursor = [], first
        for part in self.parts(key):
            if part.end <= cursor or part.first >= end:
                continue
            if part.first > cursor:
                gaps.append((cursor, part.first))
            cursor = part.end
        return [*gaps, (cursor, end)] if cursor < end else gaps

    def read(self, key: str, first: int, end: int) -> list[Drawn]:
        """The stored rollouts with numbers in [first, end), in order; those that are missing are left out.

        Raises:
            InputError: a part that was changed: another schema or key, other numbers than its name, a seed that is not
                that of its number.
        """
        wanted = [part for part in self.parts(key) if part.first < end and part.end > first]
        return [one for part in wanted for one in _rollouts(part, key) if first <= one.index < end]

    def write(self, key: str, rollouts: Sequence[Drawn]) -> int:
        """Store consecutive rollouts; those that another process stored in the meantime are left as they are.

        Returns:
            How many were stored.

        Raises:
            InputError: the disk is full or may not be written.
        """
        first = rollouts[0].index
        if [one.index for one in rollouts] != list(range(first, first + len(rollouts))):
            raise ValueError("rollouts of a part are consecutive")
        stored = 0
        with FileLock(self._lock(key, "write")):
            for low, high in self.missing(key, first, first + len(rollouts)):
                content = _parquet(key, rollouts[low - first : high - first])
                write_file(self._folder(key) / f"{low:010d}-{high:010d}.parquet", content)
                stored += high - low
        return stored

    @contextmanager
    def claimed(self, key: str, first: int, *, wait: bool) -> Iterator[bool]:
        """Whether this process alone, of all that share the store, makes the rollouts of a key from a number on.

        The operating system ends the claim of a process that dies.

        Args:
            key: of the rollouts.
            first: number of the first one.
            wait: whether to wait for a process that is at it; else the answer is no.
        """
        lock = FileLock(self._lock(key, f"{first:010d}"))
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def files(self) -> list[tuple[str, str]]:
        """Relative path and SHA-256 of every part, sorted."""
        paths = sorted(path for path in self.root.glob("??/*/*.parquet") if _PART.fullmatch(path.name))
        return [(path.relative_to(self.root).as_posix(), sha256_of(path)) for path in paths]

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self.root / key[:2] / key

    def _lock(self, key: str, name: str) -> Path:
        folder = self.root / LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{key[:32]}-{name}.lock"


def _parquet(key: str, rollouts: Sequence[Drawn]) -> bytes:
    rows = [
        {
            "index": one.index,
            "seed": one.seed,
            "token_ids": list(one.completion.token_ids),
            "text": one.completion.text,
            "finish_reason": str(one.completion.finish_reason),
            "prompt_tokens": one.completion.prompt_tokens,
            "generated_tokens": one.completion.generated_tokens,
            "error": one.completion.error,
        }
        for one in rollouts
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({KEY: key.encode()}))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _rollouts(part: PartFile, key: str) -> list[Drawn]:
    """The rollouts of a part, held against its name and its key."""
    try:
        table = pq.read_table(part.path, schema=None)
    except (pa.ArrowException, OSError) as error:
        raise InputError(part.path, "file", in_short(error), "a whole part of rollouts") from error
    if not table.schema.equals(SCHEMA) or (table.schema.metadata or {}).get(KEY) != key.encode():
        raise InputError(part.path, "schema", table.schema.names, f"the columns of a part of key {key[:12]}…")
    found = [_drawn(row) for row in table.to_pylist()]
    if [one.index for one in found] != list(range(part.first, part.end)):
        raise InputError(part.path, "index", len(found), f"rollouts {part.first} to {part.end - 1}, as its name says")
    for one in found:
        if one.seed != seed_of(key, one.index):
            raise InputError(part.path, f"[{one.index}].seed", one.seed, "the seed of its key and number")
    return found


def _drawn(row: dict[str, Any]) -> Drawn:
    completion = Completion(
        token_ids=tuple(row["token_ids"]),
        text=row["text"],
        finish_reason=FinishReason(row["finish_reason"]),
        prompt_tokens=row["prompt_tokens"],
        generated_tokens=row["generated_tokens"],
        error=row["error"],
    )
    return Drawn(row["index"], row["seed"], completion)
