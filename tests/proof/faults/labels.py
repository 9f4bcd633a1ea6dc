"""Faults in the labels: in the rule that makes them, in the table that holds them, in the dataset itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.options import LabelRule
from ta_assets.core.traces import labels
from ta_assets.core.traces.label_recomputation import ACCURACY, COUNTERFACTUAL, DIFFERENT, RESAMPLING
from tests.proof.faults import Fault
from tests.proof.faults.planting import edit_json, make_wrong, replace
from tests.proof.world import CORPUS, World

CHUNKS = "chunks_labeled.json"
Chunks = list[dict[str, Any]]


def _importances(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], None]:
    """The label rule reads other importances, in every problem."""

    def plant(world: World) -> None:
        read = labels._importances
        replace(labels, "_importances", lambda *given: edit(read(*given)))
        world.make("sentences", CORPUS)

    return plant


def _anchors(rule: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        replace(labels, "anchors", rule)
        world.make("sentences", CORPUS)

    return plant


def _rule(**options: Any) -> Callable[[World], None]:
    """The labels of a study are made by the rule of another."""

    def plant(world: World) -> None:
        right = labels.label_problem

        def wrong(problem: Any, rule: LabelRule) -> pd.DataFrame:
            return right(problem, LabelRule(**{**rule.__dict__, **options}))

        replace(labels, "label_problem", wrong)
        world.make("sentences", CORPUS)

    return plant


def _table(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        make_wrong(world, "sentences", CORPUS, edit)

    return plant


def _dataset(edit: Callable[[Chunks], Chunks]) -> Callable[[World], None]:
    """The dataset's labels of the problem whose rollouts are at hand are wrong."""

    def plant(world: World) -> None:
        for folder in world.problems(CORPUS):
            if (folder / "chunk_0").is_dir():
                edit_json(folder / CHUNKS, edit)

    return plant


def _importance_of(value: Callable[[Chunks, int], float]) -> Callable[[Chunks], Chunks]:
    return lambda chunks: [{**chunk, COUNTERFACTUAL: value(chunks, index)} for index, chunk in enumerate(chunks)]


def _shifted(chunks: Chunks, index: int) -> float:
    return chunks[index - 1][COUNTERFACTUAL]


def _next_but_one(chunks: Chunks, index: int) -> float:
    """Less the accuracy of the sentence after the next one."""
    if index + 2 >= len(chunks):
        return 0.0
    return chunks[index][COUNTERFACTUAL] + chunks[index + 1][ACCURACY] - chunks[index + 2][ACCURACY]


def _own_accuracy(chunks: Chunks, index: int) -> float:
    """Less the accuracy of the sentence's own rollouts instead of the next one's."""
    if index + 1 >= len(chunks):
        return 0.0
    return chunks[index][COUNTERFACTUAL] + chunks[index + 1][ACCURACY] - chunks[index][ACCURACY]


def _field(name: str, value: Callable[[float], float]) -> Callable[[Chunks], Chunks]:
    return lambda chunks: [{**chunk, name: value(chunk[name])} for chunk in chunks]


def _late_rollouts(world: World) -> None:
    """After all was made, the rollouts of every sentence move to the folder of the next one, the last to the first."""
    for folder in world.problems(CORPUS):
        groups = sorted(folder.glob("chunk_*/solutions.json"), key=lambda path: int(path.parent.name.split("_")[1]))
        contents = [path.read_bytes() for path in groups]
        for path, content in zip(groups, [*contents[-1:], *contents[:-1]], strict=True):
            path.write_bytes(content)


def _twins(world: World) -> None:
    """After all was made, a problem has the files of another under its own id."""
    first, second = sorted(world.problems(CORPUS))[:2]
    for name in ("problem.json", "base_solution.json", CHUNKS):
        (second / name).write_bytes((first / name).read_bytes())


