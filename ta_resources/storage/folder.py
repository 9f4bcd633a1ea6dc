"""Artifacts in a folder of this machine: written beside their place, flushed and renamed into it (``atomic.py``).

An artifact is a folder that holds its parts and the manifest, and is replaced as one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_resources.storage.atomic import recover_folder, sha256_of, write_file, write_folder
from ta_resources.storage.manifest import MANIFEST


@dataclass(frozen=True)
class Folder:
    """``Files`` below a folder."""

    base: Path
    """Absolute."""
    recovers: bool = True
    """Put back what an interrupted write moved aside; without it, reading leaves the disk as it is."""

    def place(self, name: str) -> str:
        """The path."""
        return str(self.base / name)

    def name_of(self, place: str) -> str | None:
        """The path relative to the base."""
        path = Path(place)
        return path.relative_to(self.base).as_posix() if path.is_relative_to(self.base) else None

    def check(self) -> None:
        """Asks nothing: whether the folder may be written, the lock of a release finds out."""

    def exists(self, name: str) -> bool:
        """Whether there is a regular file."""
        return (self.base / name).is_file()

    def read(self, name: str) -> bytes | None:
        """The content of a regular file; a pipe would be waited for."""
        path = self.base / name
        if not path.is_file():
            return None
        try:
            return path.read_bytes()
        except FileNotFoundError:  # gone in between
            return None
        except OSError as error:
            raise InputError(path, "file", error.strerror, "a file that may be read") from error

    def write(self, name: str, content: bytes) -> None:
        """Written beside its place, then renamed."""
        write_file(self.base / name, content)

    def hashes(self, names: Sequence[str]) -> dict[str, str | None]:
        """Of the files on the disk."""
        paths = {name: self.base / name for name in names}
        return {name: sha256_of(path) if path.is_file() else None for name, path in paths.items()}

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Of the files on the disk."""
        paths = {name: self.base / name for name in names}
        return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}

    def local(self, name: str, sha256: str) -> Path:
        """The file itself; whoever maps it has read it whole before, and compared its hash then."""
        path = self.base / name
        if not path.is_file():
            raise InputError(path, "file", None, f"a file of SHA-256 {sha256}")
        return path

    def free_bytes(self) -> int | None:
        """Room on the disk of the base, which need not exist yet."""
        folder = self.base
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def put(self, folder: str, parts: Mapping[str, bytes], manifest: bytes) -> None:
        """The whole folder is renamed into its place."""
        write_folder(self.base / folder, {**parts, MANIFEST: manifest})

    def settle(self, folder: str) -> None:
        """Puts the folder back that a killed writer had moved aside."""
        if self.recovers:
            recover_folder(self.base / folder)

    def has_folder(self, folder: str) -> bool:
        """Whether the folder is there."""
        return (self.base / folder).is_dir()

    def part(self, folder: str, part: str, sha256: str) -> str:
        """Each part under its own name."""
        return f"{folder}/{part}"

    def hashes_of_parts(self, folder: str, parts: Mapping[str, str]) -> dict[str, str | None]:
        """Of everything that lies in the folder, whatever the manifest says."""
        path = self.base / folder
        return self.hashes([f"{folder}/{one.name}" for one in sorted(path.iterdir())] if path.is_dir() else [])
