"""What became of rollouts, in numbers that add up, and what those that did not finish can do to an accuracy.

Belongs here: outcomes -> counts and bounds. Stays out: judging single rollouts (``grading``), labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ta_assets.core.campaign.records import Outcome


@dataclass(frozen=True)
class Tally:
    """Rollouts by their outcome."""

    right: int = 0
    wrong: int = 0
    no_answer: int = 0
    truncated: int = 0
    engine_error: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Tally:
        """Count them."""
        return cls(**{str(outcome): count for outcome, count in Counter(outcomes).items()})

    @property
    def total(self) -> int:
        """All rollouts."""
        return self.answered + self.no_answer + self.unfinished

    @property
    def answered(self) -> int:
        """Rollouts that an accuracy is a share of."""
        return self.right + self.wrong

    @property
    def unfinished(self) -> int:
        """Rollouts of which nobody knows what they would have answered."""
        return self.truncated + self.engine_error

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None without an answer."""
        return self.right / self.answered if self.answered else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what the accuracy of these rollouts would lie, had every one of them been let finish.

        The unfinished would be right, wrong or without an answer; all wrong and all right are the extremes. Nothing
        is assumed of why they did not finish (Manski 2003, Partial identification of probability distributions, 1.2).
        """
        known = self.answered + self.unfinished
        return (self.right / known, (self.right + self.unfinished) / known) if known else (0.0, 1.0)

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + its for mine, its in zip(self._counts(), other._counts(), strict=True)))

    def _counts(self) -> tuple[int, ...]:
        return self.right, self.wrong, self.no_answer, self.truncated, self.engine_error
