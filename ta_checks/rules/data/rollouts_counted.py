"""The counts behind labels are of no more rollouts than the dataset's fractions can be of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

FRACTIONS = ("accuracy", "different_trajectories_fraction")
MOST = 1000
"""Rollouts per sentence that are looked for."""
TOLERANCE = 1e-6
TELLING = 10
"""Sentences with a fraction strictly between 0 and 1 below which nothing can be told."""
QUANTILE = 0.995
"""Of the least numbers; the few above it may be of edited or rounded fractions."""
ROOM = 0.9
"""Share of a campaign's rollouts that some sentence has answered, at least."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The fractions of every problem of the corpus, and the stored counts."""
    source = evidence.world.source(evidence.partition)
    found = evidence.world.rollouts.read_problems(source, evidence.problems_of_corpus())
    return {
        # another is skipped, which another check says
        "traces": [problem.chunks for _, problem in found if isinstance(problem, Problem)],
        "n_next": evidence.value["n_next"].to_numpy(),
        "said": evidence.study.labels.rollouts,
    }


def rollouts_counted(traces: Iterable[Sequence[Mapping[str, Any]]], n_next: np.ndarray, said: int | None) -> Verdict:
    """Fail when the study, or the stored counts, say more rollouts than fractions show, or fewer than they need.

    A fraction of 20 is one of 100, too: counted so, each label would seem to rest on five times its evidence. Where
    sentences say their counts, as those of a campaign that was made here do, each is held against its fractions.

    Args:
        traces: entries of ``chunks_labeled.json`` of every problem.
        n_next: [n_sentences] stored number of answered rollouts of the next sentence; NaN where unknown.
        said: rollouts per sentence by the study; None where they are inferred.
    """
    traces = list(traces)
    stated = list(_stated(traces))
    if stated:
        faults = [fault for fault in stated if fault]
        message = f"{len(stated)} sentences say how many rollouts they have"
        return Verdict.no_faults(faults, n=len(stated), unit="contradictions", message=message)
    shown, n, telling = rollouts_shown(traces)
    if shown is None:
        return Verdict.skipped(f"{telling} sentences have fractions that tell a number of rollouts")
    counted = 0 if np.isnan(n_next).all() else int(np.nanmax(n_next))
    offenders = [
        f"{what} {number} rollouts, the fractions show {shown}"
        for what, number in (("counts are of", counted), ("the study says", said or 0))
        if number and not shown <= number <= shown / ROOM
    ]
    return Verdict.judge(
        len(offenders),
        "==",
        0,
        unit="contradictions",
        n=n,
        offenders=offenders,
        message=f"{n} sentences have fractions of up to {shown} rollouts",
    )


def _stated(traces: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Of every sentence that says its own counts, what its fractions have against them; empty where nothing."""
    for chunks in traces:
        for index, (own, following) in enumerate(pairwise(chunks)):
            if own.get("n_next") is None:
                continue
            next_accuracy = own["k_next"] / own["n_next"] if own["n_next"] else 0.0
            other = own["k_different"] / own["n_different"] if own["n_different"] else 0.0
            importance = other - next_accuracy if own["n_next"] and own["n_different"] else 0.0
            said = (following.get("accuracy"), own.get("counterfactual_importance_accuracy"))
            close = all(
                isinstance(one, (int, float)) and abs(one - counted) <= TOLERANCE
                for one, counted in zip(said, (next_accuracy, importance), strict=True)
            )
            yield "" if close else f"sentence {index} of {own.get('chunk', '')!r}: counts and fractions differ"


def rollouts_shown(traces: Iterable[Sequence[Mapping[str, Any]]]) -> tuple[int | None, int, int]:
    """The least number of rollouts per sentence that accounts for nearly every fraction, and of how many sentences.

    Args:
        traces: entries of ``chunks_labeled.json`` of every problem.

    Returns:
        The number, None where too few sentences tell; sentences with fractions; those with one between 0 and 1.
    """
    least: list[int] = []
    numbers = np.arange(1, MOST + 1)
    telling = 0
    for chunk in (chunk for chunks in traces for chunk in chunks):
        known = [chunk[name] for name in FRACTIONS if isinstance(chunk.get(name), (int, float))]
        if len(known) < len(FRACTIONS):
            continue
        telling += any(0 < value < 1 for value in known)
        products = np.outer(known, numbers)
        fits = (np.abs(products - np.round(products)) <= TOLERANCE * np.maximum(1.0, products)).all(axis=0)
        least += [int(numbers[fits][0])] if fits.any() else []
    if telling < TELLING or not least:
        return None, len(least), telling
    # one sentence may be edited; the next sentence's accuracy and importance are left to the code that is judged
    return sorted(least)[int(np.ceil(QUANTILE * len(least))) - 1], len(least), telling


ROW = Invariant(
    "rollouts_counted",
    "sentences",
    read,
    rollouts_counted,
    "The number of rollouts per sentence contradicts the dataset's fractions, so the noise ceiling and every p-value "
    "of a label are of evidence that does not exist. Set labels.rollouts to the campaign's size, or leave it out.",
)
