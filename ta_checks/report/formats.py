"""A release report as Markdown, JUnit XML and a terminal table.

Belongs here: how rows look, and that no text of theirs can break out of its place. Stays out: what is OK
(``report``), files, Dagster.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ta_assets.core.markdown import escape, table
from ta_checks.report.report import CheckRow, ReleaseReport
from ta_checks.verdict import figure

MAX_TERMINAL_MESSAGE = 100
MAX_SHOWN = 25
"""Red rows on a page of Dagster's, which opens at its end when it is longer than the screen."""
MAX_ALIKE = 3
"""Rows of a terminal table that were not evaluated for one reason; of more, which may be all, the number is enough."""
LEFT_OUT = "left out"
"""How the message of a cell begins that was not made since what it is made of was not."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold even as a reference (section 2.2)."""


def markdown(report: ReleaseReport) -> str:
    """Render ``verdict.md``: the summary, every check (red first), what happened to the cells, and the environment.

    No text from a check can become markup.
    """
    headers = ("status", "severity", "check", "cell", "observed", "required", "n", "message", "offenders")
    checks: list[tuple[Any, ...]] = []
    for row, meaning in _explained(report):
        offenders = "; ".join(_offenders(row))
        bound = (*_bound(row), row.verdict.n)
        checks.append((row.status, row.severity, row.name, row.cell, *bound, row.verdict.message, offenders))
        if meaning:
            checks.append(("", "", "", "", "", "", "", meaning, ""))
    parts = [
        f"# {escape(report.study)}: {escape(report.summary)}\n",
        table(headers, checks) if checks else "No check was evaluated.\n",
    ]
    if report.cells:
        parts += ["## Cells\n", table(("cell", "in this release"), list(_flat(report.cells)))]
    if report.environment:
        parts += ["## Environment\n", table(("what", "value"), list(_flat(report.environment)))]
    return "\n".join(parts)


def red_table(report: ReleaseReport) -> str:
    """What keeps a release from being OK and what to do about it, as Markdown: one line a check, "none" if none."""
    rows = [(row, meaning) for row, meaning in _explained(report) if row.is_red][:MAX_SHOWN]
    if not rows:
        return "none"
    lines = [
        (row.name, row.cell, row.status, row.verdict.message or row.verdict.found, meaning or "as above")
        for row, meaning in rows
    ]
    more = sum(row.is_red for row in report.rows) - len(rows)
    shown = table(("check", "cell", "status", "message", "what it means, and what to do"), lines)
    return f"{shown}\nand {more} more in verdict.md" if more else shown


def checks_table(report: ReleaseReport) -> str:
    """One line for each check, as Markdown: in how many cells it holds."""
    counts: dict[str, list[int]] = {}
    for row in report.red_first:
        count = counts.setdefault(row.name, [0, 0])
        count[0] += row.verdict.passed
        count[1] += 1
    return table(("check", "passed", "of cells"), [(name, *count) for name, count in counts.items()])


def junit_xml(report: ReleaseReport) -> str:
    """Render ``junit.xml``, one test case per row: failed, errored and skipped are the elements of that name.

    Times are in seconds: of a check, how long it took when it was evaluated; of a cell that was made, its making.

    Only ERROR checks can fail or err here. A WARN check that failed passes with its message in ``system-out``; one
    that raised is skipped, because CI reads an error as a broken build and the verdict does not.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=_xml(report.study))
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="verdict", value=report.verdict)
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for row in report.red_first:
        title = row.name if row.partition is None else f"{row.name}[{row.partition}]"
        case = ET.SubElement(suite, "testcase", classname=_xml(row.asset), name=_xml(title), time=f"{row.seconds:.3f}")
        element = _junit_element(row)
        if element in counts:
            counts[element] += 1
            ET.SubElement(case, element, message=_xml(row.verdict.message)).text = _xml(_body(row))
        elif element:
            ET.SubElement(case, element).text = _xml(_body(row))
    seconds = sum(row.seconds for row in report.rows)
    for target in (suites, suite):
        target.set("time", f"{seconds:.3f}")
        target.set("tests", str(len(report.rows)))
        target.set("failures", str(counts["failure"]))
        target.set("errors", str(counts["error"]))
        target.set("skipped", str(counts["skipped"]))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def text(report: ReleaseReport) -> str:
    """Render a table of fixed width for the terminal, the verdict in its last line.

    Messages only where a check did not pass, long ones in full below the table. Of rows that were not evaluated for one
    reason the first few; the other formats have all of them.
    """
    headers = ("status", "check", "cell", "observed", "required", "message")
    lines: list[tuple[str, ...]] = [headers]
    in_full: list[str] = []
    meanings: dict[int, str] = {}
    alike: Counter[str] = Counter()
    for row, meaning in _explained(report):
        if row.status == "skipped":
            why = LEFT_OUT if row.verdict.message.startswith(LEFT_OUT) else _printable(row.verdict.message)
            alike[why] += 1
            if alike[why] > MAX_ALIKE:
                continue
        message = "" if row.verdict.passed else _printable(row.verdict.message)
        if len(message) > MAX_TERMINAL_MESSAGE:
            in_full.append(_printable(f"{row.name} of {row.cell}: ") + message)
            message = message[: MAX_TERMINAL_MESSAGE - 1] + "…"
        lines.append((row.status.upper(), *map(_printable, (row.name, row.cell, *_bound(row))), message))
        if meaning:
            meanings[len(lines)] = f"    {_printable(meaning)}"
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    lines.insert(1, tuple("-" * width for width in widths))
    shown: list[str] = []
    for number, line in enumerate(lines):
        shown.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        shown += [meanings[number]] if number in meanings else []
    more = [f"and {n - MAX_ALIKE} more rows: {why}" for why, n in alike.items() if n > MAX_ALIKE]
    below = [*(["", *more] if more else []), *(["", *in_full] if in_full else [])]
    return "\n".join([*shown, *below, "", _printable(f"{report.study}: {report.summary}")]) + "\n"


def _explained(report: ReleaseReport) -> Iterator[tuple[CheckRow, str]]:
    """Every row, the red ones first, and what it means that it did not pass: once, under the first that says so."""
    said = {""}
    for row in report.red_first:
        meaning = "" if row.verdict.passed else row.description
        yield row, "" if meaning in said else meaning
        said.add(meaning)


def _bound(row: CheckRow) -> tuple[str, str]:
    verdict = row.verdict
    if not verdict.comparison:
        return "", ""
    return figure(verdict.observed), f"{verdict.comparison} {figure(verdict.threshold)} {verdict.unit}".rstrip()


def _offenders(row: CheckRow) -> list[str]:
    kept = list(row.verdict.offenders)
    more = (row.verdict.n_offenders or 0) - len(kept)
    return [*kept, f"and {more} more"] if more else kept


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names, one row per value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "" if value is None else str(value)


def _junit_element(row: CheckRow) -> str | None:
    if row.status == "passed":
        return None
    if row.status == "skipped":
        return "skipped"
    if row.severity == "WARN":
        return "skipped" if row.status == "errored" else "system-out"
    return "error" if row.status == "errored" else "failure"


def _body(row: CheckRow) -> str:
    observed, required = _bound(row)
    figures = f"observed {observed}, required {required}, n {row.verdict.n}" if required else ""
    return "\n".join(line for line in (row.verdict.message, row.description, figures, *_offenders(row)) if line)


def _xml(value: str) -> str:
    return _NOT_XML.sub("", value)


def _printable(value: str) -> str:
    """One line without control characters: an escape sequence in a message must not reach the terminal."""
    return "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in value)
