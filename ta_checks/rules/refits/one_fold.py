"""One fold of cross-fitting done again: every score by its own features, penalty and rows.

Belongs here: what each name of a score stands for. Stays out: fits (``own_fits``), features (``own_features``), how far
scores may be off (``fits_refit``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.rules.refits import own_fits
from ta_checks.rules.refits.own_features import centred_within, known_blocks, prepared, rival_features
from ta_checks.rules.refits.own_fits import BLOCK_GRID, LOGISTIC_GRID, RIDGE_GRID, Part

AGREEMENT = 1e-6
"""Largest distance of scores, over their deviation, of fits in closed form: rounding gives 1e-13."""
SOLVED = 5e-3
"""The same of logistic regressions, which two solvers end at within their tolerances: 6e-5 in the embedded study."""
ROUNDING = 1e-12
NO_BETTER = 1e-6
"""Share by which an error may be less than that of what was chosen: rounding."""
BANDS = (0.1, 1.0)
"""Squared scales of the position splines beside activations."""
SWEEPS = 3
"""Times that the search for penalties of blocks goes through all of them."""
ON_POSTERIOR = ("ridge_anchor_chance", "ridge_true_size")
"""Scores that are trained on what rollouts say of a sentence, which is not computed a second time."""
UNFITTED = {
    "order": lambda rows: -rows["chunk_idx"].to_numpy(np.float64),
    "label_support": lambda rows: -rows["n_different"].to_numpy(np.float64),
}
"""Scores that nobody fits."""


@dataclass(frozen=True)
class Refit:
    """One score in one fold, stored and done again."""

    name: str
    stored: np.ndarray
    """[n_held_out]."""
    again: np.ndarray
    bound: float = AGREEMENT
    faults: tuple[str, ...] = ()
    """What is wrong with how it was tuned."""
    is_again: bool = True
    """False where it was not fitted again, and ``again`` is what is stored."""

    @property
    def distance(self) -> float:
        """Largest difference over the deviation of the scores; infinite for what is no number."""
        largest = float(np.nan_to_num(np.abs(self.stored - self.again), nan=np.inf).max(initial=0.0))
        return largest / max(float(np.std(self.again)), ROUNDING) if largest > ROUNDING else 0.0


@dataclass(frozen=True)
class Seen:
    """The sentences of a setting with all that probes and rivals see of them."""

    rows: pd.DataFrame
    """By problem and sentence."""
    blocks: Mapping[int, np.ndarray]
    """Block -> [n, d_model]."""

    @cached_property
    def problems(self) -> np.ndarray:
        """[n] ids."""
        return self.rows["problem_id"].to_numpy()

    @cached_property
    def target(self) -> np.ndarray:
        """[n] labels less their problem's mean."""
        return centred_within(self.rows["anchor"].to_numpy(np.float64), self.problems)

    @cached_property
    def rivals(self) -> dict[str, np.ndarray]:
        """Score on one set of features -> these, prepared."""
        return rival_features(self.rows)

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        """Block of what is known -> features, prepared."""
        return known_blocks(self.rows, self.rivals)

    @cached_property
    def vectors(self) -> dict[int, np.ndarray]:
        """Block -> activations, prepared."""
        return {block: prepared(vectors, self.problems) for block, vectors in self.blocks.items()}