def _unfit_table(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    """The label rule gives a table that is no table of sentences, whenever it is asked."""

    def plant(world: World) -> None:
        right = labels.label_usable

        def wrong(*given: Any) -> tuple[pd.DataFrame, Any]:
            table, skipped = right(*given)
            return edit(table), skipped

        replace(labels, "label_usable", wrong)
        world.make("sentences", CORPUS)

    return plant


def _from_the_ends(importance: np.ndarray, percentile: float) -> np.ndarray:
    size = np.abs(importance)
    return (size <= np.percentile(size, 100 - percentile)).astype(np.int64)


def _signed_anchors(importance: np.ndarray, percentile: float) -> np.ndarray:
    return (importance >= np.percentile(importance, percentile)).astype(np.int64)


def _of_the_corpus(table: pd.DataFrame) -> pd.DataFrame:
    threshold = np.percentile(table["importance_score"], 90)
    return table.assign(anchor=(table["importance_score"] >= threshold).astype("int64"))


def _two_problems_swapped(table: pd.DataFrame) -> pd.DataFrame:
    """The labels of two problems of equal length are each other's."""
    named = ["counterfactual_raw", "importance_signed", "importance_score", "anchor"]
    members = [np.flatnonzero(table["problem_id"] == one) for one in table["problem_id"].unique()]
    pairs = ((a, b) for a, b in combinations(members, 2) if len(a) == len(b))
    first, second = next(pairs)
    order = np.arange(len(table))
    order[first], order[second] = second, first
    return table.assign(**{name: table[name].to_numpy()[order] for name in named})


def _lost(table: pd.DataFrame) -> pd.DataFrame:
    kept = np.flatnonzero(table["problem_id"] != table["problem_id"].iloc[0])
    return table.take(kept).reset_index(drop=True)


FOLLOW = "labels_follow_rule"
RECOMPUTE = "labels_recomputable"
FAULTS = (
    *(
        Fault(name, FOLLOW, "sentences", plant)
        for name, plant in (
            ("labels are shifted by one sentence", _importances(lambda raw: np.roll(raw, 1))),
            ("the sign of all importances is flipped", _importances(np.negative)),
            ("importances are rounded to one decimal", _importances(lambda raw: np.round(raw, 1))),
            ("importances are rolled from the end of the trace", _importances(lambda raw: raw[::-1])),
            ("the anchor percentile is that of another study", _rule(anchor_percentile=75.0)),
            ("the last sentence is not dropped", _rule(drop_last_chunk=False)),
            ("labels are resampling importances", _rule(field=RESAMPLING)),
            ("the least important sentences are anchors", _anchors(_from_the_ends)),
            ("anchors are chosen by signed importance", _anchors(_signed_anchors)),
            ("one percentile for the whole corpus", _table(_of_the_corpus)),
            ("two problems have each other's labels", _table(_two_problems_swapped)),
            ("a problem has lost its labels", _table(_lost)),
            (
                "texts are of the next sentence",
                _table(lambda table: table.assign(chunk_text=np.roll(table["chunk_text"], -1))),
            ),
            (
                "positions count from the end",
                _table(lambda table: table.assign(relative_position=1 - table["relative_position"])),
            ),
            (
                "two columns of importances are swapped",
                _table(
                    lambda table: table.rename(
                        columns={"importance_score": "relative_position", "relative_position": "importance_score"}
                    ).astype(table.dtypes.to_dict())
                ),
            ),
        )
    ),
    *(
        Fault(name, RECOMPUTE, "sentences", plant)
        for name, plant in (
            ("the dataset's labels are shifted by one sentence", _dataset(_importance_of(_shifted))),
            ("the dataset's labels have the other sign", _dataset(_field(COUNTERFACTUAL, lambda value: -value))),
            ("the dataset subtracts the sentence after the next", _dataset(_importance_of(_next_but_one))),
            ("the dataset subtracts the sentence's own accuracy", _dataset(_importance_of(_own_accuracy))),
            ("the dataset's accuracies are error rates", _dataset(_field(ACCURACY, lambda value: 1 - value))),
            ("the dataset counts similar rollouts as different", _dataset(_field(DIFFERENT, lambda value: 1 - value))),
            ("rollouts are filed under the next sentence", _late_rollouts),
        )
    ),
    Fault(
        "importances keep their sign where sizes are meant",
        "made",
        "sentences",
        _unfit_table(lambda table: table.assign(importance_score=table["counterfactual_raw"])),
    ),
    Fault(
        "anchors are stored as text",
        "made",
        "sentences",
        _unfit_table(lambda table: table.assign(anchor=table["anchor"].astype(str))),
    ),
    Fault(
        "every label is said to rest on five times its rollouts",
        "rollouts_counted",
        "sentences",
        _table(lambda table: table.assign(n_next=5 * table["n_next"])),
    ),
    Fault("a trace lies under two ids", "problems_are_distinct", "sentences", _twins),
    Fault(
        "labels rest on two rollouts each",
        "label_support",
        "probe_comparison",
        _table(lambda table: table.assign(n_different=2.0)),
        status="warned",
    ),
)
