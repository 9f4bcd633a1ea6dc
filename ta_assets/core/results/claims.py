"""The rule by which a row of a comparison ends in better, worse, no difference or inconclusive.

Belongs here: this rule. Stays out: every number that it looks at (``compare``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ta_assets.core.options import InferenceOptions
from ta_assets.core.statistics.intervals import ALPHA, MIN_PROBLEMS, Interval
from ta_assets.core.statistics.power import MAX_PROBLEMS

BEYOND = {"chance_p": "chance", "increment_p": "position", "stratified_p": "position"}
"""Further tests that a lead must pass, and what each holds it against."""


@dataclass(frozen=True)
class Tested:
    """What a verdict is decided on."""

    n: int
    lead: float
    interval: Interval | None
    narrow: Interval | None
    """The 90 % interval, whose lying inside the margin is two one-sided tests at 5 % (Schuirmann 1987)."""
    row: Mapping[str, Any]
    """``p`` is adjusted: of a lead the largest over all rivals, of being behind that against the hardest one."""
    options: InferenceOptions


def verdict_of(tested: Tested) -> dict[str, str]:
    """``verdict`` (better, worse, no difference, or inconclusive with what it would take) and ``reason``."""
    row, margin = tested.row, tested.options.margin
    if tested.n < MIN_PROBLEMS:
        return _said(f"inconclusive, needs at least {MIN_PROBLEMS} problems", f"{tested.n} problems hold anchors")
    if row["deviation"] <= 1e-12 and abs(tested.lead) <= 1e-12:
        return _said("no difference", f"the same as {row['against']} on every problem")
    interval = tested.interval
    if interval and interval.high < 0 and row["p"] <= ALPHA:
        return _said("worse", f"than {row['against']}")
    if interval and interval.low > 0 and row["p"] <= ALPHA:
        blocked = [key for key in BEYOND if row[key] is not None and row[key] > ALPHA]
        if not blocked:
            return _said("better", f"than {row['against']} and every other rival")
        reason = f"leads, but not beyond {BEYOND[blocked[0]]}: {blocked[0]} {row[blocked[0]]:.3f}"
        return _said(_inconclusive(row["needed"]), reason)
    if tested.narrow and -margin < tested.narrow.low and tested.narrow.high < margin:
        return _said("no difference", f"the 90 % interval lies within {margin:g} of {row['against']}")
    return _said(_inconclusive(row["needed"]), f"cannot be told from {row['against']}")


def _inconclusive(needed: int | None) -> str:
    return f"inconclusive, needs {f'about {needed}' if needed else f'over {MAX_PROBLEMS}'} problems"


def _said(verdict: str, reason: str) -> dict[str, str]:
    return {"verdict": verdict, "reason": reason}