@dataclass(frozen=True)
class Refitted:
    """Fits of one fold."""

    seen: Seen
    held_out: Sequence[int]
    choices: Mapping[str, Mapping[str, Any]]
    """Score -> what was recorded of its fit in this fold."""

    @cached_property
    def test(self) -> np.ndarray:
        """[n] bool: rows that are scored."""
        return self.seen.rows["problem_id"].isin(list(self.held_out)).to_numpy()

    def part(self, features: np.ndarray) -> Part:
        """The rows of this fold."""
        train = ~self.test
        labels = self.seen.rows["anchor"].to_numpy(np.int64)
        return Part(
            features[train], features[self.test], labels[train], self.seen.target[train], self.seen.problems[train]
        )

    def all(self, stored: Mapping[str, np.ndarray]) -> Iterator[Refit]:
        """Every score; [n] stored ones by name."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            for name, scores in stored.items():
                yield self.one(name, scores[self.test], stored)

    def one(self, name: str, stored: np.ndarray, every: Mapping[str, np.ndarray]) -> Refit:
        """One score."""
        family, _, block = name.partition("@")
        facts = self.choices.get(name, {})
        if family in UNFITTED:
            return Refit(name, stored, UNFITTED[family](self.seen.rows)[self.test])
        if family in ON_POSTERIOR:
            return Refit(name, stored, stored, is_again=False)
        if block == "best":
            return self._best_block(name, stored, every)
        if family in self.seen.rivals:
            return self._ridge(name, stored, self.seen.rivals[family])
        if family == "all_known":
            return self._blocks(name, stored, self.seen.known, facts)
        vectors = self.seen.vectors[int(block)] if block else next(iter(self.seen.vectors.values()))
        if family == "known_and_activations":
            return self._beside(name, stored, vectors, every["all_known"])
        if family == "ridge":
            return self._ridge(name, stored, vectors)
        if family == "banded_ridge":
            return self._banded(name, stored, vectors)
        part = self.part(vectors)
        if family == "difference_of_means":
            return Refit(name, stored, own_fits.ridge_scores(part, float("inf")))
        if family == "lda":
            share, penalty = own_fits.shrunk_penalty(part)
            said = facts.get("shrinkage")
            faults = () if _near(said, share) else (f"shrinkage {said}, not {share:.6g}",)
            return Refit(name, stored, own_fits.ridge_scores(part, penalty), faults=faults)
        if family == "logistic":
            return self._logistic(name, stored, part)
        return Refit(name, stored, np.full(len(stored), np.nan), faults=("nobody can say how it is fitted",))

    def _ridge(self, name: str, stored: np.ndarray, features: np.ndarray) -> Refit:
        part, penalty = self.part(features), _number(self.choices.get(name, {}).get("penalty"))
        grid = part.unit * RIDGE_GRID
        faults = _not_least(penalty, grid, own_fits.left_out_errors(part, grid))
        return Refit(name, stored, own_fits.ridge_scores(part, penalty), faults=tuple(faults))

    def _banded(self, name: str, stored: np.ndarray, vectors: np.ndarray) -> Refit:
        """Position splines beside activations, at the better of two scales."""
        facts, splines = self.choices.get(name, {}), self.seen.rivals["position_spline"]
        length = np.sqrt((vectors**2).sum() / ((splines**2).sum() or 1.0))
        parts = {band: self.part(np.hstack([vectors, np.sqrt(band) * length * splines])) for band in BANDS}
        band, penalty = facts.get("band"), _number(facts.get("penalty"))
        if band not in parts:
            return Refit(name, stored, np.full(len(stored), np.nan), faults=(f"band {band} is none of {BANDS}",))
        errors = {one: own_fits.left_out_errors(part, part.unit * RIDGE_GRID) for one, part in parts.items()}
        faults = _not_least(penalty, parts[band].unit * RIDGE_GRID, errors[band])
        if errors[band].min() > min(one.min() for one in errors.values()) * (1 + NO_BETTER):
            faults.append(f"the other band than {band} has less error left out")
        return Refit(name, stored, own_fits.ridge_scores(parts[band], penalty), faults=tuple(faults))

    def _logistic(self, name: str, stored: np.ndarray, part: Part) -> Refit:
        penalty, grid = _number(self.choices.get(name, {}).get("penalty")), part.unit * LOGISTIC_GRID
        faults = _not_least(penalty, grid, own_fits.logistic_losses(part, grid), 1e-4)
        return Refit(name, stored, own_fits.logistic_scores(part, penalty), SOLVED, tuple(faults))

    def _best_block(self, name: str, stored: np.ndarray, every: Mapping[str, np.ndarray]) -> Refit:
        block = self.choices.get(name, {}).get("block")
        errors = {}
        for one, vectors in self.seen.vectors.items():
            part = self.part(vectors)
            errors[one] = own_fits.left_out_errors(part, part.unit * RIDGE_GRID).min()
        if block not in errors:
            return Refit(name, stored, np.full(len(stored), np.nan), faults=(f"block {block} is not there",))
        faults = (
            ()
            if errors[block] <= min(errors.values()) * (1 + NO_BETTER)
            else ("another block has less error left out",)
        )
        return Refit(name, stored, every[f"ridge@{block}"][self.test], faults=faults)

    def _blocks(
        self, name: str, stored: np.ndarray, blocks: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> Refit:
        """Several blocks of features with a penalty each; no neighbour in the search has less error left out."""
        penalties = facts.get("penalties") or {}
        if set(penalties) != set(blocks):
            faults = f"its blocks are {', '.join(penalties)}, not {', '.join(blocks)}"
            return Refit(name, stored, np.full(len(stored), np.nan), faults=(faults,))
        if name == "all_known":
            others = [self._searched(blocks)]
        else:
            others = [{**penalties, "activations": one} for one in (*map(float, BLOCK_GRID), None)]
        own, faults = self._error(blocks, penalties), []
        for other in others:
            if self._error(blocks, other) < own * (1 - NO_BETTER):
                changed = [f"{one} {other[one]}" for one in blocks if other[one] != penalties[one]]
                faults.append(f"with {', '.join(changed)} there is less error left out")
        train = np.flatnonzero(~self.test)
        part = self.part(own_fits.scaled_blocks(blocks, train, penalties))
        return Refit(name, stored, own_fits.ridge_scores(part, 1.0), faults=tuple(faults[:1]))

    def _beside(self, name: str, stored: np.ndarray, vectors: np.ndarray, alone: np.ndarray) -> Refit:
        """Activations beside all that is known, whose penalties stand."""
        facts, known = self.choices.get(name, {}), self.choices.get("all_known", {}).get("penalties") or {}
        blocks = {**self.seen.known, "activations": vectors}
        if facts.get("activations") == "left out":
            penalties = {**known, "activations": None}
            if set(penalties) != set(blocks):
                return Refit(name, stored, alone[self.test], faults=("its blocks are others",))
            own = self._error(blocks, penalties)
            errors = {one: self._error(blocks, {**known, "activations": float(one)}) for one in BLOCK_GRID}
            less = [one for one, error in errors.items() if error < own * (1 - NO_BETTER)]
            faults = [f"activations at penalty {less[0]:.3g} have less error left out"] if less else []
            return Refit(name, stored, alone[self.test], faults=tuple(faults))
        refit = self._blocks(name, stored, blocks, facts)
        moved = {one for one in known if (facts.get("penalties") or {}).get(one) != known[one]}
        faults = [f"penalties of {', '.join(sorted(moved))} are not those of what is known alone"] if moved else []
        return Refit(name, refit.stored, refit.again, refit.bound, (*refit.faults, *faults))

    def _searched(self, blocks: Mapping[str, np.ndarray]) -> dict[str, float | None]:
        """Penalties that a search ends at: from the best common one, block by block a step up or else down, while the
        error within the fold falls, three times through all blocks at most."""
        grid: list[float | None] = [float(one) for one in BLOCK_GRID]
        errors: dict[tuple[int, ...], float] = {}

        def error(at: tuple[int, ...]) -> float:
            if at not in errors:
                errors[at] = self._error(blocks, dict(zip(blocks, (grid[one] for one in at), strict=True)))
            return errors[at]

        best = min(((place,) * len(blocks) for place in range(len(grid) - 1, -1, -1)), key=error)
        for _ in range(SWEEPS):
            before = best
            for block in range(len(blocks)):
                moved = [(*best[:block], best[block] + step, *best[block + 1 :]) for step in (1, -1)]
                inside = [at for at in moved if 0 <= at[block] < len(grid)]
                best = next((at for at in inside if error(at) < error(best)), best)
            if best == before:
                break
        return dict(zip(blocks, (grid[one] for one in best), strict=True))

    def _error(self, blocks: Mapping[str, np.ndarray], penalties: Mapping[str, float | None]) -> float:
        rows = own_fits.scaled_blocks(blocks, np.flatnonzero(~self.test), penalties)
        part = self.part(rows)
        return own_fits.inner_error(part, part.trained)


def _not_least(penalty: float, grid: np.ndarray, errors: np.ndarray, slack: float = NO_BETTER) -> list[str]:
    """Faults of a penalty that is none of the grid, or with which more error is left out than with another one."""
    at = int(np.argmin(np.abs(np.log(grid) - np.log(penalty)))) if penalty > 0 else -1
    if at < 0 or not _near(penalty, float(grid[at])):
        return [f"penalty {penalty:.6g} is none of the grid"]
    least = int(np.argmin(errors))
    if errors[at] > errors[least] * (1 + slack):
        return [f"penalty {penalty:.3g} was taken, {grid[least]:.3g} has less error left out"]
    return []


def _near(found: Any, expected: float) -> bool:
    return isinstance(found, (int, float)) and bool(np.isclose(found, expected, rtol=1e-6, atol=0))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
