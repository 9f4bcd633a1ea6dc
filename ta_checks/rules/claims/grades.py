"""What a comparison is made of, problem by problem: precisions, who is held against whom, and corrected tests.

The rivals are written down here: whoever shortens the product's list changes a number that this one does not. Belongs
here: numbers of pairs of scores and of families. Stays out: rows (``own_rows``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ta_checks.rules.claims.precisions import CHANCE, precision_of, score_names
from ta_checks.rules.inference import shared_fits_factor
from ta_checks.rules.own_tests import Flipped

RIVALS = (
    "order",
    "sentence_length",
    "position_linear",
    "position_spline",
    "function_tags",
    "text_tfidf",
    "text_normalised",
    "text_context",
    "all_known",
)
"""What a probe on activations must beat, beside chance."""
DIAGNOSES = ("label_support", "support_trained")
"""Scores that know of the campaign behind the labels; nobody must beat them."""
BESIDE_KNOWN = "known_and_activations"
PROBES = ("ridge", "logistic", "difference_of_means", "lda", "banded_ridge")
ON_POSTERIOR = ("ridge_anchor_chance", "ridge_true_size")
"""Probes that are trained on what rollouts say of a sentence."""
RANDOM_ORDERS = 4000
ROUNDING = 1e-12


def kind_of(name: str) -> str:
    """increment, probe, baseline or diagnosis."""
    if name.partition("@")[0] == BESIDE_KNOWN:
        return "increment"
    if name in DIAGNOSES:
        return "diagnosis"
    return "baseline" if name in RIVALS else "probe"


def reads_activations(name: str) -> bool:
    """Whether a score knows what the language model holds."""
    return kind_of(name) in ("increment", "probe")


def rivals_of(name: str, names: Collection[str]) -> tuple[str, ...]:
    """What a score is held against, among ``names``.

    Where the first block was read beside others, what it adds is a rival of these.
    """
    if name == "order":
        return (CHANCE,)
    if not reads_activations(name):
        return ("order", CHANCE)
    first = [one for one in (f"{BESIDE_KNOWN}@0",) if one in names and not name.endswith("@0")]
    return (*(("all_known",) if kind_of(name) == "increment" else RIVALS), *first, CHANCE)


def expected_names(blocks: Sequence[int], *, counted: bool) -> set[str]:
    """Every score that a comparison must have.

    Args:
        blocks: of the activations.
        counted: whether every sentence's rollouts are known.
    """
    families = [*PROBES, BESIDE_KNOWN, *(ON_POSTERIOR if counted else ())]
    on_blocks = {family if len(blocks) == 1 else f"{family}@{block}" for family in families for block in blocks}
    best = {"ridge@best"} if len(blocks) > 1 else set()
    return {*RIVALS, *on_blocks, *best, *(DIAGNOSES if counted else ())}


@dataclass(frozen=True)
class Grades:
    """One grading of all scores of a setting."""

    scores: pd.DataFrame
    """Graded sentences: problem_id, anchor and ``name/repeat``."""
    without: Mapping[str, np.ndarray]
    """Fitted score -> [n_problems, n_problems] precision of a problem by the fit without another; NaN where they are
    never apart."""
    expected: float
    """Factor on standard errors of scores that learned noise."""
    _factors: dict[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def of(cls, scores: pd.DataFrame, without: pd.DataFrame, grading: str, fewest_train: int) -> Grades:
        """Grade the sentences of ``scores``, whose influences have the name ``grading`` in ``without``."""
        mixed = int((scores.groupby("problem_id")["anchor"].nunique() > 1).sum())
        own = without.loc[without["grading"] == grading]
        tables = {name: own[name].to_numpy(np.float64) for name in score_names(scores) if name in own}
        kept = {name: one.reshape(mixed, mixed) for name, one in tables.items() if not np.isnan(one).all()}
        return cls(scores, kept, math.sqrt(1 + max(mixed, 1) / fewest_train))

    @property
    def names(self) -> list[str]:
        """Scores, in their order."""
        return score_names(self.scores)

    @property
    def n(self) -> int:
        """Problems that hold both classes."""
        return len(self.precision[CHANCE])

    @cached_property
    def precision(self) -> dict[str, np.ndarray]:
        """Score, and ``chance`` -> [n_problems] average precision."""
        return {name: precision_of(self.scores, name) for name in (*self.names, CHANCE)}

    def lead(self, name: str, rival: str) -> np.ndarray:
        """[n_problems]; what is but rounding is 0."""
        found = self.precision[name] - self.precision[rival]
        return np.where(np.abs(found) > ROUNDING, found, 0.0)

    def factor(self, name: str, rival: str | None) -> float:
        """On the standard error of a lead, or of a score alone, for the fits that problems share."""
        key = (name, rival or "")
        if key not in self._factors:
            both = [one for one in key if one in self.without]
            values = self.precision[name] if rival is None else self.lead(name, rival)
            changed = self._owed(name) - (0.0 if rival is None else self._owed(rival))
            self._factors[key] = shared_fits_factor(values, changed, self.expected) if both else 1.0
        return self._factors[key]

    def _owed(self, name: str) -> np.ndarray:
        """[n, n] how much of a problem's precision is owed to training on another; 0 where nobody trains."""
        if name not in self.without:
            return np.zeros((self.n, self.n))
        owed = np.nan_to_num(self.precision[name][:, None] - self.without[name])
        np.fill_diagonal(owed, 0.0)
        return owed

    def hardest(self, name: str) -> str:
        """The rival with the least lead."""
        return min(rivals_of(name, self.names), key=lambda rival: (self.lead(name, rival).mean(), rival))

    @cached_property
    def random_means(self) -> np.ndarray:
        """[4000] means over problems of the average precision of random orders."""
        draw, total = np.random.default_rng(0), np.zeros(RANDOM_ORDERS)
        for _, rows in self.scores.groupby("problem_id", sort=True):
            labels = rows["anchor"].to_numpy()
            if 0 < labels.sum() < len(labels):
                hit = labels[np.argsort(-draw.random((RANDOM_ORDERS, len(labels))), axis=1, kind="stable")]
                place = np.arange(1, len(labels) + 1)
                total += (hit * hit.cumsum(axis=1) / place).sum(axis=1) / labels.sum()
        return total / max(self.n, 1)


