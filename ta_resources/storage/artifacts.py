"""What the assets make: parquet for tables, Markdown for reports, JSON for the rest; no pickle.

An artifact is its parts and a ``manifest.json`` with their hashes, at ``{asset}/{partition}/``. It appears as a whole
and is verified whenever it is read. Stays out: activations' vectors (``shards.py``), which the artifact only names;
what an artifact must look like (``shapes.py``); where its files lie (``files.py``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from ta_assets.core.errors import InputError
from ta_assets.core.values import CellResult, CrossFitted, Markdown, SeedFreeScores
from ta_resources.storage.campaigns import CampaignTable, LabelledCorpus
from ta_resources.storage.files import Files, files_at, folder_of
from ta_resources.storage.manifest import MANIFEST, Manifest, as_json, manifest_of
from ta_resources.storage.objects import LIBRARIES, StoreFailedError
from ta_resources.storage.shapes import check_record, check_value
from ta_resources.storage.shards import Shard

ARTIFACTS_VARIABLE = "TA_ARTIFACTS"
"""Environment variable with the folder or URL of all artifacts."""
DEFAULT_FOLDER = "artifacts"
COPIES = "copies"
"""Folder for copies of objects; may be removed at any time."""
VALUE = "value"


@dataclasses.dataclass(frozen=True)
class Activations:
    """The artifact of ``activations``: where each problem's vectors lie and what was skipped."""

    spans: pd.DataFrame
    """One row a sentence: problem_id, chunk_idx, token_start, token_end, token_count (int64), and where it is on
    ``vertical_score`` (float32) and ``vertical_attention_mode_used``."""
    record: dict[str, Any]
    """``extraction`` (what decides the numbers), ``block`` (the primary one), ``blocks`` (all, the primary one first),
    ``shards`` {problem id: {block: {file, sha256}}}, ``tokens`` {problem id: n}, ``d_model``,
    ``skipped`` [{problem_id, kind, reason}]."""

    @property
    def shards(self) -> dict[int, Shard]:
        """Problem id -> its shard of the primary block."""
        return self.shards_of(self.record["block"])

    def shards_of(self, block: int) -> dict[int, Shard]:
        """Problem id -> its shard of one block.

        Raises:
            KeyError: the block was not extracted.
        """
        return {int(problem_id): Shard(**of[str(block)]) for problem_id, of in self.record["shards"].items()}

    def files(self) -> list[Shard]:
        """Every shard of every problem."""
        return [Shard(**shard) for of in self.record["shards"].values() for shard in of.values()]


