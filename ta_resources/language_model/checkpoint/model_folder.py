"""The files of a language model: found in a folder or on the Hub, judged before anything is loaded, identified.

Belongs here: which files are read, that none of them can run code, their identity. Stays out: loading them, devices.
A library that loads a model looks for files in the folder by rules of its own (an adapter, shards of a training run,
another file that the configuration names), so it is given a folder with the judged files alone: what is loaded is
what is identified. huggingface_hub is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_assets.core.errors import InputError
from ta_resources.hub_client import checked_endpoint
from ta_resources.language_model.checkpoint.refused_keys import refuse_keys
from ta_resources.storage.atomic import sha256_of

CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
ADDED_TOKENS, SPECIAL_TOKENS = "added_tokens.json", "special_tokens_map.json"
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class HubAccess:
    """How the Hub is reached."""

    offline: bool = False
    """Only what was downloaded before."""
    endpoint: str | None = None
    """Another address than huggingface_hub's own."""
    cache_dir: str | None = None
    """Another cache folder than huggingface_hub's own."""


class LocalModelFolder:
    """A model folder on this machine."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(path, "language_model", str(path), "an existing model folder")
        self.source, self._path = str(path), path

    def file(self, name: str) -> Path | None:
        """The file of that name, or None."""
        return self._path / name if (self._path / name).is_file() else None

    def identity(self) -> dict[str, str]:
        """``{"kind": "folder", "sha256": 64 hex}``: a hash over every file that is read, wherever the folder lies.

        Raises:
            InputError: as ``all_files``.
        """
        digest = hashlib.sha256()
        for path in all_files(self):
            status = path.stat()
            content = _content_hash(str(path), status.st_size, status.st_mtime_ns)
            digest.update(f"{path.name}\0{content}\n".encode())
        return {"kind": "folder", "sha256": digest.hexdigest()}

    def pickles(self) -> list[str]:
        """Names of weight files that could run code when loaded; none of them is ever read."""
        return sorted(path.name for path in self._path.iterdir() if path.suffix in PICKLE_SUFFIXES)


class HubModelFolder:
    """A model on the Hub at one commit; files are fetched, one by one, when they are asked for.

    The commit is found by fetching ``config.json`` at the wanted revision: one small request, for which
    huggingface_hub records what the revision meant, so that without a network the commit of its cache is taken.

    Raises:
        InputError: there is no such model or no way to reach it, or the Hub's address is none (``checked_endpoint``).
    """

    def __init__(self, repo_id: str, revision: str, access: HubAccess) -> None:
        from huggingface_hub import constants

        self.source, self._access, self._repo_id = repo_id, access, repo_id
        self._endpoint = checked_endpoint(access.endpoint)
        self._offline = access.offline or constants.HF_HUB_OFFLINE
        config = self._fetch(CONFIG, revision)
        if config is None:
            raise InputError(repo_id, CONFIG, None, "a model repository with this file")
        self._commit = config.parent.name

    def file(self, name: str) -> Path | None:
        """The file of that name at the commit, fetched when it is not in the cache; None where there is none.

        Raises:
            InputError: the Hub cannot be reached or refuses.
        """
        return self._fetch(name, self._commit)

    def identity(self) -> dict[str, str]:
        """``{"kind": "hub", "language_model": id, "commit": 40 hex}``."""
        return {"kind": "hub", "language_model": self._repo_id, "commit": self._commit}

    def pickles(self) -> list[str]:
        """Pickled weights are never fetched from the Hub, so none are known."""
        return []

    def _fetch(self, name: str, revision: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        where = f"{self._repo_id}@{revision}"
        try:
            path = hf_hub_download(
                self._repo_id,
                name,
                revision=revision,
                local_files_only=self._offline,
                endpoint=self._endpoint,
                cache_dir=self._access.cache_dir,
            )
        except LocalEntryNotFoundError as error:
            if self._offline and name != CONFIG:
                return None
            expected = "in the local cache, or a Hub that can be reached"
            raise InputError(where, name, "neither cached nor reachable", expected) from error
        except EntryNotFoundError:
            return None
        except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            expected = "a model on the Hub that may be read (id, revision, and access to it), or a local folder"
            raise InputError(where, "language_model", type(error).__name__, expected) from error
        except HfHubHTTPError as error:
            expected = "an answer of the Hub; try again later"
            if error.response.status_code == 401:
                expected = "leave to read it: HF_TOKEN set to a token that is valid and may read the model"
            raise InputError(where, name, str(error), expected) from error
        return Path(path)


ModelFolder = LocalModelFolder | HubModelFolder


def open_folder(language_model: str, revision: str, access: HubAccess) -> ModelFolder:
    """The model's folder: an absolute path is local, anything else an id on the Hub.

    Raises:
        InputError: no such folder or repository, no way to reach it, or a model that could run code.
    """
    path = Path(language_model)
    folder = LocalModelFolder(path) if path.is_absolute() else HubModelFolder(language_model, revision, access)
    _refuse_code(folder)
    return folder


def read_json(folder: ModelFolder, name: str) -> Mapping[str, Any]:
    """A JSON object of the folder; empty where the file is absent.

    Raises:
        InputError: the file is not a JSON object.
    """
    content = read_json_value(folder, name)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(folder.source, name, type(content).__name__, "a JSON object")
    return content


def read_json_value(folder: ModelFolder, name: str) -> Any:
    """A JSON file of the folder, whatever it holds; None where the file is absent.

    Raises:
        InputError: the file is not JSON.
    """
    path = folder.file(name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(folder.source, name, str(error), "a JSON object") from error


def tokenizer_file(folder: ModelFolder) -> Path:
    """``tokenizer.json``, the only kind of tokenizer that reports character offsets.

    Raises:
        InputError: the folder has none.
    """
    path = folder.file(TOKENIZER)
    if path is None:
        raise InputError(folder.source, TOKENIZER, None, "a fast tokenizer's file; spans need its offsets")
    return path


def weight_files(folder: ModelFolder) -> list[Path]:
    """The file that transformers takes: ``model.safetensors``, else the index with its shards; on the Hub, fetched.

    Where both are (some exporters write an index beside a single file) the index is not read, by transformers neither.

    Raises:
        InputError: weights are absent, incomplete, only there as pickles, or to be changed by an adapter beside them.
    """
    if folder.file(ADAPTER) is not None:
        raise InputError(folder.source, ADAPTER, "an adapter", "a model whose adapters are merged into its weights")
    single = folder.file(WEIGHTS)
    if single is not None:
        return [single]
    index = folder.file(WEIGHTS_INDEX)
    if index is None:
        found = folder.pickles() or None
        raise InputError(folder.source, WEIGHTS, found, "weights as safetensors (pickled weights can run code)")
    shards = read_json(folder, WEIGHTS_INDEX).get("weight_map")
    found = list(shards.values()) if isinstance(shards, dict) else []
    foreign = [name for name in found if not _is_plain_safetensors(name)]
    if not found or foreign:
        expected = "names of safetensors files beside it"
        raise InputError(folder.source, f"{WEIGHTS_INDEX}: weight_map", foreign, expected)
    names = sorted(set(found))
    paths = {name: folder.file(name) for name in names}
    absent = [name for name, path in paths.items() if path is None]
    if absent:
        raise InputError(folder.source, WEIGHTS_INDEX, absent, "all shards that the index names")
    return [index, *(path for path in paths.values() if path is not None)]


def _is_plain_safetensors(name: object) -> bool:
    """Whether it names a safetensors file in the same folder."""
    return isinstance(name, str) and Path(name).name == name and "\\" not in name and name.endswith(".safetensors")


def all_files(folder: ModelFolder) -> list[Path]:
    """Every file that is read, and no other, sorted by name; on the Hub this fetches them all.

    Raises:
        InputError: as ``tokenizer_file`` and ``weight_files``.
    """
    beside = [folder.file(name) for name in (CONFIG, TOKENIZER_CONFIG, *token_files(folder))]
    small = [*beside, tokenizer_file(folder)]
    return sorted([path for path in small if path is not None] + weight_files(folder), key=lambda path: path.name)


def token_files(folder: ModelFolder) -> tuple[str, ...]:
    """Names of the older files that may name tokens: read where the tokenizer's configuration lists none itself."""
    listed = "added_tokens_decoder" in read_json(folder, TOKENIZER_CONFIG)
    return () if listed else (ADDED_TOKENS, SPECIAL_TOKENS)


@contextmanager
def loadable(folder: ModelFolder, weights: list[Path]) -> Iterator[Path]:
    """A folder with the configuration and these weights alone, as links, for a library that loads models.

    Args:
        folder: the model.
        weights: as ``weight_files`` gives them.
    """
    with tempfile.TemporaryDirectory(prefix="model-") as made:
        for path in (folder.file(CONFIG), *weights):
            if path is not None:
                (Path(made) / path.name).symlink_to(path.resolve())
        yield Path(made)


def _refuse_code(folder: ModelFolder) -> None:
    """Refuse what would need code of the model's author, or other files than are known here."""
    if not read_json(folder, CONFIG):
        raise InputError(folder.source, CONFIG, None, "a model folder with this file")
    for name in (CONFIG, TOKENIZER_CONFIG):
        refuse_keys(folder.source, name, read_json(folder, name))


@functools.lru_cache(maxsize=1024)
def _content_hash(path: str, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file, computed once in a process as long as the cache's key, its size and time, stays."""
    return sha256_of(Path(path))
