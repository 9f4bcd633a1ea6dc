"""Every number of a comparison is what scores and labels give, every verdict what these numbers allow, and no rival is
left out.

The list of rivals, the tests, the corrections and the rule of verdicts are written down here a second time. Stays out:
that scores are what they say (``fits_refit``), looks and their levels (``looks_counted``), rounded words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ta_checks.evidence import KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.grades import Grades, expected_names, reads_activations
from ta_checks.rules.claims.own_rows import Asked, OwnRows, could_be_anchors
from ta_checks.verdict import Verdict

TOLERANCE = 1e-6
"""Of numbers, relative to themselves or one: the order of sums."""
ONE_PROBLEM = 0.005
"""Share of a number of problems by which it may differ, and at least one: two quadratures of one level."""
FEWEST = 2
"""Problems with which there is anything to recompute."""
COUNTS = ("needed", "needed_low", "needed_high")


def read(evidence: Evidence) -> dict[str, Any]:
    """Every row against out-of-fold scores, labels, permutations and what is known of each sentence."""
    value, fitted, options = evidence.value, evidence.cross_fitted, evidence.study.inference
    scores, record = fitted.scores.sort_values(KEYS, ignore_index=True), fitted.record
    rows = scores[KEYS].merge(evidence.sentences(), on=KEYS, how="left", validate="one_to_one")
    able = could_be_anchors(rows)
    grades = Grades.of(scores, fitted.without, "every", record["fewest_train"])
    again = None
    if able is not None:
        kept = scores.take(np.flatnonzero(able)).reset_index(drop=True)
        again = Grades.of(kept, fitted.without, "supported", record["fewest_train"])
    asked = Asked(
        permutations=options.permutations,
        margin=options.margin,
        smallest_lead=options.smallest_lead,
        deltas=options.deltas,
        first_look=options.first_look,
        seed=options.seed,
        level=value["level"],
        is_first=len(value["looks"]) == 1,
        ceiling=(value["ceiling"] or {}).get("oracle"),
    )
    own = OwnRows(rows, grades, again, fitted.nulls, asked)
    # of one problem there is neither a deviation nor a test
    names = [row["name"] for row in value["rows"] if row["name"] in grades.names and grades.n >= FEWEST]
    return {
        "rows": value["rows"],
        "expected": {name: own.expected(name) for name in names},
        "names": expected_names(record["blocks"], counted=able is not None),
        "whole": {
            "n_problems": (value["n_problems"], grades.n),
            "family": (value["family"], sum(map(reads_activations, grades.names))),
            **({"chance": (value["chance"], float(grades.precision["chance"].mean()))} if names else {}),
        },
    }


def claims_recompute(
    rows: Iterable[Mapping[str, Any]],
    expected: Mapping[str, Mapping[str, Any]],
    names: Iterable[str],
    whole: Mapping[str, tuple[Any, Any]],
) -> Verdict:
    """Fail on a score that is left out, on a number that differs, and on a verdict that the numbers do not give.

    Args:
        rows: of a comparison.
        expected: score -> its columns, and ``word``, its verdict without what it would take.
        names: of every score that a comparison must have.
        whole: name of a number of the whole comparison -> what it is, and what it should be.
    """
    rows = list(rows)
    found = {row["name"] for row in rows}
    faults = [f"{name} is not compared" for name in sorted(set(names) - found)]
    faults += [f"{name} is no score that is known here" for name in sorted(found - set(names))]
    faults += [f"{name} is {one}, not {other}" for name, (one, other) in whole.items() if not _same(one, other)]
    n = 0
    for row in rows:
        columns = dict(expected.get(row["name"], {}))
        word = columns.pop("word", None)
        n += len(columns)
        for column, value in columns.items():
            if not _agrees(column, row.get(column), value):
                faults.append(f"{row['name']}: {column} is {_short(row.get(column))}, the scores give {_short(value)}")
        if word is not None and row["verdict"].partition(",")[0] != word:
            faults.append(f"{row['name']}: is called {row['verdict']}, its numbers give {word}")
        faults += _said(row)
    message = f"{n} numbers of {len(rows)} rows recomputed, {len(faults)} faults"
    return Verdict.no_faults(faults, n=n, message=message)


ROW = Invariant(
    "claims_recompute",
    "probe_comparison",
    read,
    claims_recompute,
    "A row of the comparison holds a number or a verdict that scores and labels do not give, or a rival is left out: a "
    "shorter list of rivals, an uncorrected p-value or a narrower interval makes probes look better. Materialize "
    "probe_comparison; if it stays red, its arithmetic is wrong.",
)


def _said(row: Mapping[str, Any]) -> list[str]:
    """Faults of what an inconclusive row says that it would take."""
    words = row["verdict"].partition(", needs about ")[2]
    if not words or not row.get("needed") or "(" not in words:
        return []
    low, high = row["needed_low"] or row["needed"], row["needed_high"] or "over"
    told = words.replace("(", " ").split()
    right = [str(row["needed"]), str(low)]
    stated = [told[0], told[2]]
    ok = stated == right and str(high) in words
    return [] if ok else [f"{row['name']}: says {words}, its numbers are {row['needed']} ({low} to {high})"]


def _agrees(column: str, found: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        same_keys = isinstance(found, Mapping) and set(found) == set(expected)
        return same_keys and all(_agrees(COUNTS[0], found[key], one) for key, one in expected.items())
    if isinstance(expected, tuple):
        return any(_agrees(column, found, one) for one in expected)
    if column in COUNTS and isinstance(found, int) and isinstance(expected, int):
        return abs(found - expected) <= max(1, ONE_PROBLEM * expected)
    return _same(found, expected)


def _same(found: Any, expected: Any) -> bool:
    if isinstance(found, (int, float)) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return found == expected


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
