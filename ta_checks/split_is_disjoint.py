"""Rule: train, val and test share no problem and together are the problems of the setting.

Belongs here: this rule. Stays out: how a split is drawn (``ta_assets.core.splits``), Dagster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ta_assets.core.values import Split
from ta_checks.verdict import Verdict


def split_is_disjoint(split: Split, problem_ids: Sequence[int]) -> Verdict:
    """Fail on a problem in two parts, twice in one, outside the setting or in no part, and on an empty part.

    Args:
        split: what the probes were fitted and scored by.
        problem_ids: the problems of the setting.
    """
    parts = {"train": split.train, "val": split.val, "test": split.test}
    faults = [f"{name} is empty" for name, ids in parts.items() if not ids]
    for name, ids in parts.items():
        faults += [f"problem {one} is {times} times in {name}" for one, times in Counter(ids).items() if times > 1]
    wanted = set(problem_ids)
    for one in sorted(wanted.union(*parts.values())):
        homes = [name for name, ids in parts.items() if one in ids]
        if len(homes) > 1:
            faults.append(f"problem {one} is in {' and '.join(homes)}")
        if not homes:
            faults.append(f"problem {one} is in no part")
        if one not in wanted:
            faults.append(f"problem {one} is in {homes[0]} but not in the setting")
    sizes = ", ".join(f"{len(ids)} {name}" for name, ids in parts.items())
    message = f"{len(wanted)} problems: {sizes}"
    if faults:
        message += f"; {len(faults)} faults: scores on test would not be on unseen problems"
    return Verdict.judge(len(faults), "<=", 0, unit="faults", n=len(wanted), offenders=faults, message=message)
