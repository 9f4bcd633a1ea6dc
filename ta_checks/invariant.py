"""What a row of the table of invariants is.

Belongs here: these values. Stays out: the rows (``rules``, one file a check), how they become Dagster's checks
(``checks``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ta_assets.studies.study import Study
from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict

Severity = Literal["ERROR", "WARN"]


@dataclass(frozen=True)
class Invariant:
    """One row of the table."""

    name: str
    asset: str
    read: Callable[[Evidence], Mapping[str, Any]]
    """Arguments of the rule by name, read from the evidence. Its docstring says what the check looks at."""
    rule: Callable[..., Verdict]
    """The judgement: a function of plain values that reads nothing."""
    description: str
    """What a red one means and what to do; shown on the check's page."""
    severity: Severity = "ERROR"
    blocking: bool = False
    every_release: bool = False
    """Evaluated at each release, also when nothing was computed."""
    parameters: Callable[[Study], dict[str, object]] = lambda _: {}
    """Options of the study on which the rule depends; when they change, it is evaluated again."""
    applies: Callable[[Study], bool] = lambda _: True
    """Whether a study asks for it; one that does not has no row of it. Blocking rows are for every study."""
    uses_model: bool = False
    """Whether reading loads the language model; then it must not run beside another step that does."""

    def evaluate(self, evidence: Evidence) -> Verdict:
        """The verdict of the rule on what is read from the evidence."""
        return self.rule(**self.read(evidence))


@dataclass(frozen=True)
class AddedRow:
    """A row of every verdict that the release itself judges, beside the table."""

    name: str
    looks_at: str
    description: str
    """What a red one means and what to do."""
    severity: Severity = "ERROR"
