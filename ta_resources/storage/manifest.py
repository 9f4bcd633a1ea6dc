"""The file beside the parts of an artifact that says which there are, with their hashes: without it there is none."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from ta_assets.core.errors import InputError

MANIFEST = "manifest.json"
SUFFIXES = (".parquet", ".md", ".json")


@dataclass(frozen=True)
class Manifest:
    """What an artifact consists of."""

    kind: str
    """The class that its parts are the fields of, or that it is one value."""
    files: dict[str, str]
    """Name of a part -> hex SHA-256."""

    def encoded(self) -> bytes:
        """As it is stored."""
        return as_json(asdict(self))


def manifest_of(content: bytes, place: str, asset: str, kinds: Collection[str]) -> Manifest:
    """Read a manifest.

    Args:
        content: of the file.
        place: where it lies, for messages.
        asset: what the artifact is of, for messages.
        kinds: what an artifact may be.

    Raises:
        InputError: it is no manifest, or names a file elsewhere.
    """
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(place, "content", str(error), f"a manifest; materialize {asset} again") from None
    if not isinstance(found, dict):
        raise InputError(place, "content", found, f"a manifest; materialize {asset} again")
    kind, files = found.get("kind"), found.get("files")
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(place, "kind", kind, f"one of {', '.join(kinds)}")
    if not isinstance(files, dict) or not files:
        raise InputError(place, "files", files, "names of files with their hashes")
    for name, sha256 in files.items():
        if not isinstance(sha256, str) or not sha256.isalnum():
            raise InputError(place, f"files.{name}", sha256, "a SHA-256 in hexadecimal digits")
    outside = [name for name in files if PurePosixPath(name).name != name or PurePosixPath(name).suffix not in SUFFIXES]
    if outside:
        raise InputError(place, "files", outside, f"names of files in this folder, ending in {', '.join(SUFFIXES)}")
    return Manifest(kind, files)


def as_json(value: object) -> bytes:
    """JSON as it is stored: equal values are equal bytes.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
