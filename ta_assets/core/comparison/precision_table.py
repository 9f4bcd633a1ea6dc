"""Average precision of every score in every problem, whom each score is held against, and the corrected tests.

Belongs here: the per-problem table and its families of hypotheses. Stays out: rows and verdicts (``compare``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ta_assets.core.crossfit.fit import ALL_KNOWN, TRAINED_BASELINES, TRAINED_SUPPORT, UNTRAINED, WITH_ACTIVATIONS
from ta_assets.core.crossfit.out_of_fold import EVERY
from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics import intervals, jackknife
from ta_assets.core.statistics.ranking import (
    average_precision_by_problem,
    mixed_problems,
    random_average_precision,
    random_orders,
)
from ta_assets.core.values import CrossFitted

HURDLES = ("order", *TRAINED_BASELINES)
"""What a probe must beat: none of them reads the language model."""
CHANCE = "chance"
FIRST_BLOCK = f"{WITH_ACTIVATIONS}@0"
"""What the first block adds to all that is known; there only where several blocks are read."""
MIN_FLIPS = 10_000
ROUNDING = 1e-12
RANDOM_ORDERS = 4000


def kind_of(name: str) -> str:
    """``increment``: activations beside all that is known; ``probe``: activations alone; ``diagnosis``: a score that
    knows of the labels' campaign; else ``baseline``."""
    if name.partition("@")[0] == WITH_ACTIVATIONS:
        return "increment"
    if name in (TRAINED_SUPPORT, "label_support"):
        return "diagnosis"
    return "baseline" if name in (*UNTRAINED, *TRAINED_BASELINES) else "probe"


def reads_activations(name: str) -> bool:
    """Whether a row is one on what the language model holds."""
    return kind_of(name) in ("increment", "probe")


def graded_problems(fitted: CrossFitted) -> tuple[int, ...]:
    """Ids of the problems that hold anchors and other sentences, sorted: those that a comparison looks at."""
    return tuple(int(one) for one in mixed_problems(fitted.table.anchors, fitted.table.problems))


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
    without: Mapping[str, np.ndarray]
    """Trained score -> [n_problems, n_problems] average precision of a problem by the fit without another."""
    trained: float
    """Nadeau and Bengio's factor: of scores that learned noise, and for statistics that no jackknife is made of."""

    @classmethod
    def of(cls, fitted: CrossFitted, graded: np.ndarray | None = None, grading: str = EVERY) -> PrecisionTable:
        """Measure every score.

        Args:
            fitted: out-of-fold scores, and what each training problem does to them.
            graded: [n] bool: sentences of ``fitted.scores`` that are graded; all of them by default.
            grading: the name of that choice in ``fitted.without``.
        """
        table = fitted.table
        kept = np.arange(len(table.anchors)) if graded is None else np.flatnonzero(graded)
        labels, problems, names = table.anchors[kept], table.problems[kept], table.names()
        by_repeat = (average_precision_by_problem(labels, table.of(name)[:, kept].T, problems) for name in names)
        precision = np.stack([one.mean(axis=1) for one in by_repeat], axis=1)
        members = mixed_problems(labels, problems)
        chance = np.array([random_average_precision(labels[at]) for at in members.values()])
        own = fitted.without.take(np.flatnonzero(fitted.without["grading"].to_numpy() == grading))
        tables = {name: own[name].to_numpy(np.float64) for name in names if name in own}
        without = {
            name: values.reshape(len(members), -1) for name, values in tables.items() if not np.isnan(values).all()
        }
        trained = intervals.nadeau_bengio(max(len(chance), 1), fitted.record["fewest_train"])
        return cls(names, precision, chance, random_orders(labels, problems, RANDOM_ORDERS, seed=0), without, trained)

    def score(self, name: str) -> np.ndarray:
        """[n_problems] average precision; that of a random order for ``chance``."""
        return self.chance if name == CHANCE else self.precision[:, self.names.index(name)]

    def difference(self, pair: tuple[str, str]) -> np.ndarray:
        """[n_problems]; what is but rounding is zero."""
        found = self.score(pair[0]) - self.score(pair[1])
        return np.where(np.abs(found) > ROUNDING, found, 0.0)

    def factor(self, pair: tuple[str, str]) -> float:
        """On the standard error of a difference, for the fits that problems share (``jackknife.factor``)."""
        if not any(name in self.without for name in pair):
            return 1.0
        changed = self._changes(pair[0]) - self._changes(pair[1])
        difference = self.difference(pair)
        return jackknife.factor(difference, difference[:, None] - changed, self.trained)

    def own_factor(self, name: str) -> float:
        """On the standard error of a score's own mean."""
        if name not in self.without:
            return 1.0
        return jackknife.factor(self.score(name), self.score(name)[:, None] - self._changes(name), self.trained)

    def _changes(self, name: str) -> np.ndarray:
        """[n_problems, n_problems] how much a problem's precision is owed to training on another."""
        n = len(self.chance)
        return self.score(name)[:, None] - self.without[name] if name in self.without else np.zeros((n, n))

    def below_chance(self, name: str) -> float:
        """Two-sided p-value of a score's mean among random orders, its lead deflated by ``factor``.

        Random orders are skewed: most are below their mean, which flips of signs do not know.
        """
        lead = self.difference((name, CHANCE)).mean() / self.factor((name, CHANCE))
        reached = np.count_nonzero(self.random - self.chance.mean() <= lead + ROUNDING)
        return min(1.0, 2 * (1 + reached) / (1 + RANDOM_ORDERS))

    def rivals(self, name: str) -> tuple[str, ...]:
        """What a row is held against: every baseline for a probe, all that is known for what activations add to it,
        the plain order for the others; chance for all.

        Where block 0 was read beside others, what it adds is a rival of theirs: it has the words, and little more.
        """
        kind = kind_of(name)
        if name == "order":
            return (CHANCE,)
        if kind not in ("increment", "probe"):
            return ("order", CHANCE)
        first = (FIRST_BLOCK,) if FIRST_BLOCK in self.names and name.partition("@")[2] != "0" else ()
        return (*((ALL_KNOWN,) if kind == "increment" else HURDLES), *first, CHANCE)


