"""The verdict on a release, made of the verdicts of all checks of all cells.

Belongs here: rows, the rule for OK, the JSON. Stays out: how it looks to people and CI (``formats``), where it is
written, evaluating anything, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ta_checks.verdict import Verdict, plain

SEVERITIES = ("ERROR", "WARN")
OK, NOT_OK = "OK", "NOT OK"

_RED_FIRST = ("errored", "failed", "skipped", "warned", "passed")


@dataclass(frozen=True)
class CheckRow:
    """One check of one cell. A failed check that only warns is ``warned``.

    Raises:
        ValueError: unknown severity.
    """

    name: str
    asset: str
    partition: str | None
    severity: str
    """ERROR, which keeps a release from being OK, or WARN, which does not."""
    verdict: Verdict
    description: str = ""
    """What it means that it did not pass, and what to do; shown to people then, and no part of the JSON."""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is not one of {', '.join(SEVERITIES)}")
        if self.severity == "WARN":
            object.__setattr__(self, "verdict", self.verdict.as_warning())

    @property
    def status(self) -> str:
        """Status of its verdict."""
        return self.verdict.status

    @property
    def cell(self) -> str:
        """Where it was evaluated, as ``asset[partition]``."""
        return self.asset if self.partition is None else f"{self.asset}[{self.partition}]"

    @property
    def is_red(self) -> bool:
        """Whether it keeps the release from being OK: an ERROR check that is anything but passed."""
        return self.severity == "ERROR" and not self.verdict.passed

    @property
    def rank(self) -> tuple[bool, int]:
        """Sort key that puts red rows first, then warnings, then what passed."""
        return not self.is_red, _RED_FIRST.index(self.status)

    def to_json(self) -> dict[str, Any]:
        """The row of ``verdict.json``."""
        verdict = self.verdict
        return {
            "name": self.name,
            "asset": self.asset,
            "partition": self.partition,
            "status": self.status,
            "severity": self.severity,
            "observed": verdict.observed,
            "comparison": verdict.comparison,
            "threshold": verdict.threshold,
            "unit": verdict.unit,
            "n": verdict.n,
            "message": verdict.message,
            "offenders": list(verdict.offenders),
        }


@dataclass(frozen=True)
class ReleaseReport:
    """Everything that is known about a study when a release ends."""

    study: str
    rows: tuple[CheckRow, ...]
    """One per check and cell, in the order of the graph."""
    cells: Mapping[str, Any]
    """What happened to each cell in this release."""
    environment: Mapping[str, Any]
    """``ta_checks.report.environment.snapshot()``."""

    @property
    def verdict(self) -> str:
        """OK when there are ERROR checks and every one of them passed; skipped and errored are not passed."""
        errors = [row for row in self.rows if row.severity == "ERROR"]
        return OK if errors and not any(row.is_red for row in errors) else NOT_OK

    @property
    def red_first(self) -> tuple[CheckRow, ...]:
        """All rows, the red ones first, otherwise in the order of the graph."""
        return tuple(sorted(self.rows, key=lambda row: row.rank))

    @property
    def summary(self) -> str:
        """The verdict and the counts behind it, in one line."""
        passed = sum(row.verdict.passed for row in self.rows)
        counts = {status: sum(row.status == status for row in self.rows) for status in _RED_FIRST[:-1]}
        others = "".join(f", {count} {status}" for status, count in counts.items() if count)
        return f"{self.verdict}: {passed} of {len(self.rows)} checks passed{others}"

    def to_json(self) -> dict[str, Any]:
        """The content of ``verdict.json``: strict JSON values only."""
        return plain(
            {
                "study": self.study,
                "verdict": self.verdict,
                "checks": [row.to_json() for row in self.rows],
                "environment": self.environment,
                "cells": self.cells,
            }
        )
