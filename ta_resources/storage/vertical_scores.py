"""Vertical scores on disk, one small file a problem, so that a killed extraction need not read the problem again.

The artifact of ``activations`` holds the scores themselves; what lies here only saves forward passes. Stays out: the
vectors (``shards.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ta_assets.core.values import VerticalScores
from ta_resources.storage.atomic import write_file
from ta_resources.storage.shards import key_of

FOLDER = "vertical_scores"


@dataclass(frozen=True)
class VerticalScoreStore:
    """The scores of one way of computing them (one model, one block, dtype and options)."""

    base: Path
    """Folder of all artifacts."""
    fingerprint: str
    """Of what decides the scores but for the text."""

    def name(self, problem_id: int, text: str, sentences: Sequence[str]) -> str:
        """File of a problem, relative to the base; another text or another cut into sentences is another file."""
        return f"{FOLDER}/{key_of(self.fingerprint, problem_id, text, sentences)}.json"

    def find(self, name: str) -> VerticalScores | None:
        """The stored scores when their file is whole, and was written under that name."""
        try:
            content = json.loads((self.base / name).read_text(encoding="utf-8"))
            if _digest(content["facts"]) != content["sha256"]:
                return None
            facts = content["facts"]
            if facts["name"] != name:
                return None
            return VerticalScores(facts["problem_id"], np.array(facts["scores"], np.float32), facts["mode_used"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, name: str, scores: VerticalScores) -> None:
        """Store the scores of one problem."""
        facts = {
            "name": name,
            "problem_id": scores.problem_id,
            "scores": scores.scores.astype(np.float64).tolist(),  # every float32 comes back from these digits
            "mode_used": scores.mode_used,
        }
        content = {"facts": facts, "sha256": _digest(facts)}
        write_file(self.base / name, (json.dumps(content, sort_keys=True) + "\n").encode())


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
