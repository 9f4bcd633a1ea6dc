"""A setting has the problems that its study asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored ids against what the data lists now."""
    study, rollouts = evidence.study, evidence.world.rollouts
    setting = study.settings[evidence.partition]
    corpora = {setting.corpus}
    if setting.shared_problems:
        corpora |= {one.corpus for one in study.settings.values() if one.shared_problems}
    listings = [set(rollouts.list_problem_ids(evidence.world.source(corpus))) for corpus in sorted(corpora)]
    return {
        "found": evidence.value,
        "available": sorted(set.intersection(*listings)),
        "wanted": setting.problems,
    }


def problems_as_asked(found: Sequence[int], available: Sequence[int], wanted: int | None) -> Verdict:
    """Fail on a problem that is not in the data or is listed twice, and on fewer or more problems than asked for.

    Args:
        found: problem ids of the setting.
        available: problem ids that the data offers to it.
        wanted: number of problems that the study asks for; None for all. More than there are means all.
    """
    offered = set(available)
    expected = len(offered) if wanted is None else min(wanted, len(offered))
    faults = [f"problem {one} is listed {times} times" for one, times in Counter(found).items() if times > 1]
    faults += [f"problem {one} is not in the data" for one in sorted(set(found) - offered)]
    if len(set(found)) != expected:
        faults.append(f"{len(set(found))} problems, the study asks for {expected} of {len(offered)}")
    message = f"{len(set(found))} of {len(offered)} problems, {expected} asked for"
    return Verdict.no_faults(faults, n=expected, message=message)


ROW = Invariant(
    "problems_as_asked",
    "problem_ids",
    read,
    problems_as_asked,
    "The setting has other problems than its study asks for: some were dropped, invented or listed twice. "
    "Materialize problem_ids; if it stays red, the listing or the sampling is wrong.",
)