RECORDS = {
    record.__name__: record
    for record in (Activations, CampaignTable, CellResult, CrossFitted, LabelledCorpus, SeedFreeScores)
}
"""Records that may be stored; an artifact cannot name any other class."""
NAMING_FILES = (Activations, CampaignTable)
"""Records that name files beside their own, which count as files of the artifact."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """What lies in the store after an artifact was saved; shards that it names count as its files."""

    files: dict[str, str]
    """Name -> hex SHA-256."""
    bytes: int


class ArtifactStore(dg.ConfigurableResource):
    """All artifacts; assets store through the IO manager (``io_manager.py``), checks read from here."""

    base_dir: str = Field(
        default=DEFAULT_FOLDER,
        description="Where all artifacts lie: a folder, relative to the current directory, or a URL of an object store "
        f"({', '.join(f'{kind}://' for kind in LIBRARIES)}).",
    )
    local_dir: str = Field(
        default=DEFAULT_FOLDER,
        description="With an object store, the folder of this machine for what people read (README, pages, verdicts) "
        "and for copies of objects.",
    )
    recovers: bool = Field(
        default=True,
        description="Put back what an interrupted write moved aside; without it, reading leaves the disk as it is.",
    )

    @classmethod
    def configured(cls, *, recovers: bool = True) -> ArtifactStore:
        """The store that the environment names by ``TA_ARTIFACTS``; else the folder ``artifacts``."""
        return cls(base_dir=os.environ.get(ARTIFACTS_VARIABLE) or DEFAULT_FOLDER, recovers=recovers)

    @property
    def files(self) -> Files:
        """Every file of every artifact, by its name."""
        return files_at(self.base_dir, Path(self.local_dir) / COPIES, recovers=self.recovers)

    @property
    def local_folder(self) -> Path:
        """Folder of what people read beside the artifacts, always of this machine; the artifacts' own where they are.

        No artifact is looked for here: what lies in the store is in ``files`` alone.
        """
        return (folder_of(self.base_dir) or Path(self.local_dir)).resolve()

    def folder(self, asset: str, partition: str) -> str:
        """What the names of an artifact's files begin with; a cell ``seed|setting`` lies at ``setting/seed``."""
        return "/".join([asset, *reversed(partition.split("|"))])

    def place(self, asset: str, partition: str) -> str:
        """Path or URL of an artifact, for people."""
        return self.files.place(self.folder(asset, partition))

    def save(self, asset: str, partition: str, value: object) -> Saved:
        """Store a value as a whole: a table, JSON, or one of ``RECORDS``."""
        kind, parts = _parts(value)
        encoded = dict(_encoded(name, part) for name, part in parts.items())
        manifest = Manifest(kind, {name: _sha256(content) for name, content in encoded.items()})
        contents, folder = {**encoded, MANIFEST: manifest.encoded()}, self.folder(asset, partition)
        files = self.files
        files.put(folder, encoded, contents[MANIFEST])
        shards = {one.file: one.sha256 for one in value.files()} if isinstance(value, NAMING_FILES) else {}
        return Saved(
            {**{f"{folder}/{name}": _sha256(content) for name, content in contents.items()}, **shards},
            sum(map(len, contents.values())) + sum(files.sizes(list(shards)).values()),
        )

    def exists(self, asset: str, partition: str) -> bool:
        """Whether the artifact is there."""
        files, folder = self.files, self.folder(asset, partition)
        files.settle(folder)
        return files.exists(f"{folder}/{MANIFEST}")

    def was_made(self, asset: str, partition: str) -> bool:
        """Whether the artifact, or a part of it, is there; reads nothing, puts nothing back, and asks no store."""
        return self.files.has_folder(self.folder(asset, partition))

    def load(self, asset: str, partition: str) -> Any:
        """Read a value back.

        Raises:
            InputError: it is not there, a file is not the one that was stored, or it is not what the asset stores.
        """
        files, folder = self.files, self.folder(asset, partition)
        manifest = self._manifest(files, asset, partition)
        places, contents = {}, {}
        for name, expected in manifest.files.items():
            part = files.part(folder, name, expected)
            content, place = files.read(part), files.place(part)
            found = None if content is None else _sha256(content)
            if content is None or found != expected:
                raise InputError(place, "sha256", found, f"{expected}, as stored; materialize {asset} again")
            places[PurePosixPath(name).stem], contents[place] = place, content
        parts: dict[str, Any] = {name: _decoded(place, contents[place]) for name, place in places.items()}
        place = files.place(f"{folder}/{MANIFEST}")
        if manifest.kind == VALUE:
            if set(parts) != {VALUE}:
                raise InputError(place, "files", sorted(parts), f"one file {VALUE}")
            check_value(asset, parts[VALUE], places[VALUE])
            return parts[VALUE]
        record = RECORDS[manifest.kind]
        check_record(record, parts, places, place)
        return record(**parts)

    def hashes(self, asset: str, partition: str) -> dict[str, str | None]:
        """SHA-256 of every file of an artifact as it lies in the store now, by name; None if absent.

        Shards and rollouts that the artifact names count as its files.

        Raises:
            StoreFailedError: an object store does not say what it holds.
        """
        files, folder = self.files, self.folder(asset, partition)
        files.settle(folder)
        parts, shards = {}, []
        try:
            manifest = self._manifest(files, asset, partition)
            parts = manifest.files
            names_files = RECORDS.get(manifest.kind) in NAMING_FILES
            value = self.load(asset, partition) if names_files else None
            shards = value.files() if isinstance(value, NAMING_FILES) else []
        except StoreFailedError:
            raise
        except InputError:  # what cannot be read has the hashes that it has
            pass
        return {**files.hashes_of_parts(folder, parts), **files.hashes([shard.file for shard in shards])}

    def _manifest(self, files: Files, asset: str, partition: str) -> Manifest:
        folder = self.folder(asset, partition)
        name = f"{folder}/{MANIFEST}"
        files.settle(folder)
        content = files.read(name)
        if content is None:
            raise InputError(files.place(folder), MANIFEST, None, f"an artifact; materialize {asset} first")
        return manifest_of(content, files.place(name), asset, [VALUE, *RECORDS])


def _parts(value: object) -> tuple[str, Mapping[str, object]]:
    kind = type(value).__name__
    if kind in RECORDS and dataclasses.is_dataclass(value):
        return kind, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return VALUE, {VALUE: value}


def _encoded(name: str, part: object) -> tuple[str, bytes]:
    if isinstance(part, pd.DataFrame):
        buffer = io.BytesIO()
        part.to_parquet(buffer, index=False)
        return f"{name}.parquet", buffer.getvalue()
    if isinstance(part, Markdown):
        return f"{name}.md", part.encode()
    return f"{name}.json", as_json(part)


def _decoded(place: str, content: bytes) -> object:
    suffix = PurePosixPath(place).suffix
    try:
        if suffix == ".parquet":
            return pd.read_parquet(io.BytesIO(content))
        if suffix == ".md":
            return Markdown(content.decode())
        return json.loads(content.decode("utf-8"))
    except Exception as error:  # pyarrow raises errors of many kinds
        kind = {".parquet": "a parquet table", ".md": "UTF-8 text"}.get(suffix, "JSON")
        found = f"{type(error).__name__}: {error}"
        raise InputError(place, "content", found, f"{kind}; materialize the artifact again") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
