"""Rule: the study's block in the README is the stored one, and that is of the present results.

A release makes the stored block anew when an artifact or the result of a check changes what it says, before this is
judged; whether its bytes are the recorded ones is the business of ``artifacts_intact``.
"""

from __future__ import annotations

from itertools import zip_longest

from ta_checks.verdict import Verdict

_HINT = "materialize readme_block, or somebody edited between the markers"


def readme_is_current(expected: str, found: str | None, old: str | None = None) -> Verdict:
    """Fail when the block differs in any character, is absent or old, or has nothing to say.

    Args:
        expected: the stored block, without the line breaks around it.
        found: the text between the study's markers; None when the markers are not there exactly once.
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
