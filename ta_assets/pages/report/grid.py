"""Checks x cells, with what each means and what it said in the releases before.

Stays out: judging (``ta_checks``), where releases are kept (``assets.releases.kept_releases``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ta_assets.studies.readme_file import RELEASES
from ta_checks.report.rows import ADDED
from ta_checks.table import INVARIANTS

KEPT = 20
"""Latest releases that are shown."""
LETTERS = {"passed": "p", "warned": "w", "failed": "f", "errored": "e", "skipped": "s"}
ABSENT = "-"


def annotated(checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a verdict, red ones first, each with ``means``: what a red one means and what to do."""
    means = {(one.name, one.asset): one.description for one in INVARIANTS}
    added = {one.name: one.description for one in ADDED}
    rows = [{**row, "means": means.get((row["name"], row["asset"]), added.get(row["name"], ""))} for row in checks]
    return sorted(rows, key=lambda row: (row["status"] == "passed", row["severity"] != "ERROR"))


def grid(rows: Sequence[Mapping[str, Any]], history: Mapping[str, Any]) -> dict[str, Any]:
    """The rows by asset and check.

    Returns:
        columns (names of settings, corpora or studies); lines, each of one check of one asset with asset, name,
        severity, means and cells (column -> rows of the verdict, those of seeds by seed); releases and history, see
        ``history_of``.
    """
    columns = list(dict.fromkeys(column_of(row) for row in sorted(rows, key=lambda row: str(row["partition"]))))
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        head = {key: row[key] for key in ("asset", "name", "severity", "means")}
        line = lines.setdefault((row["asset"], row["name"]), {**head, "cells": {}})
        body = {key: value for key, value in row.items() if key not in head}
        line["cells"].setdefault(column_of(row), []).append({**body, "history": _told(row, history)})
    for line in lines.values():
        for cells in line["cells"].values():
            cells.sort(key=lambda row: str(row["partition"]))
    return {"columns": columns, "lines": list(lines.values()), "releases": history["releases"]}


def column_of(row: Mapping[str, Any]) -> str:
    """What a cell is of: its partition without a seed."""
    return str(row["partition"]).rpartition("|")[2]


def history_of(study_folder: Path) -> dict[str, Any]:
    """The kept releases of a study, the latest last.

    Returns:
        releases (name, ended, verdict, commit of each) and statuses: for each a mapping of (check, asset, partition)
        to a letter of ``LETTERS``. A release that cannot be read is left out.
    """
    releases, statuses = [], []
    folder = study_folder / RELEASES
    for path in sorted(folder.iterdir())[-KEPT:] if folder.is_dir() else []:
        try:
            about = json.loads((path / "release.json").read_text(encoding="utf-8"))
            verdict = json.loads((path / "verdict.json").read_text(encoding="utf-8"))
            told = {(row["name"], row["asset"], row["partition"]): LETTERS[row["status"]] for row in verdict["checks"]}
            shown = {key: about.get(key) for key in ("ended", "verdict", "commit")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        releases.append({"name": path.name, **shown})
        statuses.append(told)
    return {"releases": releases, "statuses": statuses}


def _told(row: Mapping[str, Any], history: Mapping[str, Any]) -> str:
    key = row["name"], row["asset"], row["partition"]
    return "".join(of.get(key, ABSENT) for of in history["statuses"])
