"""What a row of the table of invariants is.

Belongs here: these values. Stays out: the rows (``rules``, one file a check), how they become Dagster's checks
(``checks``).
"""

from __future__ import annotations

import inspect
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

    @property
    def looks_at(self) -> str:
        """What it looks at: the first paragraph of the docstring of its ``read``."""
        return " ".join((inspect.getdoc(self.read) or "").split("\n\n")[0].split()).replace("``", "`")

    @property
    def page(self) -> str:
        """What its page in Dagster says, which must not sound like a finding."""
        return shown(self.looks_at, self.description)

    def evaluate(self, evidence: Evidence) -> Verdict:
        """The verdict of the rule on what is read from the evidence."""
        return self.rule(**self.read(evidence))


def shown(looks_at: str, if_red: str) -> str:
    """The description of a check as Dagster shows it beside the result, which may well be green."""
    return f"Looks at: {looks_at[:1].lower()}{looks_at[1:]}\n\n**If red:** {if_red}"


@dataclass(frozen=True)
class AddedRow:
    """A row of every verdict that the release itself judges, beside the table."""

    name: str
    looks_at: str
    description: str
    """What a red one means and what to do."""
    severity: Severity = "ERROR"

    @property
    def page(self) -> str:
        """As ``Invariant.page``."""
        return shown(self.looks_at, self.description)
