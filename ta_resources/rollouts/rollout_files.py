"""Bytes of ``chunk_{i}/solutions.json`` -> rollouts; the one place where that format is checked.

Belongs here: names, parsing, validation, and which rollouts count. Stays out: where the bytes come from
(``local_folder``, ``hub_dataset``), what is computed from them (``ta_assets.core``).
"""

from __future__ import annotations

from typing import Any

from ta_assets.core.traces.label_recomputation import Rollout
from ta_resources.rollouts.problem_files import UnusableProblem, check_text
from ta_resources.strict_json import read_json

UNANSWERED = (None, "", "None")
"""An answer that counts as none; so does an entry that failed before it had one. Neither is in any accuracy."""


def rollouts_name(number: int) -> str:
    """File of the rollouts of a sentence below the problem's folder, by its number (``Problem.folders``)."""
    return f"chunk_{number}/solutions.json"


def parse_rollouts(source: str, content: bytes) -> tuple[Rollout, ...]:
    """The rollouts that reached an answer, in order.

    Args:
        source: the file, for messages.
        content: its bytes.

    Raises:
        UnusableProblem: not UTF-8, not JSON, not a non-empty list of objects, an answer that is no text, or an answered
            rollout without the texts ``chunk_removed`` and ``chunk_resampled`` and an ``is_correct`` that is true,
            false or null (the dataset's tool writes null where it cannot tell whether two formulas are equal).
    """
    entries = read_json(source, content, UnusableProblem)
    if not isinstance(entries, list) or not entries:
        raise UnusableProblem(source, "(whole file)", entries, "a list of at least one rollout")
    found = [_rollout(source, position, entry) for position, entry in enumerate(entries)]
    return tuple(rollout for rollout in found if rollout is not None)


def _rollout(source: str, position: int, entry: Any) -> Rollout | None:
    if not isinstance(entry, dict):
        raise UnusableProblem(source, f"[{position}]", entry, "an object")
    answer = entry.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise UnusableProblem(
            source, f"[{position}].answer", answer, "a text, or nothing for a rollout without an answer"
        )
    if answer in UNANSWERED:
        return None
    texts = {}
    for key in ("chunk_removed", "chunk_resampled"):
        texts[key] = entry.get(key)
        if not isinstance(texts[key], str):
            raise UnusableProblem(source, f"[{position}].{key}", texts[key], "a sentence's text")
        check_text(source, f"[{position}].{key}", texts[key])
    correct = entry.get("is_correct", "absent")
    if not isinstance(correct, bool | None):
        raise UnusableProblem(source, f"[{position}].is_correct", correct, "true, false, or null where nobody can tell")
    return Rollout(texts["chunk_removed"], texts["chunk_resampled"], correct)
