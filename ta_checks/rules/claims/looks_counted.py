"""A comparison knows of every earlier look at other problems, and spends its error over them and over the settings."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.levels import ALPHA
from ta_checks.verdict import Verdict

LOOKED_AT = "looked_at"
"""Fact of a comparison in the event log: the problems that it looked at."""
DRAWS = 40_000
"""Data sets without any effect that are drawn."""
STANDARD_ERRORS = 5.0
"""Of the drawn rate, by which it may lie above the level."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The looks of the comparison against those of the event log, and the number of settings of the study."""
    value, labels = evidence.value, evidence.cross_fitted.scores[["problem_id", "anchor"]]
    classes = labels.groupby("problem_id")["anchor"].nunique()
    made = list(evidence.world.ledger.history(evidence.asset, evidence.partition))
    return {
        "looks": value["looks"],
        "level": value["level"],
        "settings": value["settings"],
        "own": [int(problem) for problem in classes.index[classes > 1]],
        "recorded": [one.metadata.get(LOOKED_AT) or [] for one in reversed(made)],
        "of_study": len(evidence.study.settings),
    }


def looks_counted(
    looks: Sequence[Mapping[str, float]],
    level: float,
    settings: int,
    *,
    own: Collection[int],
    recorded: Sequence[Collection[int]],
    of_study: int,
) -> Verdict:
    """Fail on a look that is not counted, and on levels with which noise would be called something too often.

    What all looks err together is drawn: means of normal values over the problems of each look.

    Args:
        looks: of the comparison: ``problems`` and ``level`` of each up to the present one.
        level: what its p-values must reach.
        settings: number of settings that it says are printed together.
        own: problems of both classes that it is of.
        recorded: problems of each time that it was made, the first first.
        of_study: number of settings of the study.
    """
    sets: list[frozenset[int]] = []
    for look in (*map(frozenset, recorded), frozenset(own)):
        if look and look not in sets:
            sets.append(look)
        if look == frozenset(own):
            break
    sizes = [len(one) for one in sets]
    faults = []
    if [look["problems"] for look in looks] != sizes:
        faults.append(f"looks are of {[look['problems'] for look in looks]} problems, the event log has {sizes}")
    if settings != of_study:
        faults.append(f"{settings} settings are counted, the study has {of_study}")
    if not looks or looks[-1]["level"] != level:
        faults.append(f"the level is {level:.3g}, the last look has {looks[-1]['level'] if looks else None}")
    if not faults:
        rate = _errs(sets, [look["level"] for look in looks])
        allowed = ALPHA / settings
        if rate > allowed + STANDARD_ERRORS * math.sqrt(allowed / DRAWS):
            faults.append(f"noise passes at some look in {rate:.2%} of {DRAWS} draws, allowed are {allowed:.2%}")
    message = f"look {len(sets)} of {settings} settings, level {level:.3g}"
    return Verdict.no_faults(faults, n=len(sets), message=message)


ROW = Invariant(
    "looks_counted",
    "probe_comparison",
    read,
    looks_counted,
    "An earlier look at other problems is not counted, or the level of all looks and settings together is above 5 %: "
    "who looks often enough finds something. Materialize probe_comparison; if it stays red, its level is wrong.",
)


def _errs(sets: Sequence[frozenset[int]], levels: Sequence[float]) -> float:
    """Share of data sets of noise in which some look is significant at its level, two-sided."""
    from scipy.stats import norm

    problems = sorted(frozenset().union(*sets))
    values = np.random.default_rng(0).standard_normal((DRAWS, len(problems)))
    passed = np.zeros(DRAWS, dtype=bool)
    for look, level in zip(sets, levels, strict=True):
        inside = np.isin(problems, list(look))
        passed |= np.abs(values[:, inside].sum(axis=1) / math.sqrt(len(look))) > norm.isf(max(level, 1e-300) / 2)
    return float(passed.mean())
