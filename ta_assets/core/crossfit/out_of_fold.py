"""The sentences that are scored, the folds as rows, and the scores with what each owes to every training problem.

Belongs here: these records. Stays out: what is fitted in a fold (``fit``), the algebra (``ridge``, ``logistic``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.crossfit.folds import Folds
from ta_assets.core.statistics.ranking import mixed_problems, problem_average_precision
from ta_assets.core.statistics.supported import could_be_anchors

EVERY, SUPPORTED = "every", "supported"
"""Gradings: among all sentences, and among those that could be anchors."""


@dataclass(frozen=True)
class Sentences:
    """The sentences of a setting, sorted by problem and index, with everything a baseline or probe may see."""

    rows: pd.DataFrame
    """Label columns and token_count."""
    blocks: Mapping[int, np.ndarray]
    """Block -> [n, d_model] float; may be empty."""

    def __post_init__(self) -> None:
        order = np.lexsort((self.rows["chunk_idx"], self.rows["problem_id"]))
        if not np.array_equal(order, np.arange(len(order))):
            object.__setattr__(self, "rows", self.rows.take(order).reset_index(drop=True))
            object.__setattr__(self, "blocks", {block: vectors[order] for block, vectors in self.blocks.items()})

    @property
    def anchors(self) -> np.ndarray:
        """[n] int64."""
        return self.rows["anchor"].to_numpy(np.int64)

    @property
    def problems(self) -> np.ndarray:
        """[n] int64."""
        return self.rows["problem_id"].to_numpy(np.int64)


@dataclass(frozen=True)
class Fold:
    """One fold of one repeat: which rows are trained on and which are scored."""

    repeat: int
    held_out: tuple[int, ...]
    train: np.ndarray
    """Row positions."""
    test: np.ndarray


def folds_of(folds: Folds, problems: np.ndarray) -> Iterator[Fold]:
    """Every fold as row positions."""
    for repeat, parts in enumerate(folds.repeats):
        for held_out in parts:
            test = np.isin(problems, held_out)
            yield Fold(repeat, held_out, np.flatnonzero(~test), np.flatnonzero(test))


def probe_name(family: str, block: int, blocks: Mapping[int, Any]) -> str:
    """``ridge``, or ``ridge@12`` where several blocks were extracted."""
    return family if len(blocks) == 1 else f"{family}@{block}"


def block_of(name: str) -> int:
    """Block of a probe whose name has one; see ``probe_name``."""
    return int(name.rpartition("@")[2])


class OutOfFold:
    """Scores that no fit has seen the labels of, and each problem's precision without every other problem."""

    def __init__(self, sentences: Sentences, n_repeats: int) -> None:
        self.scores: dict[str, np.ndarray] = {}
        """Name -> [n_repeats, n] float64."""
        self.choices: dict[str, list[dict[str, Any]]] = {}
        """Name -> for each fold, what was chosen inside it and the certificate of the fit."""
        self.without: dict[tuple[str, str], np.ndarray] = {}
        """(grading, name) -> [n_repeats, n_mixed, n_mixed] average precision of problem i by the fit without problem
        j; on the diagonal, and where j was held out together with i, that of the fit as it is."""
        self._labels, self._problems = sentences.anchors, sentences.problems
        self._shape = n_repeats, len(sentences.rows)
        self._members = gradings(sentences.rows)

    def expect(self, *names: str) -> None:
        """Make room for names."""
        for name in names:
            self.scores[name] = np.full(self._shape, np.nan)
            for grading, members in self._members.items():
                self.without[grading, name] = np.full((self._shape[0], len(members), len(members)), np.nan)

    def put(self, name: str, fold: Fold, values: np.ndarray, without: np.ndarray, facts: Mapping[str, Any]) -> None:
        """Record one fit.

        Args:
            name: that room was made for.
            fold: where it was fitted.
            values: [n_test] scores.
            without: [n_training_problems, n_test] scores without each training problem, by sorted id.
            facts: what was chosen, and the certificate.
        """
        self.scores[name][fold.repeat, fold.test] = values
        self.choices.setdefault(name, []).append(dict(facts))
        trained = np.unique(self._problems[fold.train])
        every = np.vstack([values, without])
        for grading, members in self._members.items():
            place = {problem: index for index, problem in enumerate(members)}
            kept = np.flatnonzero(np.isin(trained, list(members)))
            columns = [place[int(problem)] for problem in trained[kept]]
            for problem in (one for one in fold.held_out if one in members):
                inside = np.searchsorted(fold.test, members[problem])
                labels = self._labels[members[problem]]
                found = problem_average_precision(labels, np.ascontiguousarray(every[:, inside]))
                row = self.without[grading, name][fold.repeat, place[problem]]
                row[:] = found[0]
                row[columns] = found[1:][kept]

    def copy_fold(self, name: str, chosen: str, fold: Fold, facts: Mapping[str, Any]) -> None:
        """Record in one fold what another name scored there."""
        self.scores[name][fold.repeat, fold.test] = self.scores[chosen][fold.repeat, fold.test]
        self.choices.setdefault(name, []).append(dict(facts))
        for grading, members in self._members.items():
            rows = [index for index, problem in enumerate(members) if problem in fold.held_out]
            self.without[grading, name][fold.repeat, rows] = self.without[grading, chosen][fold.repeat, rows]

    def influence_table(self) -> pd.DataFrame:
        """One row per grading and pair of problems: grading, problem_id, absent, and a column per trained score."""
        frames = []
        for grading, members in self._members.items():
            ids = np.array(list(members), dtype=np.int64)
            names = [name for kind, name in self.without if kind == grading]
            frames.append(
                pd.DataFrame(
                    {
                        "grading": grading,
                        "problem_id": np.repeat(ids, len(ids)),
                        "absent": np.tile(ids, len(ids)),
                        **{name: self.without[grading, name].mean(axis=0).ravel() for name in names},
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)


def gradings(rows: pd.DataFrame) -> dict[str, dict[int, np.ndarray]]:
    """Grading -> problem id -> row positions, of the problems that hold both classes in it.

    Args:
        rows: sorted by problem and index. Without rollout counts there is only ``EVERY``.
    """
    labels, problems = rows["anchor"].to_numpy(np.int64), rows["problem_id"].to_numpy(np.int64)
    found = {EVERY: mixed_problems(labels, problems)}
    able = could_be_anchors(rows)
    if able is not None:
        kept = np.flatnonzero(able)
        inside = mixed_problems(labels[kept], problems[kept])
        found[SUPPORTED] = {problem: kept[at] for problem, at in inside.items()}
    return found
