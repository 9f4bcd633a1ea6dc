"""Rule: a comparison says what the out-of-fold scores say.

Belongs here: this rule. Stays out: precisions from scores, how words are found (``core.claims``), Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_assets.core.results.claims import BEYOND
from ta_assets.core.statistics.intervals import ALPHA
from ta_checks.rules.claims.enough_problems import CLAIMS
from ta_checks.verdict import Verdict

TOLERANCE = 1e-9


def comparison_recomputes(
    rows: Iterable[Mapping[str, Any]], precision: Mapping[str, np.ndarray], ceiling: float | None
) -> Verdict:
    """Fail on a number that the scores do not give, and on words that their interval or p-values do not allow.

    Args:
        rows: of a comparison.
        precision: score, and ``chance`` -> [n_problems] average precision within each problem with both classes.
        ceiling: average precision of the true importances, where the comparison knows it.
    """
    rows = list(rows)
    scored = set(precision) - {"chance"}
    names = {row["name"] for row in rows}
    offenders = [f"{name} is scored but not compared" for name in sorted(scored - names)]
    offenders += [f"{name} is compared but not scored" for name in sorted(names - scored)]
    for row in (row for row in rows if row["name"] in scored):
        offenders += [f"{row['name']}: {fault}" for fault in _faults(row, precision, ceiling)]
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=len(rows), offenders=offenders,
        message=f"{len(rows)} rows recomputed, {len(offenders)} faults",
    )  # fmt: skip


def _faults(row: Mapping[str, Any], precision: Mapping[str, np.ndarray], ceiling: float | None) -> list[str]:
    own, rival, chance = precision[row["name"]], precision.get(row["against"]), precision["chance"].mean()
    if rival is None:
        return [f"is held against {row['against']}, which is not scored"]
    faults = []
    expected = {"average_precision": own.mean(), "difference": (own - rival).mean()}
    if ceiling is not None and ceiling > chance:
        expected["share_of_ceiling"] = (own.mean() - chance) / (ceiling - chance)
    for field, value in expected.items():
        if row[field] is None or not abs(row[field] - value) <= TOLERANCE:
            faults.append(f"{field} is {row[field]}, the scores give {value:.6g}")
    low, high = row["low"], row["high"]
    if row["verdict"] == "better" and (low is None or low <= 0):
        faults.append(f"is called better, but its interval starts at {low}")
    tests = ("p", *BEYOND) if row["verdict"] == "better" else ("p",)
    if row["verdict"] in CLAIMS:
        faults += [
            f"is called {row['verdict']}, but {test} is {row[test]:.3g}"
            for test in tests
            if row[test] is not None and row[test] > ALPHA
        ]
    if row["verdict"] == "worse" and (high is None or high >= 0):
        faults.append(f"is called worse, but its interval ends at {high}")
    return faults
