"""Whether a partition is older than what it was made of, by what Dagster noted when it was made.

Belongs here: the comparison. Stays out: reading what was noted (``records``), what it was made from beyond its parents
(``made_from``).

Dagster's own comparison, ``CachingStaleStatusResolver``, is the same in kind. But it asks the database some twenty
times a partition, and looks past a parent with a hundred partitions or more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    get_input_event_pointer_tag,
)

from ta_assets.ledger.records import Materialization

NAMED = 5
"""Reasons that are told; more are counted."""


class Made(Protocol):
    """What was made of partitions."""

    def materialization(self, asset: str, partition: str) -> Materialization | None:
        """The latest time."""
        ...

    def version_until(self, asset: str, partition: str, storage_id: int) -> str | None:
        """The data version of the latest time up to an event; None where there was none, or it had no version."""
        ...


def causes(
    cell: str, latest: Materialization, code_version: str | None, parents: Mapping[str, Sequence[str]], made: Made
) -> list[str]:
    """Why a partition is out of date, in words; empty when it is not.

    A materialization notes of each parent the latest event of any partition; what was made of the parent up to then is
    what went into it.

    Args:
        cell: its name.
        latest: its latest materialization.
        code_version: that its asset has now.
        parents: asset -> partitions that it is made of.
        made: what there is of them.
    """
    noted = latest.tags.get(CODE_VERSION_TAG)
    if noted is None:  # reported by hand: nothing is known of what it was made of
        return [f"{parent}[{key}]: is newer" for parent, key in _since(latest.storage_id, parents, made)]
    found = [f"{cell}: has a new code version"] if code_version and code_version != noted else []
    prefix = f"{INPUT_EVENT_POINTER_TAG_PREFIX}/"
    pointers = {name.removeprefix(prefix) for name in latest.tags if name.startswith(prefix)}
    found += [f"{parent}: is no parent any more" for parent in sorted(pointers - parents.keys())]
    for parent, keys in parents.items():
        if parent not in pointers:
            found.append(f"{parent}: is a new parent")
            continue
        pointer = latest.tags[get_input_event_pointer_tag(dg.AssetKey(parent))]
        until = int(pointer) if pointer.isdigit() else 0  # there was none yet
        for _, key in _since(until, {parent: keys}, made):
            now = made.materialization(parent, key)
            if now is not None and now.data_version != made.version_until(parent, key, until):
                found.append(f"{parent}[{key}]: has a new data version")
    return found


def in_words(reasons: Sequence[str]) -> str | None:
    """The first reasons and how many more there are; None when there is none."""
    more = [f"and {len(reasons) - NAMED} more"] if len(reasons) > NAMED else []
    return "; ".join([*reasons[:NAMED], *more]) or None


def _since(storage_id: int, parents: Mapping[str, Sequence[str]], made: Made) -> list[tuple[str, str]]:
    """Partitions that were made after an event."""
    latest = {(parent, key): made.materialization(parent, key) for parent, keys in parents.items() for key in keys}
    return sorted(node for node, one in latest.items() if one is not None and one.storage_id > storage_id)
