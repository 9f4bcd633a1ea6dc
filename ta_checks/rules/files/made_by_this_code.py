"""Stored cells come from the code and the libraries that judge them now.

No row of the table: each release judges it of all cells at once. Stays out: whether a cell is out of date, which its
``code_version`` says (``ledger``): not every change of a line makes a result old, and this only names those that are
not of the present lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ta_checks.invariant import AddedRow
from ta_checks.verdict import Verdict


@dataclass(frozen=True)
class Maker:
    """What made a cell."""

    code: str | None
    """SHA-256 of the project's Python files; None where that was not recorded."""
    versions: Mapping[str, str]
    """Library -> version as it was imported; empty where that was not recorded."""


def made_by_this_code(cells: Mapping[str, Maker], now: Maker, installed: Mapping[str, str]) -> Verdict:
    """Fail on cells that other code or other versions made, and on libraries that are not the installed ones.

    Args:
        cells: ``asset[partition]`` -> what made it.
        now: of this process; ``versions`` holds what it has imported.
        installed: library -> version that is installed under its name.
    """
    offenders = [
        f"{name} is imported as {version}, installed is {installed[name]}"
        for name, version in now.versions.items()
        if installed.get(name, version).partition("+")[0] != version.partition("+")[0]
    ]
    known = {**installed, **now.versions}
    for cell, maker in cells.items():
        other = [
            f"{name} {version} (now {known[name]})"
            for name, version in maker.versions.items()
            if known.get(name, version).partition("+")[0] != version.partition("+")[0]
        ]
        if maker.code != now.code:
            other.insert(0, f"code {(maker.code or 'that nobody recorded')[:12]} (now {(now.code or '')[:12]})")
        if other:
            offenders.append(f"{cell} was made by {', '.join(other)}")
    message = f"{len(offenders)} of {len(cells)} cells were made by other code or versions than these"
    return Verdict.no_faults(offenders, n=len(cells), unit="cells", message=message)


ROW = AddedRow(
    "made_by_this_code",
    "The code and the versions of libraries that every cell recorded when it was made, as imported, against the "
    "present ones.",
    "Cells were made by other code, or by other versions of libraries, than those that judge them now. No error of the "
    "pipeline: a change that matters raises its asset's code_version, and the cell is made anew. Where nobody is sure "
    "of that, materialize the cells that are named.",
    "WARN",
)
