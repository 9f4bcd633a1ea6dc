"""Average precision of every score in every problem, whom each score is held against, and the corrected tests.

Belongs here: the per-problem table and its families of hypotheses. Stays out: rows and verdicts (``compare``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ta_assets.core.crossfit.fit import TRAINED_BASELINES, UNTRAINED
from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics import intervals
from ta_assets.core.statistics.ranking import (
    average_precision_by_problem,
    mixed_problems,
    random_average_precision,
    random_orders,
)
from ta_assets.core.values import CrossFitted

HURDLES = ("order", *TRAINED_BASELINES)
"""What a probe must beat. Not ``label_support``: it ranks by the noise of the labels, which no text tells."""
CHANCE = "chance"
MIN_FLIPS = 10_000
ROUNDING = 1e-12
RANDOM_ORDERS = 4000


def is_probe(name: str) -> bool:
    """Whether a score reads activations."""
    return name not in (*UNTRAINED, *TRAINED_BASELINES)


@dataclass(frozen=True)
class PrecisionTable:
    """Per-problem numbers that the rows are made of."""

    names: tuple[str, ...]
    precision: np.ndarray
    """[n_problems, n_names] average precision."""
    chance: np.ndarray
    """[n_problems] mean average precision of a random order."""
    random: np.ndarray
    """[RANDOM_ORDERS] means over problems of random orders."""
    inflation: float
    """Factor on standard errors of differences: Nadeau and Bengio's where folds are resampled, else 1."""
    trained: float
    """Nadeau and Bengio's factor: with it, noise that was learned does not look like an effect."""

    @classmethod
    def of(cls, fitted: CrossFitted) -> PrecisionTable:
        """Measure every score."""
        table = fitted.table
        labels, problems, names = table.anchors, table.problems, table.names()
        by_repeat = (average_precision_by_problem(labels, table.of(name).T, problems) for name in names)
        precision = np.stack([one.mean(axis=1) for one in by_repeat], axis=1)
        members = mixed_problems(labels, problems)
        chance = np.array([random_average_precision(labels[at]) for at in members.values()])
        repeats = fitted.record["repeats"]
        trained = intervals.nadeau_bengio(len(chance), fitted.record["fewest_train"])
        resampled = trained if len(repeats) > 1 else 1.0
        random = random_orders(labels, problems, RANDOM_ORDERS, seed=0)
        return cls(names, precision, chance, random, resampled, trained)

    def score(self, name: str) -> np.ndarray:
        """[n_problems] average precision; that of a random order for ``chance``."""
        return self.chance if name == CHANCE else self.precision[:, self.names.index(name)]

    def difference(self, pair: tuple[str, str]) -> np.ndarray:
        """[n_problems]; what is but rounding is zero."""
        found = self.score(pair[0]) - self.score(pair[1])
        return np.where(np.abs(found) > ROUNDING, found, 0.0)

    def factor(self, pair: tuple[str, str]) -> float:
        """Inflation factor of the standard error of a lead of ``pair[0]`` over ``pair[1]``.

        Against chance that of Nadeau and Bengio: training sets overlap, so noise that was learned is shared between
        problems. Against a rival 1 for leave-one-out, since "better" also demands better than chance.
        """
        return self.shared(pair) if CHANCE in pair else self.inflation

    def below_chance(self, name: str) -> float:
        """Two-sided p-value of a score's mean among random orders, its lead deflated by ``shared``.

        Random orders are skewed: most are below their mean, which flips of signs do not know.
        """
        lead = self.difference((name, CHANCE)).mean() / self.shared((name, CHANCE))
        reached = np.count_nonzero(self.random - self.chance.mean() <= lead + ROUNDING)
        return min(1.0, 2 * (1 + reached) / (1 + RANDOM_ORDERS))

    def shared(self, pair: tuple[str, str]) -> float:
        """Inflation factor where no other test backs the difference, as in verdicts such as "worse"."""
        return 1.0 if all(one in (CHANCE, *UNTRAINED) for one in pair) else self.trained

    def rivals(self, name: str) -> tuple[str, ...]:
        """What a row is held against: every baseline for a probe, the plain order for a baseline; chance for all."""
        if name == "order":
            return (CHANCE,)
        return (*HURDLES, CHANCE) if is_probe(name) else ("order", CHANCE)


@dataclass(frozen=True)
class Family:
    """Scores whose tests are corrected together; probes are one family, baselines another.

    Intersection-union: to be "better", a score must beat every rival. Among scores that do not, each false claim is a
    false claim against its truly best rival, so correcting within each rival keeps the family-wise level. To be
    behind, one rival is enough; that is corrected over all rivals too.
    """

    adjusted: Mapping[tuple[str, str], float]
    """(name, rival) -> p-value among the names held against that rival."""
    behind: Mapping[tuple[str, str], float]
    """(name, rival) -> p-value among all names and rivals."""
    critical: Mapping[str, float]
    """Rival -> |t| that the largest of all names exceeds in 5 % of the flips."""

    @classmethod
    def of(cls, table: PrecisionTable, names: Sequence[str], options: InferenceOptions) -> Family:
        """Test ``names``, each against its rivals."""
        pairs = [(name, rival) for name in names for rival in table.rivals(name)]
        adjusted: dict[tuple[str, str], float] = {}
        critical: dict[str, float] = {}
        for rival in dict.fromkeys(rival for _, rival in pairs):
            held = [pair for pair in pairs if pair[1] == rival]
            flips = _flipped(table, held, table.factor, options)
            adjusted |= dict(zip(held, flips.adjusted.tolist(), strict=True))
            critical[rival] = flips.critical
        flips = _flipped(table, pairs, table.shared, options)
        behind = dict(zip(pairs, flips.adjusted.tolist(), strict=True))
        for pair in (pair for pair in pairs if pair[1] == CHANCE):
            behind[pair] = max(behind[pair], min(1.0, len(names) * table.below_chance(pair[0])))
        return cls(adjusted, behind, critical)


def _flipped(
    table: PrecisionTable,
    pairs: Sequence[tuple[str, str]],
    factor: Callable[[tuple[str, str]], float],
    options: InferenceOptions,
) -> intervals.SignFlips:
    differences = [table.difference(pair) for pair in pairs]
    return intervals.sign_flip_max_t(
        np.stack(differences, axis=1) if pairs else np.zeros((len(table.chance), 0)),
        flips=max(MIN_FLIPS, options.permutations),
        seed=options.seed,
        inflation=np.array([factor(pair) for pair in pairs]),
    )
