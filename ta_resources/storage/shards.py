"""Pooled activations as they are stored, one safetensors file a problem, addressed by what they were made from.

A file's place says which extraction and which text it holds, so a killed extraction goes on at the next problem, and
corpora, settings and studies that need the same vectors share them. Stays out: which problems a corpus has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.core.values import PooledProblem
from ta_resources.storage.files import Files
from ta_resources.storage.objects import StoreFailedError

FOLDER = "shards"
ARRAYS = ("vectors", "token_spans")
OFFSETS = "offsets"
"""Only there when every token of a sentence is stored."""
FACTS = {"name": str, "problem_id": int, "block": int, "n_tokens": int, "text": str, "content_sha256": str}
"""What a file says of itself."""
HEADER_AT = 8
"""Where the header of a safetensors file begins; the bytes before it are its length, little-endian."""
KEY_CHARACTERS = 16
"""64 bits of SHA-256: a collision within one store stays out of reach."""


def key_of(fingerprint: str, problem_id: int, text: str, sentences: Sequence[str]) -> str:
    """``{fingerprint}/problem_{id}-{digest}`` of what is stored of one problem.

    Args:
        fingerprint: hex digest of what it was made with, cut to 16 characters.
        problem_id: the problem.
        text: its trace.
        sentences: its sentences; with the text they are the 16 characters of the digest.
    """
    digest = hashlib.sha256(json.dumps([text, list(sentences)]).encode()).hexdigest()
    return f"{fingerprint[:KEY_CHARACTERS]}/problem_{problem_id}-{digest[:KEY_CHARACTERS]}"


@dataclass(frozen=True)
class Shard:
    """A stored problem: the name of its file, and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ShardStore:
    """The shards of one extraction (one model, one block, pooling and dtype): a file holds a problem at one block."""

    files: Files
    """Where all artifacts lie."""
    extraction: str
    """Fingerprint of the extraction."""

    def name(self, problem_id: int, text: str, sentences: Sequence[str]) -> str:
        """File of a problem; another text or another cut into sentences is another file."""
        return f"{FOLDER}/{key_of(self.extraction, problem_id, text, sentences)}.safetensors"

    def find(self, name: str) -> tuple[Shard, PooledProblem] | None:
        """The stored problem of that name when its file is whole, and was written under that name.

        Raises:
            StoreFailedError: an object store does not say whether there is one.
        """
        try:
            content = self.files.read(name)
            if content is None:
                return None
            return Shard(name, hashlib.sha256(content).hexdigest()), _problem(self.files.place(name), name, content)
        except StoreFailedError:
            raise
        except InputError:
            return None

    def write(self, name: str, pooled: PooledProblem) -> Shard:
        """Store what the language model gave for one problem."""
        from safetensors.numpy import save

        arrays = {
            "vectors": np.ascontiguousarray(pooled.vectors),
            "token_spans": np.ascontiguousarray(pooled.token_spans),
        }
        if pooled.offsets is not None:
            arrays[OFFSETS] = np.ascontiguousarray(pooled.offsets)
        facts = {
            "name": name,
            "problem_id": pooled.problem_id,
            "block": pooled.block,
            "n_tokens": pooled.n_tokens,
            "text": pooled.text,
            "extraction": self.extraction,
            "content_sha256": _digest(arrays),
        }
        # one key: safetensors keeps metadata in hash order, and equal extractions must be equal bytes
        content = save(arrays, metadata={"facts": json.dumps(facts, sort_keys=True)})
        self.files.write(name, content)
        return Shard(name, hashlib.sha256(content).hexdigest())


def read_shard(files: Files, shard: Shard) -> PooledProblem:
    """Load one problem.

    Raises:
        InputError: the file is not there, is not the one that was recorded, is damaged, is another problem's under this
            name, or holds arrays that do not fit together or are not finite.
    """
    place, content = files.place(shard.file), files.read(shard.file)
    if content is None:
        raise InputError(place, "file", None, "the shard that its activations name; materialize activations again")
    found = hashlib.sha256(content).hexdigest()
    if found != shard.sha256:
        raise InputError(place, "sha256", found, f"{shard.sha256}, as recorded; materialize activations again")
    return _problem(place, shard.file, content)


