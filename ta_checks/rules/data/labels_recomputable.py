"""The labels of a problem are what its rollouts say.

Every stored column that rollouts determine is compared, and so is the column that probes are trained on: a check of
one label says nothing about another. Stays out: the formula (``core.traces.label_recomputation``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.core.traces.label_recomputation import (
    DIFFERENT,
    RECOMPUTABLE,
    Rollout,
    different_text,
    recompute_labels,
)
from ta_assets.studies.sections import Verification
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_resources.rollouts.problem_files import UnusableProblem

TRAINED_ON = "sentences.counterfactual_raw"
"""The column of the table on which probes are trained."""
TOLERANCE = 1e-9
"""Largest difference that rounding explains: shares of a hundred rollouts, in float64."""


@dataclass(frozen=True)
class StoredLabels:
    """One stored column beside the one that the rollouts give.

    Raises:
        ValueError: the two have other lengths.
    """

    name: str
    stored: np.ndarray
    """[n_sentences] float64; NaN where nothing, or nothing that is a number, is stored."""
    recomputed: np.ndarray
    """[n_sentences] float64."""

    def __post_init__(self) -> None:
        if self.stored.shape != self.recomputed.shape or self.stored.ndim != 1:
            raise ValueError(f"{self.name}: {self.stored.shape} stored, {self.recomputed.shape} recomputed")


def read(evidence: Evidence) -> dict[str, Any]:
    """What the dataset and the table ``sentences`` hold for one problem against its rollouts."""
    study, table = evidence.study, evidence.value
    rollouts, source = evidence.world.rollouts, evidence.world.source(evidence.partition)
    problem_id = chosen_problem(evidence, sorted(int(one) for one in table["problem_id"].unique()))
    problem = rollouts.load_problem(source, problem_id)
    groups = rollouts.load_rollouts(source, problem_id, problem.folders)
    different, margin = differing(groups, study.verification, study.embedding_model)
    recomputed = recompute_labels(groups, different, problem.folders)
    stored = {name: _numbers([chunk.get(name) for chunk in problem.chunks]) for name in RECOMPUTABLE}
    # the dataset holds 0 for the last sentence, which has no next one, whatever its rollouts say
    compared = {name: slice(None, -1) if name == DIFFERENT else slice(None) for name in RECOMPUTABLE}
    columns = [StoredLabels(name, stored[name][at], recomputed[name][at]) for name, at in compared.items()]
    trained = table.loc[table["problem_id"] == problem_id, "counterfactual_raw"].to_numpy(np.float64)
    spoken = list(problem.spoken)
    labelled = spoken[:-1] if study.labels.drop_last_chunk and len(spoken) > 1 else spoken
    columns.append(StoredLabels(TRAINED_ON, trained, recomputed[study.labels.field][labelled]))
    details = {
        "problem": problem_id,
        "sentences": len(groups),
        "answered_rollouts": sum(len(group) for group in groups),
        "similarity": study.verification.similarity,
        **margin,
    }
    return {"columns": columns, "required": [study.labels.field, TRAINED_ON], "details": details}


def labels_recomputable(
    columns: Sequence[StoredLabels], *, required: Sequence[str], details: Mapping[str, Any] | None = None
) -> Verdict:
    """Fail when a stored label differs from the recomputed one, or is missing where others of its column are not.

    A column that holds nothing at all is not compared and is named in the details; a required one fails.

    Args:
        columns: of one problem.
        required: names of the columns on which results rest.
        details: how the labels were recomputed.
    """
    held = [column for column in columns if not np.isnan(column.stored).all()]
    absent = sorted({*required, *(column.name for column in columns)} - {column.name for column in held})
    unverified = [name for name in absent if name in required]
    details = {**(details or {}), "columns": [column.name for column in held], "not_stored": absent}
    if unverified:
        message = f"nothing is stored under {', '.join(unverified)}, on which the results rest"
        return Verdict(status="failed", offenders=tuple(unverified), message=message, details=details)
    differences = {column.name: np.abs(column.stored - column.recomputed) for column in held}
    faults = [
        f"sentence {index}: {column.name} is stored as {column.stored[index]:.6g}, "
        f"rollouts give {column.recomputed[index]:.6g}"
        for column in held
        for index in np.flatnonzero(~(differences[column.name] <= TOLERANCE))
    ]
    every = np.concatenate([*differences.values(), np.zeros(0)])
    details["largest_difference"] = {name: float(np.nanmax(values)) for name, values in differences.items()}
    # a missing one among stored ones is no small difference
    observed = float("inf") if np.isnan(every).any() or not len(every) else float(every.max())
    message = f"{len(every) - len(faults)} of {len(every)} stored numbers are what the rollouts give"
    if faults:
        message += ": labels are of other rollouts, of other sentences, or by another formula"
    return Verdict.judge(
        observed, "<=", TOLERANCE, unit="difference", n=len(every), offenders=faults, message=message, details=details
    )


ROW = Invariant(
    "labels_recomputable",
    "sentences",
    read,
    labels_recomputable,
    "The labels of a problem, computed again from its rollouts, are not the stored ones: they belong to other "
    "rollouts or sentences, or follow another formula, so probes would learn something else. Look at the "
    "offenders; if the details say that a cosine is next to the threshold, check the embedding model.",
    every_release=True,  # rollouts are no part of what sentences are made from, and may change without them
    parameters=lambda study: {"verification": study.verification.model_dump(), "field": study.labels.field},
    applies=lambda study: study.verifies_labels,
)


def chosen_problem(evidence: Evidence, problem_ids: Sequence[int]) -> int:
    """The problem that the study names; for ``auto`` the smallest id with all its rollouts on this machine, whole.

    Where no problem has all of them, as after an interrupted run, it is the smallest id with some; where none are kept
    yet, the smallest id if they can be fetched.

    Raises:
        InputError: the study names a problem that the corpus' table does not have, or a folder has no rollouts.
    """
    study = evidence.study
    wanted = study.verification.problem
    if wanted != "auto":
        if wanted not in problem_ids:
            known = ", ".join(str(one) for one in problem_ids)
            raise InputError(study.path, "verification.problem", wanted, f"a problem of {evidence.partition}: {known}")
        return int(wanted)
    source = evidence.world.source(evidence.partition)
    partly: list[int] = []
    for problem_id in problem_ids:
        folders = evidence.world.rollouts.load_problem(source, problem_id).folders
        kept = evidence.world.rollouts.kept_rollouts(source, problem_id, folders)
        if kept == len(folders) and _are_whole(evidence, problem_id, folders):
            return problem_id
        partly += [problem_id] * (kept > 0)
    if partly:
        return partly[0]
    if source.folder is not None:
        expected = "chunk_0/solutions.json and so on in at least one problem, or verification.problem: none"
        raise InputError(source.folder, source.prefix, "no rollouts", expected)
    return problem_ids[0]


def _are_whole(evidence: Evidence, problem_id: int, folders: Sequence[int]) -> bool:
    """Whether the rollouts of a problem can be read."""
    try:
        evidence.world.rollouts.load_rollouts(evidence.world.source(evidence.partition), problem_id, folders)
    except UnusableProblem:
        return False
    return True


def differing(
    groups: Sequence[Sequence[Rollout]], options: Verification, embedding_model: str
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """For each sentence [n_rollouts] bool, whether a rollout has another sentence; and how clear-cut that was.

    Raises:
        InputError: the embedding model cannot be loaded.
    """
    if options.similarity == "text":
        return [different_text(group) for group in groups], {}
    from ta_resources.language_model.sentence_similarity import SentenceSimilarity

    cosines = SentenceSimilarity(embedding_model).cosines(
        [(one.removed, one.resampled) for group in groups for one in group]
    )
    ends = np.cumsum([len(group) for group in groups])[:-1]
    # on another machine a cosine may differ in its last digits: a red verdict with a margin near 0 can be that
    nearest = float(np.abs(cosines - options.threshold).min()) if len(cosines) else None
    facts = {"embedding_model": options.embedding_model, "threshold": options.threshold, "nearest_cosine": nearest}
    return [part < options.threshold for part in np.split(cosines, ends)], facts


def _numbers(values: Sequence[object]) -> np.ndarray:
    """[n] float64; NaN for what is absent."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
