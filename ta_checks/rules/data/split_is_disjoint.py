"""Train, val and test share no problem and together are the problems of the setting; likewise in every fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ta_assets.core.values import Split
from ta_assets.vectors.probe_data import folds_of, split_of
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

PARTS = ("train", "val", "test")


def read(evidence: Evidence) -> dict[str, Any]:
    """The stored split, or every fold, against the setting's problems."""
    folds = folds_of(evidence.value)
    return {
        "parts": split_of(evidence.value) if folds is None else folds,
        "problem_ids": evidence.world.store.load("problem_ids", evidence.partition),
    }


def parts_are_disjoint(parts: Split | Mapping[int, Split], problem_ids: Sequence[int]) -> Verdict:
    """Fail as ``split_is_disjoint`` on a single split, and as ``folds_are_disjoint`` on folds."""
    if isinstance(parts, Split):
        return split_is_disjoint(parts, problem_ids)
    return folds_are_disjoint(parts, problem_ids)


def split_is_disjoint(split: Split, problem_ids: Sequence[int]) -> Verdict:
    """Fail on a problem in two parts, twice in one, outside the setting or in no part, and on an empty part.

    Args:
        split: what the probes were fitted and scored by.
        problem_ids: the problems of the setting.
    """
    wanted = set(problem_ids)
    faults = _faults(split, wanted)
    sizes = ", ".join(f"{len(getattr(split, name))} {name}" for name in PARTS)
    return _verdict(faults, wanted, sizes)


def folds_are_disjoint(folds: Mapping[int, Split], problem_ids: Sequence[int]) -> Verdict:
    """Fail as ``split_is_disjoint`` on any fold, and unless every problem is the one test problem of its own fold.

    Args:
        folds: what the probes were fitted and scored by, by the problem that is left out.
        problem_ids: the problems of the setting.
    """
    wanted = set(problem_ids)
    faults = [f"no fold leaves problem {one} out" for one in sorted(wanted - set(folds))]
    for fold, split in sorted(folds.items()):
        faults += [f"fold {fold}: {fault}" for fault in _faults(split, wanted)]
        if split.test != (fold,):
            faults.append(f"fold {fold}: test is {list(split.test)}")
    return _verdict(faults, wanted, f"{len(folds)} folds")


ROW = Invariant(
    "split_is_disjoint",
    "splits",
    read,
    parts_are_disjoint,
    "A problem is in two parts of the split, in none, or a part is empty: test scores would be training scores. "
    "Materialize splits again; if it stays red, the split rule is wrong.",
    blocking=True,
)


def _verdict(faults: list[str], wanted: set[int], sizes: str) -> Verdict:
    message = f"{len(wanted)} problems: {sizes}"
    if faults:
        message += f"; {len(faults)} faults: scores on test would not be on unseen problems"
    return Verdict.no_faults(faults, n=len(wanted), message=message)


def _faults(split: Split, wanted: set[int]) -> list[str]:
    parts = {name: getattr(split, name) for name in PARTS}
    faults = [f"{name} is empty" for name, ids in parts.items() if not ids]
    for name, ids in parts.items():
        faults += [f"problem {one} is {times} times in {name}" for one, times in Counter(ids).items() if times > 1]
    for problem_id in sorted(wanted.union(*parts.values())):
        homes = [name for name, ids in parts.items() if problem_id in ids]
        if len(homes) > 1:
            faults.append(f"problem {problem_id} is in {' and '.join(homes)}")
        if not homes:
            faults.append(f"problem {problem_id} is in no part")
        if problem_id not in wanted:
            faults.append(f"problem {problem_id} is in {homes[0]} but not in the setting")
    return faults
