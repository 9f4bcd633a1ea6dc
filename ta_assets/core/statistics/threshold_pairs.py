"""What every pair of candidate thresholds does to some rows, all of them together and problem by problem.

Belongs here: counts and rates of pairs. Stays out: which pair is the best (``results.deferral``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

MARGIN = 1e-6
"""Candidates reach 1e-6 below the lowest and above the highest score, so a plan may decide nothing on that side."""
CONFIDENCE = 0.8
"""Of the one-sided upper limit over problems: a plan that keeps it there is to keep it in four data sets of five."""


def candidates(scores: np.ndarray, quantiles: int) -> np.ndarray:
    """Thresholds worth trying: evenly spaced quantiles of the scores and one beyond either end, sorted, each once.

    Args:
        scores: [n_rows] float.
        quantiles: how many, both ends included; at least 2.

    Returns:
        [at most quantiles + 2] float64.

    Raises:
        ValueError: fewer than two quantiles, or no scores.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if quantiles < 2 or not len(scores):
        raise ValueError(f"candidates need at least 2 quantiles and 1 score, got {quantiles} and {len(scores)}")
    inner = np.quantile(scores, np.linspace(0, 1, quantiles))
    return np.unique(np.concatenate(([scores.min() - MARGIN], inner, [scores.max() + MARGIN])))


@dataclass(frozen=True)
class Pairs:
    """Every pair of candidates with its counts, as arrays [n_pairs]."""

    negative: np.ndarray
    positive: np.ndarray
    decided_negative: np.ndarray
    decided_positive: np.ndarray
    errors: np.ndarray
    n: int
    by_problem: tuple[Counts, ...] = ()
    """Of each problem, where the problems of the rows are known."""

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray, problems: np.ndarray | None, quantiles: int) -> Pairs:
        """Count once a candidate, then add up for the pairs.

        Args:
            scores: [n_rows] float.
            labels: [n_rows] of 0 and 1.
            problems: [n_rows] ids, or None.
            quantiles: as of ``candidates``.
        """
        scores, anchors = np.asarray(scores, dtype=np.float64), np.asarray(labels) == 1
        tried = candidates(scores, quantiles)
        low, high = np.triu_indices(len(tried))
        whole = Counts.of(scores, anchors, tried, (low, high))
        ids = np.zeros(0) if problems is None else np.unique(problems)
        own = tuple(Counts.of(scores[problems == one], anchors[problems == one], tried, (low, high)) for one in ids)
        return cls(tried[low], tried[high], whole.negative, whole.positive, whole.errors, len(scores), own)

    @property
    def deferral(self) -> np.ndarray:
        """[n_pairs] share of the rows left undecided."""
        return (self.n - self.decided_negative - self.decided_positive) / self.n

    @property
    def error(self) -> np.ndarray:
        """[n_pairs] share of the decided rows that are decided wrongly; infinity where none is."""
        decided = self.decided_negative + self.decided_positive
        return np.divide(self.errors, decided, out=np.full(len(decided), np.inf), where=decided > 0)

    def upper(self, kind: str) -> np.ndarray:
        """[n_pairs] Student's one-sided upper limit of the mean rate over problems; infinity below two problems.

        Args:
            kind: ``budget``, of the share deferred, or ``error``, of the share of errors among the decided; a problem
                in which nothing is decided has no error.
        """
        n = len(self.by_problem)
        if n < 2:
            return np.full(len(self.errors), np.inf)
        rates = np.stack([one.deferral if kind == "budget" else one.error for one in self.by_problem])
        half = float(stats.t.ppf(CONFIDENCE, n - 1)) * rates.std(axis=0, ddof=1) / np.sqrt(n)
        return rates.mean(axis=0) + half


@dataclass(frozen=True)
class Counts:
    """What every pair decides of some rows, as arrays [n_pairs]."""

    n: int
    negative: np.ndarray
    positive: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(
        cls, scores: np.ndarray, anchors: np.ndarray, tried: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
    ) -> Counts:
        """Count the rows [n] with these scores; ``pairs`` are indices into the thresholds ``tried``."""
        low, high = pairs
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        anchors_up_to = np.concatenate(([0], np.cumsum(anchors[order])))
        up_to = np.searchsorted(ordered, tried, side="right")
        below = np.searchsorted(ordered, tried, side="left")
        # rows at a threshold that is both count as positive
        negative = np.where(low == high, below[low], up_to[low])
        positive = len(scores) - below[high]
        errors = anchors_up_to[negative] + positive - (anchors_up_to[-1] - anchors_up_to[below[high]])
        return cls(len(scores), negative, positive, errors)

    @cached_property
    def deferral(self) -> np.ndarray:
        """[n_pairs] share left undecided."""
        return (self.n - self.negative - self.positive) / self.n

    @cached_property
    def error(self) -> np.ndarray:
        """[n_pairs] share of the decided that are wrong; 0 where nothing is decided."""
        return self.errors / np.maximum(self.negative + self.positive, 1)
