"""Problems from a folder on this machine that has the dataset's layout (also the sample that ships with the package).

Belongs here: reading and hashing files. Stays out: what the files mean (``problem_files``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_resources.rollouts.problem_files import (
    FILE_NAMES,
    RawProblem,
    UnusableProblem,
    check_prefix,
    folder_name,
    problem_id_of,
)


class LocalFolder:
    """One corpus below ``{source.folder}/{source.prefix}``; nothing is kept between calls."""

    def __init__(self, source: CorpusSource) -> None:
        check_prefix(source.prefix)
        self._prefix = source.prefix
        self._folder = Path(source.folder or "")
        self._root = self._folder / source.prefix

    def list_problem_ids(self, *, refresh: bool = False) -> list[int]:
        """Sorted ids of the ``problem_N`` folders; ``refresh`` changes nothing, a folder is always read anew.

        Raises:
            InputError: no such folder, or no problem in it.
        """
        if not self._root.is_dir():
            raise InputError(self._root, "folder", "absent", "a folder with problem_N folders: check dataset.folder")
        names = [path.name for path in self._root.iterdir() if path.is_dir()]
        found = (problem_id_of(str(self._root), name) for name in names)
        ids = sorted(problem_id for problem_id in found if problem_id is not None)
        if not ids:
            raise InputError(self._root, "folder", sorted(names)[:5], "at least one problem_N folder")
        return ids

    def read(self, problem_id: int, names: Sequence[str] = FILE_NAMES) -> RawProblem:
        """Files of a problem; by default the three that every problem has.

        Raises:
            UnusableProblem: a file is absent, cannot be read, or is a link to what lies outside the dataset's folder.
        """
        folder = self._root / folder_name(problem_id)
        return RawProblem(problem_id, str(folder), {name: self._content(folder / name) for name in names})

    def is_kept(self, problem_id: int, name: str) -> bool:
        """Whether a file of a problem is on this machine."""
        return (self._root / folder_name(problem_id) / name).is_file()

    def identity(self) -> dict[str, str]:
        """``prefix`` and ``sha256`` over all problems' file names and contents; wherever the folder lies.

        A file that cannot be read counts as such: reading it later is other data.
        """
        digest = hashlib.sha256()
        names = (f"{folder_name(problem_id)}/{name}" for problem_id in self.list_problem_ids() for name in FILE_NAMES)
        for name in sorted(names):
            try:
                content_hash = hashlib.sha256(self._content(self._root / name)).hexdigest()
            except UnusableProblem:
                content_hash = "unreadable"
            digest.update(f"{name}\n{content_hash}\n".encode())
        return {"prefix": self._prefix, "sha256": digest.hexdigest()}

    def _content(self, path: Path) -> bytes:
        try:
            place = path.resolve(strict=True)
            if not any(place.is_relative_to(root) for root in self._roots()):
                expected = "a file inside the dataset's folder (or, for a snapshot of a Hub cache, that cache's blobs)"
                raise UnusableProblem(path, "file", f"a link to {place}", expected)
            if not place.is_file():
                raise UnusableProblem(path, "file", "no regular file", "a file in the dataset's layout")
            return place.read_bytes()
        except FileNotFoundError as error:
            raise UnusableProblem(path, "file", "absent", "a file in the dataset's layout") from error
        except (OSError, RuntimeError) as error:  # links in a circle are a RuntimeError
            raise UnusableProblem(path, "file", str(error), "a file that can be read") from error

    def _roots(self) -> tuple[Path, ...]:
        """Where a file of the dataset may lie: its folder, and for a snapshot of a Hub cache that cache's blobs.

        A cache is ``{kind}s--{owner}--{name}`` with ``blobs`` and ``snapshots/{commit}`` in it; the files of a snapshot
        are links into the blobs. The folder may be a snapshot, or lie in one.
        """
        folder = self._folder.resolve()
        for place in (folder, *folder.parents):
            cache = place.parent.parent
            if place.parent.name == "snapshots" and cache.name.startswith("datasets--"):
                return folder, cache / "blobs"
        return (folder,)
