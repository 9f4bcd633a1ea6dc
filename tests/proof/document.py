"""``docs/proof.md``, ``artifacts/proof/rows.md`` and the printed counts, made of ``artifacts/proof/matrix.json`` alone.

Belongs here: what is claimed of the counts, and how they look. The document holds the claims, a line for each check and
whatever is not as claimed; every row stands in the other file. Stays out: running anything.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ta_assets.core.markdown import table
from ta_resources.storage.atomic import write_file

PATH, ROWS = Path("docs/proof.md"), Path("artifacts/proof/rows.md")
HELD = ("clear", "passed")
"""Outcomes of rows that are as claimed."""
CLAIMS: tuple[tuple[str, str, str, int | str], ...] = (
    ("faults", "planted faults", ">=", 60),
    ("caught", "of them caught", "==", "faults"),
    ("caught_by_named_check", "caught by the check that the catalogue names", "==", "faults"),
    ("checks_without_fault", "checks that catch no fault", "==", 0),
    ("clean_runs", "clean releases", ">=", 200),
    ("false_alarms", "of them with an alarm", "==", 0),
    ("kills", "kills, about half of them at a random moment and half inside a write", ">=", 200),
    ("kills_lost", "of them after which something was lost or repeated", "==", 0),
    ("bad_inputs", "malformed inputs", ">=", 120),
    ("bad_inputs_unclear", "of them without a clear error", "==", 0),
    ("disasters", "tests of full disks, jumping clocks, low memory, hostile input, two releases at once", ">=", 20),
    ("disasters_not_passed", "of them failed or skipped", "==", 0),
    ("determinism_runs", "ways to make the same two studies", ">=", 6),
    ("determinism_differences", "artifacts and rows of the verdict that differ between them", "==", 0),
    ("code_versions", "versions of the product's code that the parts were run on", "==", 1),
)
"""Key, what it counts, and the bound: a number or another key."""
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {">=": operator.ge, "==": operator.eq}
_WORDS = {">=": "at least", "==": ""}
_KNOWN = ("part", "kind", "name")


def unmet(found: Mapping[str, Any]) -> list[str]:
    """Keys whose claim does not hold, or whose part has not been run."""
    return [key for key, _, comparison, bound in CLAIMS if not _holds(found, key, comparison, bound)]


def counts_text(found: Mapping[str, Any]) -> str:
    """The counts for the terminal, one a line."""
    missing = unmet(found)
    return "\n".join(
        f"{'FAILED' if key in missing else 'ok':6} {_shown(found.get(key)):>7} {words}, "
        f"expected {_expected(comparison, bound)}"
        for key, words, comparison, bound in CLAIMS
    )


def write(found: Mapping[str, Any]) -> None:
    """Render the document, and the rows that it leaves out."""
    write_file(PATH, render(found).encode())
    write_file(ROWS, render_rows(found).encode())


def render(found: Mapping[str, Any]) -> str:
    """The document as Markdown: counts, and the rows that are not as claimed."""
    missing = unmet(found)
    counts = [
        [words, _shown(found.get(key)), _expected(comparison, bound), "no" if key in missing else "yes"]
        for key, words, comparison, bound in CLAIMS
    ]
    by_part = _by_part(found)
    faults, cleans, kills = (by_part.pop(part, []) for part in ("matrix", "clean", "kills"))
    runs = [[part, one["seconds"], one["code_sha256"][:12]] for part, one in found["runs"].items()]
    lines = [
        "# Proof that the gate holds",
        "",
        "Written by `make prove` from `artifacts/proof/matrix.json` (`python -m tests.proof document` renders it "
        f"anew); do not edit. It also writes `{ROWS}`, with every fault, input and disaster by name and what was "
        "answered. Faults are planted in a part of the embedded study, which the real job releases; how is in "
        "`tests/proof`.",
        "",
        table(["claim", "found", "expected", "holds"], counts),
        "",
        table(["part", "seconds", "code sha256"], runs),
        "",
        *(_checks(faults) if faults else []),
        *(_cleans(cleans) if cleans else []),
        *(_kills(kills) if kills else []),
        *(_others_of(by_part) if by_part else []),
    ]
    return _unpadded("\n".join(lines).rstrip() + "\n")


def render_rows(found: Mapping[str, Any]) -> str:
    """Every row as Markdown, by part."""
    by_part = _by_part(found)
    faults = by_part.pop("matrix", [])
    lines = ["# Rows of the proof", "", *(_faults(faults) if faults else [])]
    for part, rows in by_part.items():
        lines += [f"## {_words(part)}", "", _rows(rows), ""]
    return _unpadded("\n".join(lines).rstrip() + "\n")


def _by_part(found: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """``part: kind`` -> rows."""
    by_part: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        by_part.setdefault(": ".join(row[key] for key in ("part", "kind") if key in row), []).append(row)
    return by_part


def _words(part: str) -> str:
    return part.replace("_", " ").capitalize()


def _unpadded(text: str) -> str:
    """Tables without the blanks that align their columns: rows are too long to be read in columns as plain text."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"-{3,}", "---", re.sub(r" {2,}", " ", text)))


