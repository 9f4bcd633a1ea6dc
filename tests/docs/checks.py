"""``docs/checks.md``: every check, from the table of invariants.

Belongs here: how the document looks. Stays out: what a check looks at, which the docstring of its ``read`` says, and
what a red one means, which its description says.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from ta_assets.assets.verdicts import VERDICT_ASSET
from ta_assets.core.markdown import table
from ta_assets.ledger.table import ASSETS
from ta_checks.invariant import AddedRow, Invariant
from ta_checks.report.rows import ADDED, MADE
from ta_checks.table import INVARIANTS

TITLE = """# Checks

Written by `make docs` from the files under `ta_checks/rules`, one per check; do not edit. Each check is evaluated in
every cell of its asset. An ERROR check that does not hold, or could not be evaluated, makes the verdict NOT OK; a WARN
check never does. A *blocking* check keeps what is built on its cell from being computed. One *at every release* is
evaluated also when nothing was computed; the others when their cell was made or their options changed.
"""
CANNOT_SEE = """# What the gate cannot see

Some things no check of this release can tell, whatever it computes:

- Labels of problems without rollouts are held against their own fractions. Labels *and* fractions that were moved, or
  made up, together agree with each other.
- Rollouts are read of one problem of a corpus at most.
- A study that asks for all problems gets those that the data lists; a problem that was never listed is missed by
  nobody. That a corpus shrank is seen once, by the release after it.
- Whoever edits all records (artifacts, their manifests, the event log and the verdict) leaves nothing to compare with.
- Checks share with what they judge the readers of files and the libraries. Two checks share more:
  `activations_match_text` uses the extraction itself, which `plain_forward_agrees` holds against transformers for one
  problem of a corpus, and not at the last block; `readme_is_current` uses the renderer.
- Looks at data are counted from the event log of this instance. Other studies of the same data, other options that were
  tried, and looks of another instance are counted nowhere.
- A model that cannot be loaded whole by transformers alone, or for which there is no room, is not held against it, and
  the traces are not read by it: then these checks pass, look at nothing (n is 0), and say why. A model that is nearly
  the right one (one more step of training) is surprised no more than it expects; only a pinned hash tells it.
- What the log said before the verdict before the last one; a row that was edited back and forth between two verdicts.
- Of the folds behind a comparison three are fitted again, drawn by content; of a cell's split, or one of its folds, the
  linear models, and the network of one seed; probes on tokens are not, nor probes that are trained on rollouts.
  What a problem's absence does to a fit is taken as stored; so are permuted refits and the noise ceiling.
- Numbers of problems needed are computed again at a first look only.
"""
EVERY = "every asset"


def render() -> str:
    """The document."""
    groups: dict[tuple[str, str], list[Invariant]] = {}
    for invariant in INVARIANTS:
        groups.setdefault((invariant.name, invariant.description), []).append(invariant)
    merged = [(group[0], _assets(group)) for group in groups.values()]
    short = [
        *([row.name, _place(row), row.severity, "at every release"] for row in ADDED),
        *([one.name, asset, one.severity, _how(one)] for one, asset in merged),
    ]
    long = [
        *((row.name, _place(row), row.looks_at, row.description) for row in ADDED),
        *((one.name, asset, one.looks_at, one.description) for one, asset in merged),
    ]
    return "\n".join(
        [TITLE, table(["check", "asset", "severity", "how"], short), *(_section(*row) for row in long), CANNOT_SEE]
    )


def _place(row: AddedRow) -> str:
    return EVERY if row is MADE else VERDICT_ASSET


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


def _section(name: str, asset: str, evidence: str, red: str) -> str:
    place = asset if asset == EVERY else f"`{asset}`"
    lines = (f"**Looks at:** {evidence}", f"**Red:** {red}")
    return "\n".join([f"## {name} ({place})\n", *(f"{textwrap.fill(line, 120)}\n" for line in lines)])
