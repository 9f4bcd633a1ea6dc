"""What the assets make, on disk: parquet for tables, Markdown for reports, JSON for the rest; no pickle.

One folder an artifact: ``{base}/{asset}/{partition}/`` holds the files and a ``manifest.json`` with their hashes; a
layout of many files is a folder within it. A folder appears as a whole and is verified whenever it is read. Stays out:
activations' vectors (``shards.py``) and rollouts, which the artifact only names; what an artifact must look like
(``shapes.py``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from ta_assets.core.errors import InputError
from ta_assets.core.values import CellResult, CrossFitted, Markdown, SeedFreeScores
from ta_resources.storage.atomic import recover_folder, sha256_of, write_folder
from ta_resources.storage.campaigns import CampaignTable, LabelledCorpus, Layout
from ta_resources.storage.shapes import check_record, check_value
from ta_resources.storage.shards import Shard

MANIFEST = "manifest.json"
VALUE = "value"
SUFFIXES = (".parquet", ".md", ".json")


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


class ArtifactStore(dg.ConfigurableResource):
    """The folder of artifacts; assets store through the IO manager, checks read from here."""

    base_dir: str = Field(
        default="artifacts", description="Folder of all artifacts, relative to the current directory."
    )
    recovers: bool = Field(
        default=True,
        description="Put back what an interrupted write moved aside; without it, reading leaves the disk as it is.",
    )

    @property
    def base(self) -> Path:
        """The folder as an absolute path."""
        return Path(self.base_dir).resolve()

    def folder(self, asset: str, partition: str) -> Path:
        """Folder of an artifact; a cell ``seed|setting`` lies at ``setting/seed``."""
        return self.base.joinpath(asset, *reversed(partition.split("|")))

    def save(self, asset: str, partition: str, value: object) -> None:
        """Store a value as a whole: a table, JSON, or one of ``RECORDS``."""
        kind, parts = _parts(value)
        files = {file: content for name, part in parts.items() for file, content in _encoded(name, part)}
        manifest = {
            "kind": kind,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        write_folder(self.folder(asset, partition), {**files, MANIFEST: _json(manifest)})

    def exists(self, asset: str, partition: str) -> bool:
        """Whether the artifact is there."""
        return (self._settled(asset, partition) / MANIFEST).is_file()

    def was_made(self, asset: str, partition: str) -> bool:
        """Whether the artifact, or a part of it, is there; reads nothing and puts nothing back."""
        return self.folder(asset, partition).is_dir()

    def load(self, asset: str, partition: str) -> Any:
        """Read a value back.

        Raises:
            InputError: it is not there, a file is not the one that was stored, or it is not what the asset stores.
        """
        folder = self.folder(asset, partition)
        manifest = self._manifest(asset, partition)
        for name, expected in manifest["files"].items():
            path = folder / name
            found = sha256_of(path) if path.is_file() else None
            if found != expected:
                raise InputError(path, "sha256", found, f"{expected}, as stored; materialize {asset} again")
        files, parts = _read(folder, manifest["files"])
        if manifest["kind"] == VALUE:
            if set(parts) != {VALUE}:
                raise InputError(folder / MANIFEST, "files", sorted(parts), f"one file {VALUE}")
            check_value(asset, parts[VALUE], folder)
            return parts[VALUE]
        record = RECORDS[manifest["kind"]]
        check_record(record, parts, files, folder / MANIFEST)
        return record(**parts)

    def hashes(self, asset: str, partition: str) -> dict[str, str | None]:
        """SHA-256 of every file of an artifact as it lies on disk now, by path relative to the base; None if absent.

        Shards and other files that the artifact names count as its files.
        """
        folder = self._settled(asset, partition)
        found: dict[str, str | None] = {
            path.relative_to(self.base).as_posix(): sha256_of(path) if path.is_file() else None
            for path in (sorted(folder.rglob("*")) if folder.is_dir() else [])
            if not path.is_dir() or path.is_symlink()
        }
        try:
            names_files = self._manifest(asset, partition)["kind"] in [one.__name__ for one in NAMING_FILES]
            value = self.load(asset, partition) if names_files else None
        except InputError:
            value = None
        if isinstance(value, NAMING_FILES):
            for shard in value.files():
                path = self.base / shard.file
                found[shard.file] = sha256_of(path) if path.is_file() else None
        return found

    def _settled(self, asset: str, partition: str) -> Path:
        folder = self.folder(asset, partition)
        if self.recovers:
            recover_folder(folder)
        return folder

    def _manifest(self, asset: str, partition: str) -> dict[str, Any]:
        if not self.exists(asset, partition):
            raise InputError(self.folder(asset, partition), MANIFEST, None, f"an artifact; materialize {asset} first")
        path = self.folder(asset, partition) / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(path, "content", str(error), f"a manifest; materialize {asset} again") from None
        if not isinstance(manifest, dict):
            raise InputError(path, "content", manifest, f"a manifest; materialize {asset} again")
        kind, files = manifest.get("kind"), manifest.get("files")
        if kind not in [VALUE, *RECORDS]:
            raise InputError(path, "kind", kind, f"one of {', '.join([VALUE, *RECORDS])}")
        if not isinstance(files, dict) or not files:
            raise InputError(path, "files", files, "names of files with their hashes")
        for name, found in files.items():
            if not isinstance(found, str):
                raise InputError(path, f"files.{name}", found, "a SHA-256 in hexadecimal digits")
        outside = [name for name in files if not _is_inside(name)]
        if outside:
            raise InputError(path, "files", outside, f"names of files in this folder, ending in {', '.join(SUFFIXES)}")
        return manifest


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns and loads it; an input marked ``collect`` is always a dict by partition."""

    store: ArtifactStore

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store, and record the hash of every file with the materialization."""
        asset, partition = context.asset_key.to_user_string(), context.partition_key
        self.store.save(asset, partition, obj)
        files = self.store.hashes(asset, partition)
        folder = self.store.folder(asset, partition)
        context.add_output_metadata(
            {
                "folder": dg.MetadataValue.path(folder),
                "bytes": sum((self.store.base / name).stat().st_size for name in files),
                "files": dg.MetadataValue.json(files),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Load one partition's value, or a dict of them where the input is marked ``collect``."""
        # sorted: Dagster hands them over as a set, in an order that differs from process to process
        asset, keys = context.asset_key.to_user_string(), sorted(context.asset_partition_keys)
        if (context.definition_metadata or {}).get("collect"):
            return {key: self.store.load(asset, key) for key in keys if self.store.exists(asset, key)}
        return self.store.load(asset, keys[0])


