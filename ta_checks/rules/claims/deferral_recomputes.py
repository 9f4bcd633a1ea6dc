"""A deferral plan says what its thresholds do to the stored predictions, by a count of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.ledger.partitions import Cell
from ta_checks.evidence import FOLD, KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

COUNTS = ("n", "n_negative", "n_positive", "n_deferred", "n_errors")


@dataclass(frozen=True)
class PlannedRows:
    """The thresholds and the counts of one plan, and the rows that it is about."""

    name: str
    """Name of the plan and the part, for messages."""
    thresholds: tuple[float, float]
    """Negative and positive."""
    claimed: Mapping[str, Any]
    """Counts of the plan by name, see ``COUNTS``."""
    scores: np.ndarray
    """[n_rows] float."""
    anchors: np.ndarray
    """[n_rows] of 0 and 1."""
    problems: np.ndarray
    """[n_rows] problem ids."""

    def decisions(self) -> np.ndarray:
        """[n_rows] 1 for anchor, 0 for none, -1 for neither."""
        negative, positive = self.thresholds
        return np.where(self.scores >= positive, 1, np.where(self.scores <= negative, 0, -1))


def read(evidence: Evidence) -> dict[str, Any]:
    """Every plan of every seed and group against the predictions of its cell."""
    return {"plans": planned_rows(evidence, ("val", "test"))}


def planned_rows(evidence: Evidence, parts: Sequence[str]) -> list[PlannedRows]:
    """The rows of these parts of the split under every plan of every seed and group."""
    value, store = evidence.value, evidence.world.store
    sentences = store.load("sentences", evidence.corpus)
    tables = {}
    for seed in sorted({plan["seed"] for plan in value["plans"]}):
        predictions = store.load("probe_metrics", Cell(evidence.partition, seed).key).predictions
        tables[seed] = predictions.merge(sentences[[*KEYS, "function_tag"]], on=KEYS, how="left")
    planned = []
    for plan in value["plans"]:
        table = tables[plan["seed"]]
        for part in parts:
            inside = (table["split"] == part).to_numpy() & (_groups(table, value["group"]) == plan["group"])
            rows = table.take(np.flatnonzero(inside))
            planned.append(
                PlannedRows(
                    name=f"seed {plan['seed']}, {plan['group']}, {part}",
                    thresholds=(plan["t_neg"], plan["t_pos"]),
                    claimed=plan[part],
                    scores=rows[f"score_{value['probe']}"].to_numpy(dtype="float64"),
                    anchors=rows["anchor"].to_numpy(),
                    problems=rows["problem_id"].to_numpy(),
                )
            )
    return planned


def deferral_recomputes(plans: Sequence[PlannedRows]) -> Verdict:
    """Fail on thresholds out of order, on counts that differ from a recount, or when there are no plans."""
    if not plans:
        return Verdict.failed("the plan has no thresholds at all")
    faults = [f"{plan.name}: {fault}" for plan in plans for fault in _faults(plan)]
    return Verdict.no_faults(faults, n=len(plans), message=f"{len(plans)} plans recounted, {len(faults)} faults")


ROW = Invariant(
    "deferral_recomputes",
    "deferral_plan",
    read,
    deferral_recomputes,
    "Thresholds are out of order, or applied to the stored predictions they give other counts than the plan says: "
    "the plan is of other predictions, or its arithmetic is wrong. Materialize deferral_plan.",
)


def _groups(table: pd.DataFrame, group: str) -> np.ndarray:
    """[n_rows] str: what each row's thresholds are for, and in which fold."""
    if group == "function_tag":
        names = [str(tag) for tag in table["function_tag"]]
    elif group == "position_third":
        names = [("early", "middle", "late")[min(int(3 * at), 2)] for at in table["relative_position"].astype(float)]
    else:
        names = ["all"] * len(table)
    if FOLD in table:
        names = [f"fold {fold}, {name}" for fold, name in zip(table[FOLD], names, strict=True)]
    return np.array(names, dtype=str)


def _faults(plan: PlannedRows) -> list[str]:
    negative, positive = plan.thresholds
    if not negative <= positive:
        return [f"negative threshold {negative} is above the positive {positive}"]
    decisions = plan.decisions()
    counts = [
        len(decisions),
        np.sum(decisions == 0),
        np.sum(decisions == 1),
        np.sum(decisions == -1),
        np.sum((decisions != -1) & (decisions != plan.anchors)),
    ]
    return [
        f"{name} is {plan.claimed.get(name)}, recounted {count}"
        for name, count in zip(COUNTS, counts, strict=True)
        if plan.claimed.get(name) != count
    ]
