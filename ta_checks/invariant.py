"""What a row of the table of invariants is.

Belongs here: this value. Stays out: the rows (``ta_checks``), how they become checks (``factory``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ta_assets.studies.study import Study
from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict

Severity = Literal["ERROR", "WARN"]


@dataclass(frozen=True)
class Invariant:
    """One row of the table."""

    name: str
    asset: str
    evaluate: Callable[[Evidence], Verdict]
    description: str
    """What a red one means and what to do; shown on the check's page."""
    severity: Severity = "ERROR"
    blocking: bool = False
    every_release: bool = False
    """Evaluated at each release, also when nothing was computed."""
    parameters: Callable[[Study], dict[str, object]] = lambda _: {}
    """Options of the study that the rule depends on; when they change, it is evaluated again."""
    applies: Callable[[Study], bool] = lambda _: True
    """Whether a study asks for it; one that does not has no row of it. Blocking rows are for every study."""
    uses_model: bool = False
    """Loads the language model, so it must not run beside another that does."""
