"""The study's block in the README is what its results say now."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

_HINT = "materialize readme_block, or somebody edited between the markers"


def read(evidence: Evidence) -> dict[str, Any]:
    """The block as it would be written now against the one in the file."""
    from ta_assets.assets.readme import current_block, stored_block

    world = evidence.world
    study = world.studies.by_name[evidence.partition]
    return {
        "expected": current_block(world, evidence.partition),
        "found": stored_block(study, world.store.base),
    }


def readme_is_current(expected: str, found: str | None) -> Verdict:
    """Fail when the block differs in any character, is absent, or has nothing to say.

    Args:
        expected: the block rendered from the stored results.
        found: the text between the study's markers; None when the markers are not there exactly once.
    """
    wanted = expected.splitlines(keepends=True)
    if not expected.strip():
        return Verdict.failed("the results render to an empty block")
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
