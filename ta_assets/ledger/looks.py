"""Which sets of problems a comparison was made of before: earlier looks at a study that grows.

Belongs here: looks out of the event log. Stays out: what they cost (``core.statistics.looks``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ta_assets.ledger.ledger import Materialization

LOOKED_AT = "looked_at"
"""Fact of a comparison: ids of its problems with anchors and other sentences, sorted."""


def earlier_looks(history: Iterable[Materialization], problems: Collection[int]) -> tuple[frozenset[int], ...]:
    """Sets of problems that were looked at before ``problems`` were for the first time, in order, each once.

    The same problems looked at twice are one look, so a comparison that is made anew has the looks that it had.

    Args:
        history: of the comparison, the latest first.
        problems: of the present look.
    """
    found: list[frozenset[int]] = []
    for made in reversed(list(history)):
        look = frozenset(made.metadata.get(LOOKED_AT) or ())
        if look == frozenset(problems):
            break
        if look and look not in found:
            found.append(look)
    return tuple(found)
