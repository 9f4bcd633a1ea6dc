"""Files and folders that are either complete or not there: written beside their place, flushed, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

UNFINISHED = ".unfinished-"
REPLACED = ".replaced-"


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole; readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}{UNFINISHED}{uuid.uuid4().hex}")
    try:
        _write_flushed(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder as a whole by flat files.

    A folder cannot be renamed onto a full one, so the old one steps aside first; ``recover_folder`` undoes an
    interruption between the two renames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(path)
    mark = uuid.uuid4().hex
    temporary = path.with_name(f"{path.name}{UNFINISHED}{mark}")
    aside = path.with_name(f"{path.name}{REPLACED}{mark}")
    temporary.mkdir()
    try:
        for name, content in files.items():
            _write_flushed(temporary / name, content)
        _flush_folder(temporary)
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        recover_folder(path)
        raise
    _flush_folder(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back the folder that an interrupted ``write_folder`` had moved aside."""
    if path.exists():
        return
    for aside in leftovers(path, REPLACED):
        aside.rename(path)
        return


def leftovers(path: Path, mark: str) -> Iterator[Path]:
    """What interrupted writes of ``path`` left beside it."""
    return path.parent.glob(f"{path.name}{mark}*") if path.parent.is_dir() else iter(())


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
