"""Artifacts in an object store, by fsspec: an object appears as a whole or not at all, and nothing can be renamed.

So a part of an artifact is an object whose name holds its hash and which is never changed, and the manifest, put last,
says which parts count: ``splits/pilot/<sha256>/value.json`` and ``splits/pilot/manifest.json``. A writer that is killed
leaves parts that nobody names; of two writers the last manifest counts, and its parts are its own. Parts that a newer
manifest no longer names stay: who reads the older one at this moment needs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_assets.core.errors import InputError, in_short
from ta_resources.storage.atomic import sha256_of, write_file
from ta_resources.storage.manifest import MANIFEST

LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "memory": "fsspec"}
"""Kind of URL -> the package that fsspec needs for it; ``memory`` lasts as long as the process."""
PROBE = ".writable"
"""An empty object that shows whether a job may write."""
AT_ONCE = 16
"""Objects that are read together, and so held in memory."""


class StoreFailedError(InputError):
    """The store gave no answer, or refused: of what it holds nothing is known, least of all that it is not there."""


@dataclass(frozen=True)
class Objects:
    """``Files`` below a URL."""

    url: str
    """Without a slash at its end."""
    copies: Path
    """Folder of this machine for copies, named by their hash; may be removed at any time."""
    system: Any
    """File system of fsspec, which keeps no listing: other processes write, too."""
    root: str
    """The URL as the file system names it."""

    @classmethod
    def at(cls, url: str, copies: Path) -> Objects:
        """The objects below a URL; sends no request.

        Raises:
            InputError: a URL of an unknown kind or without a bucket, or its library is not installed.
        """
        from fsspec.core import url_to_fs

        kind, _, rest = url.partition("://")
        if kind not in LIBRARIES or not rest.strip("/"):
            raise InputError(url, "address", url, f"a folder, or {', '.join(f'{one}://...' for one in LIBRARIES)}")
        try:
            system, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            expected = f"the package {LIBRARIES[kind]}: pip install 'thought-anchor-probes[{kind}]'"
            raise InputError(url, "library", str(error), expected) from error
        except Exception as error:  # what a library finds wrong with its own settings
            raise InputError(url, "settings", in_short(error), f"settings that {LIBRARIES[kind]} takes") from error
        return cls(url.rstrip("/"), copies, system, str(root).rstrip("/"))

    def place(self, name: str) -> str:
        """The URL."""
        return f"{self.url}/{name}"

    def name_of(self, place: str) -> str | None:
        """What follows the URL of the base."""
        return place.removeprefix(f"{self.url}/") if place.startswith(f"{self.url}/") else None

    def check(self) -> None:
        """Writes an empty object and reads it back."""
        self.write(PROBE, b"")
        if self.read(PROBE) != b"":
            raise StoreFailedError(self.place(PROBE), "read", None, "what was just written there")

    def exists(self, name: str) -> bool:
        """Whether there is an object; one that may not be asked for is an error, since it may be there."""
        with self._asked(name, "read"), suppress(FileNotFoundError):
            return self.system.info(self._path(name))["type"] == "file"
        return False

    def read(self, name: str) -> bytes | None:
        """The whole object."""
        with self._asked(name, "read"), suppress(FileNotFoundError):
            return self.system.cat_file(self._path(name))
        return None

    def write(self, name: str, content: bytes) -> None:
        """One object; the store shows it once it has all of it."""
        with self._asked(name, "write"):
            self.system.pipe_file(self._path(name), content)

    def hashes(self, names: Sequence[str]) -> dict[str, str | None]:
        """Of the objects as they are read now, many at once: what a store says of them by itself is no SHA-256."""

        def sha256(name: str) -> str | None:
            content = self.read(name)
            return None if content is None else hashlib.sha256(content).hexdigest()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(names, pool.map(sha256, names), strict=True))

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """By one listing of each folder that they lie in."""
        found: dict[str, int] = {}
        for folder in sorted({name.rpartition("/")[0] for name in names}):
            with self._asked(folder, "list"), suppress(FileNotFoundError):
                for entry in self.system.ls(self._path(folder), detail=True):
                    found[f"{folder}/{entry['name'].rpartition('/')[2]}"] = int(entry["size"] or 0)
        return {name: found[name] for name in names if name in found}

    def local(self, name: str, sha256: str) -> Path:
        """A copy, made where there is none with that hash."""
        path = self.copies / f"{sha256}{Path(name).suffix}"
        if path.is_file() and sha256_of(path) == sha256:
            return path
        content = self.read(name)
        found = None if content is None else hashlib.sha256(content).hexdigest()
        if content is None or found != sha256:
            raise InputError(self.place(name), "sha256", found, f"{sha256}, as recorded")
        write_file(path, content)
        return path

    def free_bytes(self) -> int | None:
        """Nobody knows."""
        return None

    def put(self, folder: str, parts: Mapping[str, bytes], manifest: bytes) -> None:
        """The parts, then the manifest, which is what counts."""
        for part, content in parts.items():
            self.write(self.part(folder, part, hashlib.sha256(content).hexdigest()), content)
        self.write(f"{folder}/{MANIFEST}", manifest)

    def settle(self, folder: str) -> None:
        """Nothing is ever half done."""

    def has_folder(self, folder: str) -> bool:
        """Said of nothing: it would take a request."""
        return False

    def part(self, folder: str, part: str, sha256: str) -> str:
        """Each part under its hash."""
        return f"{folder}/{sha256}/{part}"

    def hashes_of_parts(self, folder: str, parts: Mapping[str, str]) -> dict[str, str | None]:
        """Of the manifest and the parts that it names; what it does not name is none of the artifact."""
        names = {f"{folder}/{MANIFEST}": f"{folder}/{MANIFEST}"}
        names |= {self.part(folder, part, sha256): f"{folder}/{part}" for part, sha256 in parts.items()}
        found = {names[name]: sha256 for name, sha256 in self.hashes(list(names)).items()}
        return found if parts or found[f"{folder}/{MANIFEST}"] else {}

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    @contextmanager
    def _asked(self, name: str, to: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # each library has its own errors
            if isinstance(error, PermissionError):
                expected = f"credentials that may {to} there"
            elif isinstance(error, FileNotFoundError):
                expected = "a bucket that exists"
            else:
                expected = "a store that answers: look at its address, the credentials and the network"
            expected += "; then start the command again, what is stored already is kept"
            raise StoreFailedError(self.place(name), to, in_short(error), expected) from error
