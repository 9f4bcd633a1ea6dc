"""Rule: the study's block in the README is what its results say now.

Belongs here: this rule. Stays out: finding and rendering the block (``ta_assets.assets.readme``), Dagster.
"""

from __future__ import annotations

from itertools import zip_longest

from ta_checks.verdict import Verdict

_HINT = "materialize readme_block, or somebody edited between the markers"


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
    offenders = [
        f"line {number}: found {there!r}, expected {here!r}"
        for number, (here, there) in enumerate(zip_longest(wanted, found.splitlines(keepends=True)), start=1)
        if here != there
    ]
    message = f"{len(offenders)} of {len(wanted)} lines differ"
    return Verdict.judge(
        len(offenders),
        "<=",
        0,
        unit="lines",
        n=len(wanted),
        offenders=offenders,
        message=f"{message}: {_HINT}" if offenders else message,
    )