class StoredTokens:
    """Every token of chosen sentences, read from shards with all tokens, one sentence at a time."""

    def __init__(self, files: Files, shards: Mapping[int, Shard], keys: Sequence[tuple[int, int]]) -> None:
        """Open the shards, which must have been read whole before: only that compares them with their hash.

        Args:
            files: where all artifacts lie; of objects, copies on this machine are read.
            shards: problem id -> its shard.
            keys: problem id and sentence index of each row.
        """
        from safetensors import safe_open

        used = sorted({problem_id for problem_id, _ in keys})
        self._keys = [(int(problem_id), int(index)) for problem_id, index in keys]
        self._hashes = [(problem_id, shards[problem_id].sha256) for problem_id in used]
        self._vectors, self._offsets = {}, {}
        for problem_id in used:
            # mapped into memory, not read: the tokens of a corpus may not fit
            path = files.local(shards[problem_id].file, shards[problem_id].sha256)
            file = safe_open(path, framework="numpy").__enter__()
            self._vectors[problem_id] = file.get_slice("vectors")
            self._offsets[problem_id] = file.get_tensor(OFFSETS)

    @property
    def lengths(self) -> np.ndarray:
        """[n_rows] int64: tokens of each sentence."""
        return np.array([np.diff(self._offsets[problem][[i, i + 1]])[0] for problem, i in self._keys], dtype=np.int64)

    def of_row(self, row: int) -> np.ndarray:
        """[n_tokens, d_model] storage dtype of one sentence."""
        problem_id, index = self._keys[row]
        start, end = self._offsets[problem_id][[index, index + 1]].tolist()
        return self._vectors[problem_id][start:end]

    def sha256(self) -> str:
        """Hex digest of the shards' own hashes and of which sentence each row is."""
        return hashlib.sha256(json.dumps([self._hashes, self._keys]).encode()).hexdigest()


def _problem(place: str, name: str, content: bytes) -> PooledProblem:
    """The problem that a file of that name holds.

    Raises:
        InputError: as ``read_shard``.
    """
    arrays, facts = _decoded(place, content)
    if facts["name"] != name:
        raise InputError(place, "facts: name", facts["name"], f"{name}, its own; materialize activations again")
    _check_arrays(place, arrays)
    return PooledProblem(
        problem_id=facts["problem_id"],
        block=facts["block"],
        vectors=arrays["vectors"],
        token_spans=arrays["token_spans"],
        n_tokens=facts["n_tokens"],
        text=facts["text"],
        offsets=arrays.get(OFFSETS),
    )


def _decoded(place: str, content: bytes) -> tuple[Mapping[str, np.ndarray], dict]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        stored = load(content)
        # the library gives the metadata of a file on the disk only; the header, which it has just parsed, is JSON
        header = json.loads(content[HEADER_AT : HEADER_AT + int.from_bytes(content[:HEADER_AT], "little")])
        facts = json.loads(header.get("__metadata__", {})["facts"])
        names = [*ARRAYS, OFFSETS] if OFFSETS in stored else ARRAYS
        arrays = {name: stored[name] for name in names}
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(place, "content", str(error), "a shard of pooled activations") from None
    for name, kind in FACTS.items():
        found = facts.get(name) if isinstance(facts, dict) else facts
        if type(found) is not kind:
            raise InputError(place, f"facts: {name}", found, f"{kind.__name__}, as a shard has it")
    if _digest(arrays) != facts["content_sha256"]:
        raise InputError(place, "content_sha256", facts["content_sha256"], "the hash of the arrays in the file")
    return arrays, facts


def _check_arrays(place: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are not the vectors of sentences."""
    vectors, spans, offsets = arrays["vectors"], arrays["token_spans"], arrays.get(OFFSETS)
    if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32):
        raise InputError(place, "vectors", f"{vectors.dtype} {list(vectors.shape)}", "[n, d_model] float16 or float32")
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype != np.int64:
        raise InputError(place, "token_spans", f"{spans.dtype} {list(spans.shape)}", "[n_sentences, 2] int64")
    rows = len(spans)
    if offsets is not None:
        steps = np.diff(offsets) if offsets.ndim == 1 and offsets.dtype == np.int64 else np.array([-1])
        if len(offsets) != rows + 1 or offsets[0] != 0 or (steps < 0).any():
            raise InputError(place, OFFSETS, offsets.tolist(), f"{rows + 1} numbers from 0 on that do not decrease")
        rows = int(offsets[-1])
    if len(vectors) != rows:
        raise InputError(place, "vectors", f"{len(vectors)} rows", f"{rows}, as the spans say")
    if (spans[:, 0] < 0).any() or (spans[:, 1] <= spans[:, 0]).any():
        raise InputError(place, "token_spans", spans.tolist(), "0 <= start < end in each")
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if wrong.size:
        raise InputError(place, f"vectors: row {wrong[0]}", "NaN or infinity", "finite numbers")


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