@dataclass(frozen=True)
class Corrected:
    """Tests of the scores on activations, or of all others, corrected for all of them."""

    ahead: Mapping[tuple[str, str], float]
    """(score, rival) -> p-value among all scores that are held against that rival."""
    behind: Mapping[tuple[str, str], float]
    """(score, rival) -> p-value among all scores and rivals."""
    critical: Mapping[str, float]
    """Rival -> statistic that the largest of these scores exceeds with the level's chance."""


def corrected(grades: Grades, names: Sequence[str], flips: Callable[[np.ndarray, np.ndarray], Flipped]) -> Corrected:
    """Test ``names``, each against its rivals; ``flips`` takes leads [n_problems, n] and factors [n]."""
    pairs = [(name, rival) for name in names for rival in rivals_of(name, grades.names)]

    def test(held: Sequence[tuple[str, str]]) -> tuple[dict[tuple[str, str], float], float]:
        leads = np.stack([grades.lead(*pair) for pair in held], axis=1)
        found = flips(leads, np.array([grades.factor(*pair) for pair in held]))
        return dict(zip(held, found.p_values.tolist(), strict=True)), found.critical

    ahead: dict[tuple[str, str], float] = {}
    critical: dict[str, float] = {}
    for rival in {rival for _, rival in pairs}:
        of_rival, critical[rival] = test([pair for pair in pairs if pair[1] == rival])
        ahead |= of_rival
    behind = test(pairs)[0] if pairs else {}
    for name in names:
        lead = grades.lead(name, CHANCE).mean() / grades.factor(name, CHANCE)
        lower = (grades.random_means - grades.precision[CHANCE].mean() <= lead + ROUNDING).sum()
        floor = min(1.0, len(names) * min(1.0, 2 * (1 + lower) / (1 + RANDOM_ORDERS)))
        behind[name, CHANCE] = max(behind[name, CHANCE], floor)
    return Corrected(ahead, behind, critical)


def refitted_p(nulls: pd.DataFrame, scheme: str) -> dict[str, float]:
    """Linear probe -> least p-value over its penalties, by the largest standardized score of all of each permutation.

    Args:
        nulls: ``scheme/hypothesis``: macro average precision; row 0 of the true labels, then one row per permutation.
        scheme: of the permutations.
    """
    columns = [name for name in nulls.columns if name.startswith(f"{scheme}/")]
    if not columns:
        return {}
    found = nulls[columns].to_numpy(np.float64)
    spread = found.std(axis=0)
    standard = np.where(spread > 0, (found - found.mean(axis=0)) / np.where(spread > 0, spread, 1.0), 0.0)
    largest = standard[1:].max(axis=1)
    p_values: dict[str, float] = {}
    for column, observed in zip(columns, standard[0], strict=True):
        probe = column.removeprefix(f"{scheme}/").partition("|")[0]
        p_value = float((1 + (largest >= observed).sum()) / len(found))
        p_values[probe] = min(p_value, p_values.get(probe, 1.0))
    return p_values
