"""The study's block in the README and its page of results are the stored ones, and these are of the present results.

A release makes the stored block anew when an artifact or the result of a check changes what it says, before this is
judged; whether its bytes are the recorded ones is the business of ``artifacts_intact``.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from ta_assets.ledger.fingerprint import MADE_FROM
from ta_assets.studies.readme_file import block_of, stored_block, stored_page
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

_HINT = "materialize readme_block, or somebody edited between the markers"


def read(evidence: Evidence) -> dict[str, Any]:
    """What the files say, what is stored, and whether that is of the present results."""
    world, partition = evidence.world, evidence.partition
    base = world.store.local_folder
    found = stored_block(evidence.study, base), stored_page(evidence.study, base)
    made = world.ledger.materialization(evidence.asset, partition)
    return {
        "expected": f"{block_of(evidence.value)}\n{evidence.value}" if evidence.value else "",
        "found": None if None in found else "\n".join(map(str, found)),
        "old": world.ledger.work(evidence.asset, partition, made.metadata.get(MADE_FROM) or {}) if made else None,
    }


def readme_is_current(expected: str, found: str | None, old: str | None = None) -> Verdict:
    """Fail when the block differs in any character, is absent or old, or has nothing to say.

    Args:
        expected: the block of the stored page, and the page.
        found: the text between the study's markers, and its page; None when there is no page, or the markers are not
            there exactly once.
        old: why the stored block is not of the present results; None when it is.
    """
    wanted = expected.splitlines(keepends=True)
    if not expected.strip():
        return Verdict.failed("the results render to an empty block")
    if old is not None:
        return Verdict.failed(
            f"the stored block is of earlier results ({old}): materialize readme_block", n=len(wanted)
        )
    if found is None:
        return Verdict.failed(f"the README has no block of this study: {_HINT}", n=len(wanted))
    differing = [
        f"line {number}: found {there!r}, expected {here!r}"
        for number, (here, there) in enumerate(zip_longest(wanted, found.splitlines(keepends=True)), start=1)
        if here != there
    ]
    message = f"{len(differing)} of {len(wanted)} lines differ"
    if differing:
        message += f": {_HINT}"
    return Verdict.no_faults(differing, n=len(wanted), unit="lines", message=message)


ROW = Invariant(
    "readme_is_current",
    "readme_block",
    read,
    readme_is_current,
    "The block in the file is not what the present results would print: it was edited by hand or is of an older "
    "run. Materialize readme_block.",
    every_release=True,
)
