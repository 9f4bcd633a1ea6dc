"""Vertical scores as they are stored, one small file a problem: a killed extraction need not read the problem again.

The artifact of ``activations`` holds the scores themselves; what lies here only saves forward passes. Stays out: the
vectors (``shards.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ta_assets.core.values import VerticalScores
from ta_resources.storage.files import Files
from ta_resources.storage.objects import StoreFailedError
from ta_resources.storage.shards import key_of

FOLDER = "vertical_scores"


@dataclass(frozen=True)
class VerticalScoreStore:
    """The scores of one way of computing them (one model, one block, dtype and options)."""

    files: Files
    """Where all artifacts lie."""
    fingerprint: str
    """Of what decides the scores but for the text."""

    def name(self, problem_id: int, text: str, sentences: Sequence[str]) -> str:
        """File of a problem; another text or another cut into sentences is another file."""
        return f"{FOLDER}/{key_of(self.fingerprint, problem_id, text, sentences)}.json"

    def find(self, name: str) -> VerticalScores | None:
        """The stored scores when their file is whole, and was written under that name.

        Raises:
            StoreFailedError: an object store does not say whether there is one.
        """
        try:
            stored = self.files.read(name)
            if stored is None:
                return None
            content = json.loads(stored.decode("utf-8"))
            if _digest(content["facts"]) != content["sha256"]:
                return None
            facts = content["facts"]
            if facts["name"] != name:
                return None
            return VerticalScores(facts["problem_id"], np.array(facts["scores"], np.float32), facts["mode_used"])
        except StoreFailedError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError):
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
        self.files.write(name, (json.dumps(content, sort_keys=True) + "\n").encode())


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
