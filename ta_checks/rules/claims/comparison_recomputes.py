"""A comparison says what the out-of-fold scores say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import CHANCE, precision_of, score_names
from ta_checks.rules.levels import ALPHA, CLAIMS, FURTHER_TESTS
from ta_checks.verdict import Verdict

TOLERANCE = 1e-9


def read(evidence: Evidence) -> dict[str, Any]:
    """The rows of the comparison against the out-of-fold scores."""
    scores, ceiling = evidence.cross_fitted.scores, evidence.value["ceiling"]
    return {
        "rows": evidence.value["rows"],
        "precision": {name: precision_of(scores, name) for name in (*score_names(scores), CHANCE)},
        "ceiling": ceiling and ceiling["oracle"],
        "level": evidence.value["level"],
    }


def comparison_recomputes(
    rows: Iterable[Mapping[str, Any]], precision: Mapping[str, np.ndarray], ceiling: float | None, level: float = ALPHA
) -> Verdict:
    """Fail on a number that the scores do not give, and on words that their interval or p-values do not allow.

    Args:
        rows: of a comparison.
        precision: score, and ``chance`` -> [n_problems] average precision within each problem with both classes.
        ceiling: average precision of the true importances, where the comparison knows it.
        level: what p-values must reach.
    """
    rows = list(rows)
    scored = set(precision) - {CHANCE}
    names = {row["name"] for row in rows}
    faults = [f"{name} is scored but not compared" for name in sorted(scored - names)]
    faults += [f"{name} is compared but not scored" for name in sorted(names - scored)]
    for row in (row for row in rows if row["name"] in scored):
        faults += [f"{row['name']}: {fault}" for fault in _faults(row, precision, ceiling, level)]
    return Verdict.no_faults(faults, n=len(rows), message=f"{len(rows)} rows recomputed, {len(faults)} faults")


ROW = Invariant(
    "comparison_recomputes",
    "probe_comparison",
    read,
    comparison_recomputes,
    "The comparison is not that of the stored out-of-fold scores, or a verdict contradicts its own interval. "
    "Materialize probe_comparison; if it stays red, its arithmetic is wrong.",
)


def _faults(
    row: Mapping[str, Any], precision: Mapping[str, np.ndarray], ceiling: float | None, level: float
) -> list[str]:
    own, rival, chance = precision[row["name"]], precision.get(row["against"]), precision[CHANCE].mean()
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
    tests = ("p", *FURTHER_TESTS) if row["verdict"] == "better" else ("p",)
    if row["verdict"] in CLAIMS:
        faults += [
            f"is called {row['verdict']}, but {test} is {row[test]:.3g}"
            for test in tests
            if row[test] is not None and row[test] > level
        ]
    if row["verdict"] == "worse" and (high is None or high >= 0):
        faults.append(f"is called worse, but its interval ends at {high}")
    return faults
