"""The gate on the gate: reads what a release left behind, against checks that are pinned beside this file.

Shares no code with the product: a check that is gone from the table, an ERROR that became a WARN, a cell that was never
judged, or files and exit code that say different things are seen here. Prints what is wrong and exits 1, else 0.

    python .ci/verdict_gate.py STUDY.yaml RELEASE_FOLDER EXIT_CODE [PINNED.json]
"""

from __future__ import annotations

import json
import operator
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SEEDS = range(5)
COMPARE = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
ELEMENT = {"failed": "failure", "errored": "error", "skipped": "skipped"}
Rows = list[dict[str, Any]]


def cells(study: dict[str, Any], kind: str) -> list[str]:
    """Names of the cells of an asset of that kind, from the study's own file."""
    settings = study["settings"]
    corpora = {f"{one['model']}_{one['solutions']}" for one in settings.values()}
    return {
        "setting": sorted(settings),
        "generated corpus": sorted(corpora) if "generation" in study else [],
        "corpus": sorted(corpora),
        "cell": [f"{seed}|{name}" for name in sorted(settings) for seed in SEEDS],
        "study": [study["name"]],
        "release": [study["name"]],
    }[kind]


def wanted(study: dict[str, Any], pinned: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    """(check, asset, cell) -> severity of every row that a verdict of the study must have."""
    verifies = str(study.get("verification", {}).get("problem", "none")) != "none"
    left_out = set() if verifies else set(pinned["only_where_the_study_verifies_labels"])
    return {
        (name, asset, cell): severity
        for asset, of in pinned["assets"].items()
        for name, severity in of["checks"].items()
        if name not in left_out
        for cell in cells(study, of["one_for_each"])
    }


def of_rows(rows: Rows, expected: dict[tuple[str, str, str], str]) -> Iterator[str]:
    """Faults of the rows of a verdict: absent, twice, unknown, of another severity, or denied by their own figures."""
    found = Counter((row["name"], row["asset"], row["partition"]) for row in rows)
    for key in sorted(set(expected) | set(found), key=str):
        if found[key] != (key in expected):
            yield f"{key[0]} of {key[1]}[{key[2]}] has {found[key]} rows, {int(key in expected)} expected"
    for row in rows:
        key = (row["name"], row["asset"], row["partition"])
        if row["severity"] != expected.get(key, row["severity"]):
            yield f"{key[0]} of {key[1]}[{key[2]}] is {row['severity']}, pinned as {expected[key]}"
        bound = row["comparison"], row["threshold"]
        if row["status"] == "passed" and not holds(row["observed"], *bound):
            yield f"{key[0]} of {key[1]}[{key[2]}] passed with {row['observed']}, required {bound[0]} {bound[1]}"


def holds(observed: Any, comparison: str, threshold: Any) -> bool:
    """Whether a figure keeps its bound; one that is no figure does not."""
    try:
        return observed is not None and bool(COMPARE[comparison](observed, threshold))
    except (KeyError, TypeError):
        return False


def of_words(verdict: dict[str, Any], exit_code: int) -> Iterator[str]:
    """Faults of the one word of a verdict and of the exit code, against its rows."""
    errors = [row for row in verdict["checks"] if row["severity"] == "ERROR"]
    ok = bool(errors) and all(row["status"] == "passed" for row in errors)
    if verdict["verdict"] != ("OK" if ok else "NOT OK"):
        yield f"the verdict is {verdict['verdict']}, its rows say {'OK' if ok else 'NOT OK'}"
    if (exit_code == 0) != ok:
        yield f"the exit code is {exit_code}, the rows say {'OK' if ok else 'NOT OK'}"


def of_junit(junit: ET.Element, verdict: dict[str, Any]) -> Iterator[str]:
    """Faults of junit.xml against the rows: cases, what each holds, and the counts."""
    cases = {
        (case.get("classname"), case.get("name")): {child.tag for child in case} for case in junit.iter("testcase")
    }
    counts: Counter[str] = Counter()
    for row in verdict["checks"]:
        name = row["name"] if row["partition"] is None else f"{row['name']}[{row['partition']}]"
        element = ELEMENT.get(row["status"]) if row["severity"] == "ERROR" or row["status"] == "skipped" else None
        found = cases.pop((row["asset"], name), None)
        shown = None if found is None else found & set(ELEMENT.values())
        if row["severity"] == "ERROR" and shown != ({element} - {None}):
            yield f"junit.xml shows {name} of {row['asset']} as {sorted(found or ['absent'])}, it {row['status']}"
        counts.update(shown or ())
    yield from (f"junit.xml has {name} of {asset}, the verdict has not" for asset, name in cases)
    numbers = {"tests": len(verdict["checks"]), "failures": counts["failure"], "errors": counts["error"]}
    for suite in (junit, *junit.iter("testsuite")):
        yield from (
            f"junit.xml says {name}={suite.get(name)}, the rows say {number}"
            for name, number in numbers.items()
            if suite.get(name) != str(number)
        )
    said = {one.get("value") for one in junit.iter("property") if one.get("name") == "verdict"}
    if said != {verdict["verdict"]}:
        yield f"junit.xml says {said}, the verdict is {verdict['verdict']}"


def faults(study: Path, release: Path, exit_code: int, pinned: Path) -> list[str]:
    """Everything that is wrong with a release."""
    asked = yaml.safe_load(study.read_text(encoding="utf-8"))
    verdict = json.loads((release / "verdict.json").read_text(encoding="utf-8"))
    expected = wanted(asked, json.loads(pinned.read_text(encoding="utf-8")))
    junit = ET.parse(release / "junit.xml").getroot()
    other = [] if verdict["study"] == asked["name"] else [f"the verdict is of the study {verdict['study']}"]
    return [
        *other,
        *of_rows(verdict["checks"], expected),
        *of_words(verdict, exit_code),
        *of_junit(junit, verdict),
    ]


def main(arguments: list[str]) -> int:
    """Print the faults; 1 if there are any."""
    study, release, exit_code, *pinned = arguments
    file = Path(pinned[0]) if pinned else Path(__file__).with_name("checks.json")
    found = faults(Path(study), Path(release), int(exit_code), file)
    for fault in found:
        print(f"gate: {fault}")
    print(f"gate: {len(found)} faults in what the release left behind")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
