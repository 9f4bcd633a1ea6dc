"""The file of a campaign's questions: on this machine, or in a dataset on the Hub.

Belongs here: finding, reading and hashing the file. Stays out: what a question must be (``core.campaign.corpus``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ta_assets.core.campaign.corpus.questions import Keys, Question, questions_of
from ta_assets.core.errors import InputError, in_short
from ta_resources.hub_client import checked_endpoint
from ta_resources.storage.atomic import read_text

SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class QuestionsFile:
    """Where questions lie; exactly one of ``file`` and ``repo_id``."""

    file: Path | None
    """An absolute path."""
    repo_id: str | None
    revision: str
    path: str
    """Of the file in the dataset on the Hub."""
    keys: Keys = field(default_factory=Keys)
    first: int | None = None
    """Only the first so many rows."""

    @property
    def place(self) -> str:
        """For messages."""
        return str(self.file) if self.file else f"{self.repo_id}@{self.revision}/{self.path}"

    def read(self, *, offline: bool = False) -> list[Question]:
        """The questions, in the file's order.

        Raises:
            InputError: the file cannot be had or is not JSON lines or parquet; or as ``questions_of``.
        """
        place = self._local(offline=offline)
        rows = _rows(place, self.place)
        return questions_of(rows[: self.first], self.keys, self.place)

    def identity(self, *, offline: bool = False) -> dict[str, Any]:
        """What the file is, wherever it lies: the hash of its content, and which rows of it are used.

        Raises:
            InputError: the file cannot be had.
        """
        content = self._local(offline=offline).read_bytes()
        return {"sha256": hashlib.sha256(content).hexdigest(), "keys": vars(self.keys), "first": self.first}

    def _local(self, *, offline: bool) -> Path:
        if self.file is not None:
            if not self.file.is_file():
                raise InputError(self.file, "generation.questions.file", "absent", "a file of questions")
            return self.file
        return _fetched(str(self.repo_id), self.path, self.revision, offline=offline)


def _rows(path: Path, source: str) -> list[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        return _parquet(path, source)
    if path.suffix != ".jsonl":
        raise InputError(source, "name", path.name, f"a file that ends in {' or '.join(SUFFIXES)}")
    rows: list[Mapping[str, Any]] = []
    for place, line in enumerate(read_text(path, "a readable UTF-8 file of JSON lines").splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(source, f"line {place + 1}", line, f"JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(source, f"line {place + 1}", row, "an object with id, question and answer")
        rows.append(row)
    return rows


def _parquet(path: Path, source: str) -> list[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pylist()
    except Exception as error:  # pyarrow raises errors of many kinds
        raise InputError(source, "content", in_short(error), "a parquet table") from error


def _fetched(repo_id: str, path: str, revision: str, *, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    endpoint = checked_endpoint(None)
    try:
        found = hf_hub_download(
            repo_id, path, repo_type="dataset", revision=revision, local_files_only=offline, endpoint=endpoint
        )
    except LocalEntryNotFoundError as error:
        expected = "in the local cache, or a Hub that can be reached"
        raise InputError(f"{repo_id}@{revision}", path, "neither cached nor reachable", expected) from error
    except (HFValidationError, HfHubHTTPError) as error:
        expected = "a dataset on the Hub that may be read, and a file of it"
        raise InputError(f"{repo_id}@{revision}", path, in_short(error), expected) from error
    return Path(found)
