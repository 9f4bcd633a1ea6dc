"""Files and folders that are either complete or not there: written beside their place, flushed, then renamed.

Belongs here: how things are written, and what becomes of writes whose process died. Stays out: what is written.

Whatever lies beside its place carries the name of its writer: only a dead one's is ever touched, since a living one
is still at it.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_resources.processes import host, is_dead, own_process

UNFINISHED = ".unfinished-"
REPLACED = ".replaced-"
_MARKED = re.compile(rf"^(.+)({re.escape(UNFINISHED)}|{re.escape(REPLACED)})[0-9a-f]{{32}}@(\d+(?:_\d+)?)@(.*)$")
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_ALLOWED = {errno.EROFS, errno.EACCES, errno.EPERM}


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, expected: str = "a readable UTF-8 file", most_bytes: float = math.inf) -> str:
    """The whole text of a file, its line ends as they are.

    Raises:
        InputError: no regular file (a pipe would be waited for), one that may not be read or is larger, or no UTF-8.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(path, "file", "no regular file", expected)
        size = path.stat().st_size
        if size > most_bytes:
            raise InputError(path, "file", f"{size} bytes", f"{expected} of at most {most_bytes} bytes")
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "file", type(error).__name__, f"{expected} ({error})") from None


def write_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole; readers see the old content or the new, never a part.

    Raises:
        InputError: the disk is full or may not be written; what was there is still there.
    """
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path, UNFINISHED)
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

    Raises:
        InputError: the disk is full or may not be written; what was there is still there.
    """
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _settle_all(path)  # else a later recovery would have two to choose from
        temporary, aside = beside(path, UNFINISHED), beside(path, REPLACED)
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
    if not path.exists():  # asked for often, and listing the parent takes its time
        _settle_all(path)


def clear_abandoned(folder: Path, pattern: str = "**/*") -> list[Path]:
    """Remove what dead processes left unfinished in a folder, and put back what they had moved aside.

    Args:
        folder: where; need not exist.
        pattern: which files and folders, as ``Path.glob`` takes it; by default all below the folder.

    Returns:
        What was removed or put back.

    Raises:
        InputError: the folder may not be written.
    """
    found = [*_abandoned(folder, f"{pattern}{UNFINISHED}*"), *_abandoned(folder, f"{pattern}{REPLACED}*")]
    with _clear_errors(folder):
        for path in found:
            name, mark = _marked(path)[:2]
            if mark == REPLACED:
                _settle(path, path.with_name(name))
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return found


def beside(path: Path, mark: str) -> Path:
    """A name beside a path for this process alone; ``mark`` is ``UNFINISHED`` or ``REPLACED``."""
    return path.with_name(f"{path.name}{mark}{uuid.uuid4().hex}@{own_process().replace(':', '_')}@{host()}")


def cannot_write(path: Path, error: OSError) -> InputError:
    """What an error of the disk means to whoever started the command."""
    if error.errno in NO_ROOM:
        expected = "a disk with room for it: free some"
    elif error.errno in NOT_ALLOWED:
        expected = "a folder that may be written: change its rights or how it is mounted, or use another one"
    else:
        expected = "a disk that takes it"
    expected += "; then start the command again, what is stored already is kept"
    return InputError(path, "write", error.strerror or str(error), expected)


def _settle_all(path: Path) -> None:
    for aside in _abandoned(path.parent, f"{glob.escape(path.name)}{REPLACED}*"):
        _settle(aside, path)


def _settle(aside: Path, path: Path) -> None:
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError):  # somebody else put it back in the meantime
        aside.rename(path)


def _abandoned(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern and whose writer is dead, or this process, which is not writing now."""
    found = sorted(folder.glob(pattern)) if folder.is_dir() else []
    return [path for path in found if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    _, mark, process, owner = _marked(path)
    return bool(mark) and (process == own_process() or is_dead(owner, process))


def _marked(path: Path) -> tuple[str, str, str, str]:
    """Name of the place, mark, process and host; all empty where the name is not one of ``beside``."""
    match = _MARKED.match(path.name)
    if match is None:
        return "", "", "", ""
    name, mark, process, owner = match.groups()
    return name, mark, process.replace("_", ":"), owner


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


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
