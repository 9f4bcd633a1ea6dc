"""Faults in the data themselves: labels of problems without rollouts, files that contradict each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.proof.faults import Fault
from tests.proof.faults.planting import edit_json
from tests.proof.world import CORPUS, OTHER, World

CHUNKS, BASE, STATEMENT, ROLLOUTS = "chunks_labeled.json", "base_solution.json", "problem.json", "solutions.json"
LABELS = ("counterfactual_importance_accuracy", "resampling_importance_accuracy")
FRACTIONS = ("accuracy", "different_trajectories_fraction")
N_LOST = 3
Chunks = list[dict[str, Any]]


def _labels(edit: Callable[[Chunks], Chunks]) -> Callable[[World], None]:
    """The labels of every problem without rollouts are wrong."""

    def plant(world: World) -> None:
        for folder in world.problems(CORPUS):
            if not (folder / "chunk_0").is_dir():
                edit_json(folder / CHUNKS, edit)
        world.forget()

    return plant


def _numbers(edit: Callable[[Chunks, int, str], float]) -> Callable[[Chunks], Chunks]:
    return lambda chunks: [
        {**chunk, **{name: edit(chunks, index, name) for name in LABELS}} for index, chunk in enumerate(chunks)
    ]


def _other_campaign(world: World) -> None:
    """Accuracies and fractions are those of the sentences of another problem."""
    theirs = json.loads((world.problems(OTHER)[0] / CHUNKS).read_text(encoding="utf-8"))

    def edit(chunks: Chunks) -> Chunks:
        return [
            {**chunk, **{name: theirs[index % len(theirs)][name] for name in FRACTIONS}}
            for index, chunk in enumerate(chunks)
        ]

    _labels(edit)(world)


def _problem(edit: Callable[[Path], None], *, with_rollouts: bool = False) -> Callable[[World], None]:
    """The files of one problem are wrong."""

    def plant(world: World) -> None:
        found = [one for one in world.problems(CORPUS) if (one / "chunk_0").is_dir() == with_rollouts]
        edit(found[0])
        world.forget()

    return plant


def _wrong_answer(folder: Path) -> None:
    edit_json(folder / BASE, lambda base: {**base, "is_correct": False})


def _cut_short(folder: Path) -> None:
    """Sentences and trace end in the middle, as where the model ran out of tokens."""
    half = json.loads((folder / CHUNKS).read_text(encoding="utf-8"))
    last = half[len(half) // 2]["chunk"]
    edit_json(folder / CHUNKS, lambda chunks: chunks[: len(chunks) // 2 + 1])
    for name in ("solution", "full_cot"):
        edit_json(folder / BASE, lambda base, name=name: {**base, name: _through(base[name], last)})


def _through(text: str, last: str) -> str:
    return text[: text.rfind(last) + len(last)]


def _lost_sentences(folder: Path) -> None:
    edit_json(folder / CHUNKS, lambda chunks: chunks[:-3])


def _another_prompt(folder: Path) -> None:
    """The problem is asked in another language than its rollouts were."""
    asked = "Eine Uhr mit 12 Stunden. Was zeigt sie am Ende?"
    edit_json(folder / STATEMENT, lambda statement: {**statement, "problem": asked})
    edit_json(folder / BASE, lambda base: {**base, "prompt": asked, "full_cot": asked + base["solution"]})


def _lose_problems(world: World) -> None:
    for folder in [one for one in world.problems(CORPUS) if not (one / "chunk_0").is_dir()][-N_LOST:]:
        shutil.rmtree(folder)
    world.forget()


FRACTIONS_CHECK, WHOLE = "labels_follow_fractions", "traces_are_whole"
FAULTS = (
    *(
        Fault(name, FRACTIONS_CHECK, "sentences", plant)
        for name, plant in (
            (
                "labels of all problems without rollouts are shifted",
                _labels(_numbers(lambda chunks, index, name: chunks[index - 1][name])),
            ),
            (
                "labels of all problems without rollouts are in percent",
                _labels(_numbers(lambda chunks, index, name: 100 * chunks[index][name])),
            ),
            (
                "every other label of the problems without rollouts was missing and is 0",
                _labels(_numbers(lambda chunks, index, name: chunks[index][name] if index % 2 else 0.0)),
            ),
            ("fractions of the problems without rollouts are of another campaign", _other_campaign),
        )
    ),
    *(
        Fault(name, WHOLE, "sentences", plant)
        for name, plant in (
            ("a wrong trace lies among the right ones", _problem(_wrong_answer)),
            ("a trace is cut short, and its sentences with it", _problem(_cut_short)),
            ("the last sentences of a trace are not in the data", _problem(_lost_sentences)),
            ("a problem is asked in another language than its rollouts", _problem(_another_prompt, with_rollouts=True)),
        )
    ),
    Fault("a corpus has lost three problems", "corpus_not_shrunk", "problem_ids", _lose_problems, status="warned"),
)
