"""Every number of a row of a comparison, and its verdict in one word, from scores and labels alone.

Belongs here: what the columns mean, written a second time. Stays out: pairs and families (``grades``), how far a number
may be off (``claims_recompute``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.rules.claims.grades import (
    Corrected,
    Grades,
    corrected,
    kind_of,
    reads_activations,
    refitted_p,
    rivals_of,
)
from ta_checks.rules.claims.precisions import CHANCE
from ta_checks.rules.inference import holm, one_sided_p
from ta_checks.rules.levels import FURTHER_TESTS
from ta_checks.rules.own_power import MOST_PROBLEMS, enough_problems, fewest_problems, first_of, later_share, limit_of
from ta_checks.rules.own_tests import Ends, Flipped, flip_signs, interval
from ta_checks.rules.refits.own_features import known_blocks, prepared, rival_features
from ta_checks.rules.refits.own_fits import RIDGE_GRID, LeftOut

LEAST_LEVEL = 1e-9
NO_LEAD = 1e-12
LEAST_DIFFERENT = 4
"""Dissimilar rollouts of a sentence that could be an anchor."""


@dataclass(frozen=True)
class Asked:
    """What a study asks of a comparison, and what its looks leave."""

    permutations: int
    margin: float
    smallest_lead: float
    deltas: tuple[float, ...]
    first_look: float
    seed: int
    level: float
    """What p-values must reach."""
    is_first: bool
    """Whether nobody looked at fewer problems before."""
    ceiling: float | None
    """Average precision of the true importances."""


@dataclass(frozen=True)
class OwnRows:
    """The rows of one setting."""

    rows: pd.DataFrame
    """Labelled sentences that are scored, by problem and sentence, with token_count."""
    grades: Grades
    again: Grades | None
    """Among sentences that could be anchors; None without rollout counts."""
    nulls: pd.DataFrame
    asked: Asked

    def flips(self, leads: np.ndarray, factors: np.ndarray) -> Flipped:
        """Tests of one family."""
        asked = self.asked
        return flip_signs(leads, factors, asked.permutations, asked.seed, asked.level)

    @cached_property
    def families(self) -> dict[bool, Corrected]:
        """Whether scores know activations -> their corrected tests."""
        names = self.grades.names
        return {
            kind: corrected(self.grades, [one for one in names if reads_activations(one) == kind], self.flips)
            for kind in (True, False)
        }

    @cached_property
    def families_again(self) -> Corrected | None:
        """Those among sentences that could be anchors."""
        names = [name for name in self.grades.names if reads_activations(name)]
        return None if self.again is None or not self.again.n else corrected(self.again, names, self.flips)

    @cached_property
    def chance_p(self) -> dict[str, float]:
        """Score -> p-value against labels shifted around their traces."""
        found = refitted_p(self.nulls, "shifted")
        others = [name for name in self.grades.names if name not in found]
        alone = {name: one_sided_p(self.grades.lead(name, CHANCE), self.grades.factor(name, CHANCE)) for name in others}
        return {**found, **holm(alone)}

    @cached_property
    def increment_p(self) -> dict[str, float]:
        """Score on activations -> p-value of what it tells of labels beyond all that is known."""
        problems, names = self.rows["problem_id"].to_numpy(), [*filter(reads_activations, self.grades.names)]
        known = known_blocks(self.rows, rival_features(self.rows))
        units = {name: math.sqrt((block**2).sum() / len(block)) or 1.0 for name, block in known.items()}
        features = np.hstack([block / units[name] for name, block in known.items()])
        scores = self.grades.scores
        columns = {name: [one for one in scores.columns if one.rpartition("/")[0] == name] for name in names}
        every = [column for own in columns.values() for column in own]
        targets = np.hstack(
            [
                prepared(scores[["anchor"]].to_numpy(), problems, scaled=False),
                prepared(scores[every].to_numpy(), problems),
            ]
        )
        grid = (float((features**2).sum() / len(features)) or 1.0) * RIDGE_GRID
        fits = LeftOut.of(features, problems)
        best = [int(np.flatnonzero(one == one.min())[-1]) for one in fits.errors(targets, grid).T]
        residuals = np.empty_like(targets)
        for at in set(best):
            chosen = np.array(best) == at
            residuals[:, chosen] = fits.residuals(targets[:, chosen], float(grid[at]))
        products = residuals[:, :1] * residuals[:, 1:]
        by_problem = np.stack([products[problems == one].mean(axis=0) for one in np.unique(problems)])
        alone = {
            name: one_sided_p(by_problem[:, [every.index(column) for column in own]].mean(axis=1), self.grades.expected)
            for name, own in columns.items()
        }
        return holm(alone)

    def expected(self, name: str) -> dict[str, Any]:
        """Columns of the row of a score, and ``word``: its verdict without what it would take."""
        grades, asked, on_activations = self.grades, self.asked, reads_activations(name)
        family, against = self.families[on_activations], grades.hardest(name)
        lead, factor = grades.lead(name, against), grades.factor(name, against)
        mean, deviation = float(lead.mean()), float(np.std(lead, ddof=1)) if grades.n > 1 else 0.0
        ends = interval(lead, factor, asked.seed)
        half = family.critical[against] * ends.error if ends else math.nan
        ahead = max(family.ahead[name, rival] for rival in rivals_of(name, self.grades.names))
        level = self._level_of_one(family.critical[against])
        found = {
            "kind": kind_of(name),
            "average_precision": float(grades.precision[name].mean()),
            **_ends("ap", interval(grades.precision[name], grades.factor(name, None), asked.seed)),
            "against": against,
            "difference": mean,
            **_ends("", ends),
            "joint_low": mean - half if ends else None,
            "joint_high": mean + half if ends else None,
            "deviation": deviation,
            "p": ahead if mean > 0 else family.behind[name, against],
            "increment_p": self.increment_p[name] if on_activations else None,
            "stratified_p": refitted_p(self.nulls, "stratified").get(name) if on_activations else None,
            "strata_p": refitted_p(self.nulls, "supported").get(name) if on_activations else None,
            "chance_p": self.chance_p[name],
            "level": level,
            **self._supported(name),
            **self._shares(name),
        }
        if asked.is_first and asked.level > LEAST_LEVEL:
            found |= self._needed(deviation, factor, level)
        narrow = interval(lead, factor, asked.seed, 1 - 2 * asked.level)
        return {**found, "word": self._word(found, ends, narrow)}

    def _level_of_one(self, critical: float) -> float:
        from scipy import stats

        level = self.asked.level
        single = min(1.0, 2 * stats.t.sf(critical, self.grades.n - 1)) if math.isfinite(critical) else 0.0
        return float(min(single or level, level))

    def _supported(self, name: str) -> dict[str, Any]:
        """Columns of the lead among sentences that could be anchors."""
        again, family = self.again, self.families_again
        if again is None or family is None or not reads_activations(name):
            absent = dict.fromkeys(("supported_p", "supported_against", "supported_difference"))
            return {**absent, **_ends("supported", None)}
        against = again.hardest(name)
        lead = again.lead(name, against)
        ahead = max(family.ahead[name, rival] for rival in rivals_of(name, self.grades.names))
        return {
            "supported_p": ahead if lead.mean() > 0 else 1.0,
            "supported_against": against,
            "supported_difference": float(lead.mean()),
            **_ends("supported", interval(lead, again.factor(name, against), self.asked.seed)),
        }

    def _shares(self, name: str) -> dict[str, Any]:
        """Columns that are shares of the room above chance, or of what another score has of it."""
        over, grades = self.grades.lead(name, CHANCE), self.grades
        support = None
        if reads_activations(name) and "support_trained" in grades.names and over.mean() > 0:
            support = float(grades.lead("support_trained", CHANCE).mean() / over.mean())
        room = 0.0 if self.asked.ceiling is None else self.asked.ceiling - float(grades.precision[CHANCE].mean())
        if room <= 0:
            return {"support_share": support, "share_of_ceiling": None, **_ends("share", None)}
        ends = interval(over, grades.factor(name, CHANCE), self.asked.seed)
        scaled = None if ends is None else Ends(ends.low / room, ends.high / room, ends.error)
        return {"support_share": support, "share_of_ceiling": float(over.mean()) / room, **_ends("share", scaled)}

    def _needed(self, deviation: float, factor: float, level: float) -> dict[str, Any]:
        """Columns of numbers of problems, each with the one or two from which on power is enough."""
        n, asked = self.grades.n, self.asked
        share = self._share_of_later

        def least(lead: float, confidence: float) -> tuple[int | None, ...]:
            limit = limit_of(deviation, n, confidence)
            reached = (size for size in range(1, 1000) if size >= fewest_problems(level * share(size)))
            fewest = next(reached, None)
            if fewest is None:  # a first look that spends everything leaves nothing for a later one
                return (None,)
            if limit <= 0:
                return (fewest,)

            def enough(size: int) -> bool:
                return enough_problems(lead, limit, factor, level * share(size), size)

            # a later look has a smaller level, so power falls once behind the present one
            parts = ((max(fewest, 2), max(n, fewest, 2)), (max(n + 1, fewest, 2), MOST_PROBLEMS))
            found = tuple(first_of(enough, *part) for part in parts if enough(part[1]))
            return found or (None,)

        planned = {"needed": 0.8, "needed_low": 0.025, "needed_high": 0.975}
        found: dict[str, Any] = {key: least(asked.smallest_lead, confidence) for key, confidence in planned.items()}
        return found | {"needed_for": {f"{delta:g}": least(delta, 0.8) for delta in asked.deltas}}

    @cached_property
    def _share_of_later(self) -> Any:
        return later_share(self.grades.n, self.asked.level, self.asked.first_look)

    def _word(self, row: Mapping[str, Any], ends: Ends | None, narrow: Ends | None) -> str:
        """better, worse, no difference or inconclusive."""
        asked, n = self.asked, self.grades.n
        if asked.level < LEAST_LEVEL or n < fewest_problems(asked.level):
            return "inconclusive"
        if row["deviation"] <= NO_LEAD and abs(row["difference"]) <= NO_LEAD:
            return "no difference" if 1 - asked.level ** (1 / n) < asked.margin else "inconclusive"
        if ends and ends.high < 0 and row["p"] <= asked.level:
            return "worse"
        if ends and ends.low > 0 and row["p"] <= asked.level:
            passed = all(row[test] is None or row[test] <= asked.level for test in FURTHER_TESTS)
            return "better" if passed else "inconclusive"
        inside = narrow is not None and -asked.margin < narrow.low and narrow.high < asked.margin
        return "no difference" if inside else "inconclusive"


def could_be_anchors(rows: pd.DataFrame) -> np.ndarray | None:
    """[n] bool; None where the rollouts of a sentence are not known."""
    if "n_different" not in rows or bool(rows["n_different"].isna().any()):
        return None
    return rows["n_different"].to_numpy(np.float64) >= LEAST_DIFFERENT


def _ends(prefix: str, ends: Ends | None) -> dict[str, float | None]:
    low, high = (f"{prefix}_low", f"{prefix}_high") if prefix else ("low", "high")
    return {low: ends.low if ends else None, high: ends.high if ends else None}
