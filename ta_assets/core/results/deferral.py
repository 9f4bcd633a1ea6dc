"""Two thresholds that decide the clear sentences and leave the rest to a person.

A score at or below the negative threshold means "no anchor", at or above the positive one "anchor" (which wins where
both hold), anything between is deferred. Thresholds are chosen on validation rows and reported on others.

Belongs here: both objectives, outcomes, groups. Stays out: what each pair of thresholds does (``threshold_pairs``),
which probe and which cells, files, plots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ta_assets.core.statistics.metrics import finite_scores
from ta_assets.core.statistics.threshold_pairs import Pairs

TOLERANCE = 1e-12
"""A rate that equals its limit but for rounding keeps it."""
OBJECTIVES = ("budget", "error")


@dataclass(frozen=True)
class Objective:
    """What the thresholds must keep, and so what is left to minimize."""

    kind: str
    """``budget``: fewest errors with at most ``limit`` deferred; ``error``: fewest deferred with at most ``limit``
    errors among the decided."""
    limit: float
    """A rate in [0, 1]."""

    def __post_init__(self) -> None:
        if self.kind not in OBJECTIVES or not 0 <= self.limit <= 1:
            raise ValueError(f"objective {self.kind!r} with limit {self.limit}, expected budget or error in [0, 1]")


@dataclass(frozen=True)
class Thresholds:
    """``negative`` <= ``positive``."""

    negative: float
    positive: float


@dataclass(frozen=True)
class Outcome:
    """What thresholds do to some rows."""

    n: int
    n_negative: int
    """Decided as no anchor."""
    n_positive: int
    """Decided as anchor."""
    n_errors: int
    """Decided wrongly."""

    @property
    def n_deferred(self) -> int:
        """Left undecided."""
        return self.n - self.n_negative - self.n_positive

    @property
    def deferral_rate(self) -> float:
        """Share of the rows left undecided; NaN without rows."""
        return self.n_deferred / self.n if self.n else math.nan

    @property
    def accepted_coverage(self) -> float:
        """Share of the rows decided."""
        return (self.n_negative + self.n_positive) / self.n if self.n else math.nan

    @property
    def accepted_error(self) -> float:
        """Share of the decided rows that are decided wrongly; NaN when none is decided."""
        decided = self.n_negative + self.n_positive
        return self.n_errors / decided if decided else math.nan

    def __add__(self, other: Outcome) -> Outcome:
        """Counts of both: rates of the sum are those of the parts, weighted by their counts."""
        return Outcome(
            self.n + other.n,
            self.n_negative + other.n_negative,
            self.n_positive + other.n_positive,
            self.n_errors + other.n_errors,
        )

    def to_json(self) -> dict[str, float]:
        """Counts and rates by name; rates may be NaN."""
        return {
            "n": self.n,
            "n_negative": self.n_negative,
            "n_positive": self.n_positive,
            "n_deferred": self.n_deferred,
            "n_errors": self.n_errors,
            "deferral_rate": self.deferral_rate,
            "accepted_coverage": self.accepted_coverage,
            "accepted_error": self.accepted_error,
            "accepted_accuracy": 1 - self.accepted_error,
        }


@dataclass(frozen=True)
class Rows:
    """Scored rows with their labels."""

    scores: np.ndarray
    """[n_rows] float; finite."""
    labels: np.ndarray
    """[n_rows] of 0 and 1."""
    problems: np.ndarray | None = None
    """[n_rows] problem of each row, where rates are to hold over problems."""

    def __post_init__(self) -> None:
        finite_scores(self.scores)
        if self.scores.ndim != 1 or self.labels.shape != self.scores.shape:
            raise ValueError(f"scores {self.scores.shape} and labels {self.labels.shape} must be one a row")

    def at(self, inside: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.scores[inside], self.labels[inside], None if self.problems is None else self.problems[inside])


@dataclass(frozen=True)
class Plan:
    """Thresholds and what they do where they were chosen."""

    thresholds: Thresholds
    meets_objective: bool
    """On the rows that they were chosen on; False: no pair does, and these make the fewest errors."""
    promised: bool
    """Whether the upper limit over problems keeps it, too, so that new problems may be expected to."""
    chosen_on: Outcome


def choose(rows: Rows, objective: Objective, quantiles: int = 101) -> Plan:
    """The best pair of candidates on these rows.

    For a budget the smallest (error, deferral, negative, positive), compared in this order, of all pairs that defer at
    most the limit; for an error the smallest (deferral, error, negative, positive) of all that err at most the limit.
    Where no pair keeps the limit, the smallest (error, deferral, negative, positive) of all. A pair that decides
    nothing has no error, so it is the worst in error and meets none. Where the problems of the rows are known, the best
    of many pairs keeps a limit by luck: those whose upper limit over problems keeps it come first, where there are any.

    Raises:
        ValueError: no rows, a score is not finite, or fewer than two quantiles.
    """
    return best(Pairs.of(rows.scores, rows.labels, rows.problems, quantiles), objective)


def best(pairs: Pairs, objective: Objective, *, keep_promise: bool = True) -> Plan:
    """The pair that ``choose`` describes.

    Args:
        pairs: all of them.
        objective: what to keep.
        keep_promise: prefer those whose upper limit over problems keeps it, too, where any does.
    """
    rate = pairs.deferral if objective.kind == "budget" else pairs.error
    kept = rate <= objective.limit + TOLERANCE
    sure = kept & (pairs.upper(objective.kind) <= objective.limit + TOLERANCE) if keep_promise else kept & False
    promised, met = bool(sure.any()), bool(kept.any())
    allowed = np.flatnonzero(sure if promised else kept) if met else np.arange(len(rate))
    first, second = (
        (pairs.deferral, pairs.error) if objective.kind == "error" and met else (pairs.error, pairs.deferral)
    )
    keys = (pairs.positive[allowed], pairs.negative[allowed], second[allowed], first[allowed])
    at = allowed[np.lexsort(keys)[0]]
    outcome = Outcome(pairs.n, int(pairs.decided_negative[at]), int(pairs.decided_positive[at]), int(pairs.errors[at]))
    thresholds = Thresholds(float(pairs.negative[at]), float(pairs.positive[at]))
    return Plan(thresholds, met, promised, outcome)


def apply(rows: Rows, thresholds: Thresholds) -> Outcome:
    """What thresholds do to rows."""
    scores, anchors = np.asarray(rows.scores, dtype=np.float64), rows.labels == 1
    positive = scores >= thresholds.positive
    negative = (scores <= thresholds.negative) & ~positive
    errors = (positive & ~anchors) | (negative & anchors)
    return Outcome(len(scores), int(negative.sum()), int(positive.sum()), int(errors.sum()))


@dataclass(frozen=True)
class GroupPlan:
    """The plan of one group of rows, and what it does to the rows that it was not chosen on."""

    group: str
    plan: Plan
    test: Outcome


def plan_groups(
    val: Rows, test: Rows, groups: tuple[Sequence[str], Sequence[str]], objective: Objective, quantiles: int
) -> list[GroupPlan]:
    """One plan for each group that both sets of rows have, by name; rows of other groups get no decision at all.

    Args:
        val: rows to choose on.
        test: rows to report on.
        groups: the group of each row of ``val``, and of ``test``.
        objective: kept within each group.
        quantiles: of the scores of a group.

    Raises:
        ValueError: as ``choose``; the sets have no group in common, or groups are not one a row.
    """
    of_val, of_test = (np.asarray(one, dtype=str) for one in groups)
    if (len(of_val), len(of_test)) != (len(val.scores), len(test.scores)):
        raise ValueError("groups must be one a row")
    common = sorted(set(of_val) & set(of_test))
    if not common:
        raise ValueError("validation and test rows have no group in common")
    found = []
    for group in common:
        plan = choose(val.at(of_val == group), objective, quantiles)
        found.append(GroupPlan(str(group), plan, apply(test.at(of_test == group), plan.thresholds)))
    return found