def _parts(value: object) -> tuple[str, Mapping[str, object]]:
    kind = type(value).__name__
    if kind in RECORDS and dataclasses.is_dataclass(value):
        return kind, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return VALUE, {VALUE: value}


def _encoded(name: str, part: object) -> list[tuple[str, bytes]]:
    if isinstance(part, Layout):
        return [(f"{name}/{path}", content.encode()) for path, content in part.items()]
    if isinstance(part, pd.DataFrame):
        buffer = io.BytesIO()
        part.to_parquet(buffer, index=False)
        return [(f"{name}.parquet", buffer.getvalue())]
    if isinstance(part, Markdown):
        return [(f"{name}.md", part.encode())]
    return [(f"{name}.json", _json(part))]


def _is_inside(name: str) -> bool:
    """Whether a manifest may name such a file."""
    place = PurePosixPath(name)
    plain = not place.is_absolute() and not {"..", "\\"} & {*place.parts, *name} and str(place) == name
    return plain and place.suffix in SUFFIXES


def _read(folder: Path, names: Mapping[str, str]) -> tuple[dict[str, Path], dict[str, Any]]:
    """Part -> its file or folder, and its value, of files whose hashes were compared."""
    files, parts = {}, {}
    for name in names:
        top, _, below = name.partition("/")
        if below:
            files[top] = folder / top
            parts.setdefault(top, Layout())[below] = (folder / name).read_text(encoding="utf-8")
        else:
            files[Path(name).stem] = folder / name
            parts[Path(name).stem] = _decoded(folder / name)
    return files, parts


def _decoded(path: Path) -> object:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".md":
            return Markdown(path.read_bytes().decode())
        return json.loads(path.read_text(encoding="utf-8"))
    except Exception as error:  # pyarrow raises errors of many kinds
        kind = {".parquet": "a parquet table", ".md": "UTF-8 text"}.get(path.suffix, "JSON")
        found = f"{type(error).__name__}: {error}"
        raise InputError(path, "content", found, f"{kind}; materialize the artifact again") from error


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
