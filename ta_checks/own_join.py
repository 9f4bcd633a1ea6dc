"""Sentences joined with their vectors by the checks themselves: from the shards' files and the table of sentences.

Belongs here: reading a shard as the plain safetensors file that it is, and laying its rows beside the labels. Stays
out: hashes (``artifacts_intact``), whether a vector is that of its text (``activations_match_text``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_resources.storage.files import Files

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class RawShard:
    """One file with vectors, as it is stored."""

    vectors: np.ndarray
    """[n_sentences, d_model], or all tokens of all sentences where there are ``offsets``."""
    spans: np.ndarray
    """[n_sentences, 2] int64."""
    offsets: np.ndarray | None
    facts: Mapping[str, Any]

    def sentences(self, *, last: bool) -> np.ndarray:
        """[n_sentences, d_model] float32; of stored tokens their mean, or the ``last`` one."""
        if self.offsets is None:
            return np.asarray(self.vectors, dtype=np.float32)
        pairs = zip(self.offsets[:-1], self.offsets[1:], strict=True)
        tokens = [self.vectors[start:end].astype(np.float64) for start, end in pairs]
        return np.stack([one[-1] if last else one.mean(axis=0) for one in tokens]).astype(np.float32)


def read_raw(files: Files, name: str) -> RawShard:
    """Read a shard with the safetensors library alone, and its metadata from the JSON at the file's begin.

    Raises:
        InputError: there is no such file.
    """
    from safetensors.numpy import load

    content = files.read(name)
    if content is None:
        raise InputError(files.place(name), "file", None, "a file with vectors")
    arrays = load(content)
    length = int.from_bytes(content[:8], "little")
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])
    return RawShard(arrays["vectors"], arrays["token_spans"], arrays.get("offsets"), facts)


@dataclass(frozen=True)
class OwnJoin:
    """Labelled sentences of some problems with the vectors that their shards hold."""

    files: Files
    """Where all artifacts lie."""
    record: Mapping[str, Any]
    """Of the activations."""
    labelled: pd.DataFrame
    """Labelled sentences of the wanted problems."""
    scored: pd.DataFrame
    """One row a sentence: problem_id, chunk_idx, and ``vertical_score`` where it was extracted."""

    @property
    def blocks(self) -> list[int]:
        """Every block, in order."""
        return sorted(int(block) for block in self.record["blocks"])

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Sentences of problems with a shard, by problem and sentence, with their token spans.

        Raises:
            ValueError: a problem has another number of labels than of vectors, or of vectors at most one more.
        """
        kept = [row for row in self._rows_of_problems() if len(row)]
        rows = pd.concat(kept, ignore_index=True) if kept else self.labelled.iloc[:0]
        extra = [name for name in ("vertical_score", "vertical_attention_mode_used") if name in self.scored]
        if not extra:
            return rows
        keys = ["problem_id", "chunk_idx"]
        return rows.merge(self.scored[[*keys, *extra]], on=keys, how="left", validate="one_to_one")

    @property
    def vectors(self) -> np.ndarray:
        """[n_rows, d_model] float32 of the primary block."""
        return self.at(int(self.record["block"]))

    def at(self, block: int) -> np.ndarray:
        """[n_rows, d_model] float32 of one block, in the order of ``rows``."""
        last = self.record["extraction"]["pooling"] == "last"
        pieces = []
        for problem, group in self.rows.groupby("problem_id", sort=True):
            stored = self._shard(int(problem), block).sentences(last=last)  # type: ignore[arg-type]
            pieces += [stored[int(index)] for index in group["chunk_idx"]]
        return np.stack(pieces) if pieces else np.zeros((0, int(self.record["d_model"])), np.float32)

    def parts(self, split: Mapping[str, list[int]]) -> np.ndarray:
        """[n_rows] str: the part of a stored split that each row's problem is in.

        Raises:
            ValueError: a row's problem is in none, or a part has no rows.
        """
        part_of = {int(problem): part for part in PARTS for problem in split[part]}
        problems = self.rows["problem_id"].tolist()
        if set(problems) - set(part_of):
            raise ValueError(f"problems {sorted(set(problems) - set(part_of))} are in no part of the split")
        found = np.array([part_of[problem] for problem in problems], dtype=object)
        if empty := sorted(set(PARTS) - set(found)):
            raise ValueError(f"no sentences are left in {', '.join(empty)}: every problem of that part was skipped")
        return found

    def _rows_of_problems(self) -> Iterator[pd.DataFrame]:
        ordered = self.labelled.sort_values(["problem_id", "chunk_idx"], ignore_index=True)
        primary = int(self.record["block"])
        for problem, group in ordered.groupby("problem_id", sort=True):
            if str(problem) not in self.record["shards"]:
                continue
            spans = self._shard(int(problem), primary).spans  # type: ignore[arg-type]
            # a study may leave the last sentence of a trace without a label, never another one
            if group["chunk_idx"].tolist() != list(range(len(group))) or len(spans) - len(group) not in (0, 1):
                raise ValueError(f"problem {problem}: {len(group)} labels do not fit {len(spans)} stored sentences")
            start, end = spans[: len(group)].T
            yield group.assign(token_start=start, token_end=end, token_count=end - start)

    def _shard(self, problem: int, block: int) -> RawShard:
        """The shard of a problem.

        Raises:
            ValueError: the file says that it is of another problem or block.
        """
        shard = read_raw(self.files, self.record["shards"][str(problem)][str(block)]["file"])
        named = int(shard.facts["problem_id"]), int(shard.facts["block"])
        if named != (problem, block):
            raise ValueError(
                f"the shard of problem {problem}, block {block} holds problem {named[0]}, block {named[1]}"
            )
        return shard
