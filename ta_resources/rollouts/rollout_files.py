"""Bytes of ``chunk_{i}/solutions.json`` -> rollouts; the one place where that format is checked.

Belongs here: names, parsing, validation, and which rollouts count. Stays out: where the bytes come from
(``local_folder``, ``hub_dataset``), what is computed from them (``ta_assets.core``).
"""

from __future__ import annotations

from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.core.traces.label_recomputation import Rollout
from ta_resources.rollouts.problem_files import check_text, read_json

UNANSWERED = (None, "", "None")
"""An answer that counts as none; so does an entry that failed before it had one. Neither is in any accuracy."""


def rollouts_name(index: int) -> str:
    """File of the rollouts of a sentence, by its position in the list (FEATURES D3), below the problem's folder."""
    return f"chunk_{index}/solutions.json"


def parse_rollouts(source: str, content: bytes) -> tuple[Rollout, ...]:
    """The rollouts that reached an answer, in order.

    Args:
        source: the file, for messages.
        content: its bytes.

    Raises:
        InputError: not UTF-8, not JSON, not a non-empty list of objects, an answer that is no text, or an answered
            rollout without the texts ``chunk_removed`` and ``chunk_resampled`` and a true or false ``is_correct``.
    """
    entries = read_json(source, content)
    if not isinstance(entries, list) or not entries:
        raise InputError(source, "(whole file)", entries, "a list of at least one rollout")
    found = [_rollout(source, position, entry) for position, entry in enumerate(entries)]
    return tuple(rollout for rollout in found if rollout is not None)


def _rollout(source: str, position: int, entry: Any) -> Rollout | None:
    if not isinstance(entry, dict):
        raise InputError(source, f"[{position}]", entry, "an object")
    answer = entry.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise InputError(source, f"[{position}].answer", answer, "a text, or nothing for a rollout without an answer")
    if answer in UNANSWERED:
        return None
    texts = {}
    for key in ("chunk_removed", "chunk_resampled"):
        texts[key] = entry.get(key)
        if not isinstance(texts[key], str):
            raise InputError(source, f"[{position}].{key}", texts[key], "a sentence's text")
        check_text(source, f"[{position}].{key}", texts[key])
    correct = entry.get("is_correct")
    if not isinstance(correct, bool):
        raise InputError(source, f"[{position}].is_correct", correct, "true or false")
    return Rollout(texts["chunk_removed"], texts["chunk_resampled"], correct)