def _faults(rows: list[Mapping[str, Any]]) -> list[str]:
    return [
        "## Faults",
        "",
        "Every fault, the check that must notice it, and what else went off (checks that were not evaluated because "
        "their cell was left out are not listed). `refused` means that the product raised an error that names file, "
        "field, value and expectation.",
        "",
        table(
            ["fault", "check", "noticed", "what it said", "also noticed by"],
            [
                [
                    row["name"],
                    row["check"],
                    _noticed(row),
                    row["said"].replace("\n", " ")[:160],
                    ", ".join(_others(row)),
                ]
                for row in rows
            ],
        ),
        "",
    ]


def _checks(rows: list[Mapping[str, Any]]) -> list[str]:
    caught = Counter(row["check"] for row in rows if row["caught_by_named_check"])
    named = Counter(row["check"] for row in rows)
    missed = [[row["name"], row["check"], _noticed(row)] for row in rows if not row["caught_by_named_check"]]
    lines = [
        "## Faults by check",
        "",
        "`refused` means that the product raised an error that names file, field, value and expectation.",
        "",
        table(["check", "faults", "noticed"], [[check, named[check], caught[check]] for check in sorted(named)]),
        "",
    ]
    if missed:
        lines += ["Missed by the check that is named:", "", table(["fault", "check", "noticed"], missed), ""]
    return lines


def _others_of(by_part: Mapping[str, list[Mapping[str, Any]]]) -> list[str]:
    """A line for each kind of row; rows that are not as claimed are listed."""
    faulty = {part: [row for row in rows if not _held(row)] for part, rows in by_part.items()}
    counts = [[_words(part), len(rows), len(rows) - len(faulty[part])] for part, rows in by_part.items()]
    lines = ["## Inputs, disasters, determinism", "", table(["kind", "rows", "as claimed"], counts), ""]
    for part, rows in faulty.items():
        lines += [f"Not as claimed, {_words(part)}:", "", _rows(rows), ""] if rows else []
    return lines


def _held(row: Mapping[str, Any]) -> bool:
    return row["outcome"] in HELD if "outcome" in row else not row.get("different")


def _cleans(rows: list[Mapping[str, Any]]) -> list[str]:
    warned = Counter(name for row in rows for name in row["warnings"])
    problems = [row["problems"] for row in rows]
    alarmed = [row for row in rows if row["alarms"]]
    lines = [
        "## Clean releases",
        "",
        f"{len(rows)} releases of {min(problems)} to {max(problems)} problems drawn anew, with seeds of their own: "
        f"{len(alarmed)} raised an alarm. WARN checks, which say that there is little to claim and are no alarm, went "
        "off so often:",
        "",
        table(["check", "releases with a warning"], [[name, count] for name, count in sorted(warned.items())]),
        "",
    ]
    if alarmed:
        lines += [table(["release", "alarms"], [[row["name"], "; ".join(row["alarms"])] for row in alarmed]), ""]
    return lines


def _kills(rows: list[Mapping[str, Any]]) -> list[str]:
    """By phase: one line a kill would say hardly more; those that cost something are listed."""
    by_phase: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_phase.setdefault(row["phase"], []).append(row)
    counts = [
        [phase, len(own), *(sum(len(row["repeated"]) == n for row in own) for n in (0, 1)), len(_lost(own))]
        for phase, own in sorted(by_phase.items())
    ]
    lost = _lost(rows)
    return [
        "## Kills",
        "",
        table(["phase", "kills", "repeated nothing", "repeated one unit of work", "lost"], counts),
        "",
        *([_rows(lost), ""] if lost else []),
    ]


def _lost(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["outcome"] != "kept"]


def _rows(rows: list[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in _KNOWN))
    return table(["name", *columns], [[row["name"], *(_value(row.get(key, "")) for key in columns)] for row in rows])


def _value(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _noticed(row: Mapping[str, Any]) -> str:
    if row["caught_by_named_check"]:
        return "yes"
    return "by others only" if row["caught"] else "no"


def _others(row: Mapping[str, Any]) -> list[str]:
    evaluated = (alarm.rpartition(" ") for alarm in row["alarms"])
    return [check for check, _, status in evaluated if status != "skipped" and check != row["check"]]


def _holds(found: Mapping[str, Any], key: str, comparison: str, bound: int | str) -> bool:
    limit = found.get(bound) if isinstance(bound, str) else bound
    return key in found and limit is not None and _HOLDS[comparison](found[key], limit)


def _expected(comparison: str, bound: int | str) -> str:
    return f"{_WORDS[comparison]} {bound if isinstance(bound, int) else f'as many as {bound}'}".strip()


def _shown(value: object) -> str:
    return "not run" if value is None else str(value)
