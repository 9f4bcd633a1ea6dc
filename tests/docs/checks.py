"""``docs/checks.md``: every check, from the table of invariants.

Belongs here: how the table looks, and what the rows say that a release adds to it. Stays out: what a check holds, which
the docstring of its evaluation says, and what a red one means, which its description says.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable

from ta_assets.assets.verdicts import RELEASE, UNEDITED
from ta_assets.core.markdown import table
from ta_assets.ledger.table import ASSETS
from ta_checks.report.rows import MADE
from ta_checks.table import INVARIANTS, Invariant

TITLE = """# Checks

Written by `make docs` from the table in `ta_checks/__init__.py`; do not edit. Each check is evaluated in every cell of
its asset. An ERROR check that does not hold, or could not be evaluated, makes the verdict NOT OK; a WARN check never
does. A *blocking* check keeps what is built on its cell from being computed. One *at every release* is evaluated also
when nothing was computed; the others when their cell was made or their options changed.
"""
EVERY = "every asset"
ADDED = (
    (
        MADE,
        EVERY,
        "Whether the latest run that was to make the cell has made it.",
        "The run failed, or the cell was left out because of another one; the message says why. Repair what it names "
        "and release again: only what is missing is made.",
    ),
    (
        RELEASE,
        "release_verdict",
        "What went wrong in the release itself, outside any check: an exception while it planned or judged.",
        "A cell may not have been brought up to date. The message has the exception: mend the study, the data or the "
        "model that it names, and release again.",
    ),
    (
        UNEDITED,
        "release_verdict",
        "The hash in the earlier `verdict.json` against its content.",
        "Somebody or something edited the verdict of an earlier release, so what was read there cannot be believed. "
        "The present release has written it anew; release again to see the row green.",
    ),
)
"""Name, asset, what it holds, and what a red one means, of the rows that are no invariant; all of them are ERROR."""


def render() -> str:
    """The document."""
    groups: dict[tuple[str, str], list[Invariant]] = {}
    for invariant in INVARIANTS:
        groups.setdefault((invariant.name, invariant.description), []).append(invariant)
    merged = [(group[0], _assets(group)) for group in groups.values()]
    short = [
        *([name, asset, "ERROR", "at every release"] for name, asset, _, _ in ADDED),
        *([one.name, asset, one.severity, _how(one)] for one, asset in merged),
    ]
    long = [
        *((name, asset, holds, red) for name, asset, holds, red in ADDED),
        *((one.name, asset, holds(one), one.description) for one, asset in merged),
    ]
    return "\n".join([TITLE, table(["check", "asset", "severity", "how"], short), *(_section(*row) for row in long)])


def holds(invariant: Invariant) -> str:
    """What a check looks at: the first paragraph of its evaluation's docstring."""
    return " ".join((inspect.getdoc(invariant.evaluate) or "").split("\n\n")[0].split()).replace("``", "`")


def _assets(group: Iterable[Invariant]) -> str:
    assets = tuple(one.asset for one in group)
    return EVERY if set(assets) == set(ASSETS) else ", ".join(assets)


def _how(invariant: Invariant) -> str:
    asked = invariant.applies is not Invariant.applies
    said = {
        "blocking": invariant.blocking,
        "at every release": invariant.every_release,
        "where the study asks for it": asked,
    }
    return ", ".join(words for words, true in said.items() if true)


def _section(name: str, asset: str, looks_at: str, red: str) -> str:
    place = asset if asset == EVERY else f"`{asset}`"
    lines = (f"**Looks at:** {looks_at}", f"**Red:** {red}")
    return "\n".join([f"## {name} ({place})\n", *(f"{textwrap.fill(line, 120)}\n" for line in lines)])
