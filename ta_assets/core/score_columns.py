"""How scores lie in the columns of stored tables, and the one place that packs and unpacks their names.

Belongs here: names of columns. Stays out: what a score is (``crossfit``, ``probes``), files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

KEYS = ["problem_id", "chunk_idx"]
"""Columns that name a sentence."""
SCORE_PREFIX = "score_"
"""Beginning of the column of a model's scores in predictions and in seed-free scores."""
RESIDUAL_PREFIX = "residual_score_"
"""The same of a model that was refitted on residuals."""


def scored_models(table: pd.DataFrame) -> list[str]:
    """Models whose scores a table of predictions holds, in the order of its columns."""
    return [str(name).removeprefix(SCORE_PREFIX) for name in table.columns if str(name).startswith(SCORE_PREFIX)]


@dataclass(frozen=True)
class ScoreTable:
    """Out-of-fold scores of every sentence; each score has a value per repeat of the folds."""

    frame: pd.DataFrame
    """problem_id, chunk_idx, anchor and ``name/repeat`` (float64), one row per sentence."""

    @classmethod
    def of_scores(cls, sentences: pd.DataFrame, scores: Mapping[str, np.ndarray]) -> ScoreTable:
        """Pack scores.

        Args:
            sentences: one row per sentence, with its keys and label.
            scores: name -> [n_repeats, n_sentences] float64.
        """
        columns = {f"{name}/{repeat}": one for name, values in scores.items() for repeat, one in enumerate(values)}
        return cls(sentences[[*KEYS, "anchor"]].assign(**columns))

    @property
    def anchors(self) -> np.ndarray:
        """[n_sentences] labels, 0 and 1."""
        return self.frame["anchor"].to_numpy()

    @property
    def problems(self) -> np.ndarray:
        """[n_sentences] problem ids."""
        return self.frame["problem_id"].to_numpy()

    def names(self) -> tuple[str, ...]:
        """Scores that it holds, in the order in which they were made."""
        return tuple(dict.fromkeys(name.rpartition("/")[0] for name in self.frame.columns if "/" in name))

    def of(self, name: str) -> np.ndarray:
        """[n_repeats, n_sentences] float64.

        Raises:
            KeyError: there is no such score.
        """
        columns = [column for column in self.frame.columns if column.rpartition("/")[0] == name]
        if not columns:
            raise KeyError(name)
        return self.frame[columns].to_numpy(np.float64).T
