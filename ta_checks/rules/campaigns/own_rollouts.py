"""Rollouts as their files have them, and what they amount to: read, cut and counted by the checks themselves.

Belongs here: reading parquet, answers, first sentences, outcomes that need no grader. Stays out: what the product makes
of the same files (``ta_assets.core.campaign``), judging (the checks).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ta_assets.core.errors import InputError
from ta_checks.evidence import Evidence

CLOSE = "</think>"
SHORT = 10
"""Characters below which a piece of text is no sentence of its own."""
COUNTED = ("right", "wrong", "no_answer", "truncated", "engine_error")


@dataclass(frozen=True)
class Stored:
    """One row of a file of rollouts."""

    index: int
    seed: int
    tokens: tuple[int, ...]
    text: str
    ended: str
    """``stop``, ``length`` or ``error``."""
    generated: int


@dataclass(frozen=True)
class Task:
    """What a study asks of an answer."""

    pattern: str | None
    thinking: bool
    """Whether the prompt opens a thought, behind whose end an answer stands."""


def task_of(evidence: Evidence) -> Task:
    """Where the answers of a corpus stand."""
    asked = evidence.study.campaign
    return Task(asked.answers.pattern, "<think>" in asked.prompt)


def stored_rollouts(base: Path, names: Iterable[str]) -> list[Stored]:
    """All rows of some files of rollouts, by number.

    Args:
        base: folder of all artifacts.
        names: the files, relative to it.
    """
    found = []
    for name in names:
        for row in pd.read_parquet(base / name).to_dict("records"):
            tokens = tuple(int(one) for one in row["token_ids"])
            ended, generated = str(row["finish_reason"]), int(row["generated_tokens"])
            found.append(Stored(int(row["index"]), int(row["seed"]), tokens, row["text"], ended, generated))
    return sorted(found, key=lambda one: one.index)


def by_sentence(rows: pd.DataFrame, base: Path, problem_id: int) -> dict[int, list[Stored]]:
    """Sentence -> its rollouts, of one problem of an artifact of ``rollouts``."""
    own = rows[rows["problem_id"] == problem_id]
    return {
        int(sentence): [one for one in stored_rollouts(base, json.loads(names)) if one.index < drawn]
        for sentence, names, drawn in zip(own["sentence"], own["parts"], own["drawn"], strict=True)
    }


def own_answer(text: str, task: Task) -> str:
    """What a rollout states as its answer; empty for nothing."""
    import re

    place = text.rfind(CLOSE)
    if task.thinking and place < 0:
        return ""
    said = text if place < 0 else text[place + len(CLOSE) :]
    if task.pattern is not None:
        answers = [match.group(1) or "" for match in re.finditer(task.pattern, said)]
        return answers[-1].strip() if answers else ""
    *_, last = said.split("\\boxed{") if "\\boxed{" in said else [""]
    open_braces = 1
    for place, character in enumerate(last):
        escaped = place > 0 and last[place - 1] == "\\" and last[max(place - 2, 0) : place] != "\\\\"
        open_braces += 0 if escaped else {"{": 1, "}": -1}.get(character, 0)
        if not open_braces:
            return last[:place].strip()
    return ""


def own_outcome(rollout: Stored, task: Task) -> str:
    """``engine_error``, ``answered``, ``truncated`` or ``no_answer``; whether an answer is right takes a grader."""
    if rollout.ended == "error":
        return "engine_error"
    if own_answer(rollout.text, task):
        return "answered"
    return "truncated" if rollout.ended == "length" else "no_answer"


def own_first_sentence(text: str) -> str:
    """The first sentence of a text: up to a stop before a space or a newline, or to an empty line; not a short one."""
    thought = text.split("<think>", 1)[-1].split(CLOSE, 1)[0]
    sentence: list[str] = []
    piece = ""
    for place, character in enumerate(thought):
        piece += character
        following = thought[place + 1 : place + 2]
        if not ((character in ".?!" and following in (" ", "\n") and following) or piece.endswith("\n\n")):
            continue
        sentence += [piece.strip()] if piece.strip() else []
        piece = ""
        if len(" ".join(sentence)) >= SHORT:
            # what is too short at the very end belongs to the sentence before it
            rest = " ".join(thought[place + 1 :].split())
            return " ".join([*sentence, rest]) if 0 < len(rest) < SHORT else " ".join(sentence)
    return " ".join([*sentence, piece.strip()]).strip()


def lists_of(row: Mapping[str, Any], *names: str) -> list[Sequence[Any]]:
    """Columns of a table that hold lists as JSON."""
    return [json.loads(row[name]) for name in names]


def model_folder(evidence: Evidence, record: Mapping[str, Any]) -> Path:
    """Where the files of the model lie that wrote a corpus, at the commit that its traces were drawn with.

    Raises:
        InputError: they are not on this machine.
    """
    place = evidence.study.extraction_spec(evidence.partition).language_model
    if Path(place).is_absolute():
        return Path(place)
    from huggingface_hub import try_to_load_from_cache

    commit, cache = record["language_model"].get("commit"), evidence.world.language_model.cache_dir
    found = try_to_load_from_cache(place, "tokenizer.json", cache_dir=cache, revision=commit)
    if not isinstance(found, str):
        raise InputError(place, "tokenizer.json", commit, "this commit of it among the downloads")
    return Path(found).parent
