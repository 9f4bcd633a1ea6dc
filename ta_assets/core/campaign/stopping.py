"""Which prefixes get the next batch of rollouts, and when a campaign of a trace is over.

Belongs here: rules over counts. Stays out: intervals (``sequences``), which stay valid whatever a rule does.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ta_assets.core.option_values import Integer
from ta_assets.core.options import Options


class StoppingRule(Options):
    """How many rollouts each sentence gets."""

    kind: Literal["uniform", "threshold"] = "uniform"
    """``uniform``: ``rollouts`` of every sentence. ``threshold``: batches until it is clear on which side of the
    threshold an importance lies, and at most ``rollouts``."""
    rollouts: Integer = Field(default=100, ge=1, le=100_000)
    """Of a sentence; with ``threshold`` the most."""
    batch: Integer = Field(default=20, ge=1, le=100_000)
    """Rollouts of a part: what a killed run loses, and what lies between two looks."""
    first: Integer = Field(default=40, ge=1, le=100_000)
    """Of every sentence before the first look, where the rule is ``threshold``."""
    threshold: float = Field(default=0.2, gt=0, lt=1)
    """Absolute importance above which a sentence is called an anchor."""
    errors: float = Field(default=1.64, gt=0, le=10)
    """Standard errors between importance and threshold at which a sentence is clear."""

    @model_validator(mode="after")
    def _in_order(self) -> StoppingRule:
        if self.kind == "threshold" and self.first > self.rollouts:
            raise ValueError(f"first must be at most rollouts, {self.rollouts}, not {self.first}")
        return self


def next_rollouts(counts: np.ndarray, places: np.ndarray, drawn: np.ndarray, rule: StoppingRule) -> np.ndarray:
    """How many more rollouts each prefix is to get before the next look; all zero at the end.

    Under ``threshold`` every sentence that is not clear asks for one batch: of its own prefix, which gives the
    dissimilar rollouts, or of the next one, whichever lowers the variance of its importance more. A variance of c / n
    falls by c / n^2 with one more rollout (Neyman 1934), rollouts of neighbouring prefixes costing nearly the same.

    Args:
        counts: [n_sentences, 4] of ``rollout_counts.COUNT_COLUMNS``.
        places: [n_sentences, 2] of each sentence its own prefix and the next one, as places in ``drawn``.
        drawn: [n_prefixes] rollouts that were sampled of each prefix; those that are re-used are not.
        rule: the rule.
    """
    counts, drawn = np.asarray(counts, dtype=np.float64).reshape(-1, 4), np.asarray(drawn, dtype=np.int64)
    if rule.kind == "uniform":
        return np.clip(rule.rollouts - drawn, 0, rule.batch)
    begun = np.clip(rule.first - drawn, 0, rule.batch)
    if begun.any():
        return begun
    places = np.asarray(places, dtype=np.int64).reshape(-1, 2)
    room = np.clip(rule.rollouts - drawn, 0, rule.batch)
    gain = np.where(room[places] > 0, np.stack(_variances(counts), axis=1) / drawn[places], -1.0)
    asked = np.zeros(len(drawn), dtype=np.int64)
    choice = places[np.arange(len(places)), np.argmax(gain, axis=1)]
    unclear = ~is_clear(counts, rule) & (gain.max(axis=1, initial=-1.0) >= 0)
    asked[choice[unclear]] = room[choice[unclear]]
    return asked


def is_clear(counts: np.ndarray, rule: StoppingRule) -> np.ndarray:
    """[n_sentences] bool: the absolute importance is ``rule.errors`` standard errors away from the threshold."""
    counts = np.asarray(counts, dtype=np.float64).reshape(-1, 4)
    first, right, second, other = counts.T
    importance = _share(right, first) - _share(other, second)
    own, following = _variances(counts)
    return np.abs(np.abs(importance) - rule.threshold) >= rule.errors * np.sqrt(own + following)


def _variances(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of both shares of each importance, [n_sentences] each."""
    first, right, second, other = counts.T
    p, q = _share(right, first), _share(other, second)
    return p * (1 - p) / (first + 1), q * (1 - q) / (second + 1)


def _share(right: np.ndarray, total: np.ndarray) -> np.ndarray:
    """With half a right and half a wrong answer more, so that no share of few is without variance."""
    return (right + 0.5) / (total + 1)