@dataclass(frozen=True)
class Family:
    """Scores whose tests are corrected together; those on activations are one family, the others another.

    Intersection-union: to be "better", a score must beat every rival. Among scores that do not, each false claim is a
    false claim against its truly best rival, so correcting within each rival keeps the family-wise level. To be
    behind, one rival is enough; that is corrected over all rivals too.
    """

    adjusted: Mapping[tuple[str, str], float]
    """(name, rival) -> p-value among the names held against that rival."""
    behind: Mapping[tuple[str, str], float]
    """(name, rival) -> p-value among all names and rivals."""
    critical: Mapping[str, float]
    """Rival -> |t| that the largest of all names exceeds in as many flips as the level says."""

    @classmethod
    def of(
        cls, table: PrecisionTable, names: Sequence[str], options: InferenceOptions, level: float = intervals.ALPHA
    ) -> Family:
        """Test ``names``, each against its rivals; ``level`` is that of the critical values."""
        pairs = [(name, rival) for name in names for rival in table.rivals(name)]
        factors = {pair: table.factor(pair) for pair in pairs}
        adjusted: dict[tuple[str, str], float] = {}
        critical: dict[str, float] = {}
        for rival in dict.fromkeys(rival for _, rival in pairs):
            held = [pair for pair in pairs if pair[1] == rival]
            flips = _flipped(table, held, factors, options, level)
            adjusted |= dict(zip(held, flips.adjusted.tolist(), strict=True))
            critical[rival] = flips.critical
        flips = _flipped(table, pairs, factors, options, level)
        behind = dict(zip(pairs, flips.adjusted.tolist(), strict=True))
        for pair in (pair for pair in pairs if pair[1] == CHANCE):
            behind[pair] = max(behind[pair], min(1.0, len(names) * table.below_chance(pair[0])))
        return cls(adjusted, behind, critical)


def _flipped(
    table: PrecisionTable,
    pairs: Sequence[tuple[str, str]],
    factors: Mapping[tuple[str, str], float],
    options: InferenceOptions,
    level: float,
) -> intervals.SignFlips:
    differences = [table.difference(pair) for pair in pairs]
    return intervals.sign_flip_max_t(
        np.stack(differences, axis=1) if pairs else np.zeros((len(table.chance), 0)),
        flips=max(MIN_FLIPS, options.permutations),
        seed=options.seed,
        level=1 - level,
        inflation=np.array([factors[pair] for pair in pairs]),
    )
