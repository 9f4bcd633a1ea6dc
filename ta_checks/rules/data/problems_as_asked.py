"""Rule: a setting has the problems that its study asks for.

Belongs here: this rule. Stays out: listing the data, drawing a sample (``ta_assets.core.traces.splits``), Dagster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ta_checks.verdict import Verdict


def problems_as_asked(found: Sequence[int], available: Sequence[int], wanted: int | None) -> Verdict:
    """Fail on a problem that the data does not have or that is listed twice, and on fewer or more than asked for.

    Args:
        found: problem ids of the setting.
        available: problem ids that the data offers to it.
        wanted: how many the study asks for; None for all. More than there are means all.
    """
    offered = set(available)
    expected = len(offered) if wanted is None else min(wanted, len(offered))
    offenders = [f"problem {one} is listed {times} times" for one, times in Counter(found).items() if times > 1]
    offenders += [f"problem {one} is not in the data" for one in sorted(set(found) - offered)]
    if len(set(found)) != expected:
        offenders.append(f"{len(set(found))} problems, the study asks for {expected} of {len(offered)}")
    message = f"{len(set(found))} of {len(offered)} problems, {expected} asked for"
    return Verdict.judge(
        len(offenders), "<=", 0, unit="faults", n=expected, offenders=offenders, message=message
    )  # fmt: skip
