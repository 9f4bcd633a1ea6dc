"""The catalogue of planted faults: each corrupts one thing in an otherwise healthy release, and names its check.

Belongs here: what a fault is, and the list of all. Stays out: the faults themselves (one module for each thing that is
corrupted), how they are run and judged (``matrix``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.proof.world import World

REFUSED = "refused"
"""The product refuses with an InputError that names the place (``Fault.expected``): no check has to look."""


@dataclass(frozen=True)
class Fault:
    """One planted fault."""

    name: str
    """What is wrong, for a person."""
    check: str
    """Name of the check that must notice, or ``REFUSED``."""
    asset: str
    """Of the check; of what is read for ``REFUSED``."""
    plant: Callable[[World], None]
    """Plants it in a world of its own, in a process of its own."""
    status: str = "failed"
    """What the check must say: failed, warned, errored or skipped."""
    judge: Callable[[World], Any] = World.release
    """What comes after planting and ends in a verdict; for ``REFUSED`` the reading that must be refused."""
    expected: tuple[str, ...] = ()
    """Texts that a refusal must hold: the file and the field at least."""


def catalogue() -> tuple[Fault, ...]:
    """All faults, in the order of the graph."""
    from tests.proof.faults import (
        aggregates,
        cells,
        comparisons,
        datasets,
        files,
        joins,
        labels,
        measures,
        models,
        one_problem,
        pages,
        records,
        releases,
        reports,
        rivals,
        splits,
        vectors,
    )

    before = (datasets, splits, labels, vectors, models, one_problem, joins, rivals, comparisons)
    modules = (*before, cells, measures, aggregates, pages, files, releases, records, reports)
    return tuple(fault for module in modules for fault in module.FAULTS)
