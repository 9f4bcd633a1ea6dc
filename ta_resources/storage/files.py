"""Where artifacts lie: one interface, a folder of this machine or an object store behind it.

Everything is named by its place below one base, as ``splits/pilot/value.json``. Belongs here: what both can do, and
which of them an address means. Stays out: how they do it (``folder.py``, ``objects.py``); what is stored
(``artifacts.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ta_resources.storage.folder import Folder
from ta_resources.storage.objects import Objects

FILE = "file://"


class Files(Protocol):
    """Whole files by name; whoever has this needs no path.

    Every method may raise InputError where the disk or the store refuses, naming the place and what is expected of it.
    """

    def place(self, name: str) -> str:
        """Path or URL of a name, for people."""
        ...

    def name_of(self, place: str) -> str | None:
        """The name that a path or URL stands for; None outside of the base."""
        ...

    def check(self) -> None:
        """Raise InputError unless files can be read and written; what a job asks before it makes anything."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        ...

    def read(self, name: str) -> bytes | None:
        """The whole content; None where there is no such file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place as a whole: readers see what was there before or this, never a part."""
        ...

    def hashes(self, names: Sequence[str]) -> dict[str, str | None]:
        """Hex SHA-256 of each file's content as it lies there now; None where there is no such file."""
        ...

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Bytes of each file that is there."""
        ...

    def local(self, name: str, sha256: str) -> Path:
        """A file of this machine with that content, for libraries that map one into memory.

        Raises:
            InputError: there is no such file, or an object has another hash.
        """
        ...

    def free_bytes(self) -> int | None:
        """Room that is left; None where nobody knows."""
        ...

    def put(self, folder: str, parts: Mapping[str, bytes], manifest: bytes) -> None:
        """Replace an artifact as a whole, whose manifest names its parts: a kill leaves the one before, or this."""
        ...

    def settle(self, folder: str) -> None:
        """Undo what a killed ``put`` left half done, where that can happen."""
        ...

    def has_folder(self, folder: str) -> bool:
        """Whether something lies there, where that can be said without a request."""
        ...

    def part(self, folder: str, part: str, sha256: str) -> str:
        """Name of the file that holds a part of an artifact, by its manifest."""
        ...

    def hashes_of_parts(self, folder: str, parts: Mapping[str, str]) -> dict[str, str | None]:
        """As ``hashes`` for an artifact: of its manifest, its parts, and whatever else lies among them.

        Args:
            folder: of the artifact.
            parts: part -> hash, as the manifest has it; empty where that cannot be read.

        Returns:
            ``folder/part`` -> hash, wherever the part lies.
        """
        ...


def folder_of(address: str) -> Path | None:
    """The folder that an address names; None where it is a URL of an object store."""
    path = address.removeprefix(FILE)
    return None if "://" in path else Path(path)


def files_at(address: str, copies: Path, *, recovers: bool) -> Files:
    """The files below an address.

    Args:
        address: a folder, relative to the current directory; or a URL.
        copies: folder of this machine that receives copies of objects.
        recovers: see ``Folder``.

    Raises:
        InputError: a URL of an unknown kind, or its library is not installed.
    """
    folder = folder_of(address)
    return Objects.at(address, copies) if folder is None else Folder(folder.resolve(), recovers)
