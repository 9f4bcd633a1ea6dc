"""Scores that are one finding: they order sentences nearly alike, or are one probe with and without position.

Belongs here: which rows of a comparison repeat a better one. Stays out: what is done with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ta_assets.core.comparison.precision_table import kind_of, reads_activations
from ta_assets.core.statistics.metrics import spearman_mean
from ta_assets.core.values import CrossFitted

ALIKE = 0.95
"""Mean rank correlation within problems from which two scores are one finding."""
BESIDE_POSITION = {"banded_ridge": "ridge"}
"""Probes that are another one with position beside the activations."""


def twins(fitted: CrossFitted, names: Sequence[str]) -> dict[str, str]:
    """Score on activations -> the first one in ``names`` of the same kind that it repeats; others are left out.

    Args:
        fitted: out-of-fold scores; the first repeat is compared.
        names: best first.
    """
    table = fitted.table
    found: dict[str, str] = {}
    for place, name in enumerate(names):
        if not reads_activations(name):
            continue
        before, own = [one for one in names[:place] if kind_of(one) == kind_of(name)], table.of(name)[0]
        named = (one for one in before if _named_alike(one, name))
        alike = (one for one in before if one not in found and _alike(table.of(one)[0], own, table.problems))
        first = next(named, None) or next(alike, None)
        if first is not None:
            found[name] = found.get(first, first)
    return found


def _alike(one: np.ndarray, other: np.ndarray, problems: np.ndarray) -> bool:
    return bool(spearman_mean(one, other, problems) >= ALIKE)


def _named_alike(one: str, other: str) -> bool:
    """Whether both are the same probe of the same block but for position."""
    families = [name.partition("@")[::2] for name in (one, other)]
    plain = [(BESIDE_POSITION.get(family, family), block) for family, block in families]
    return plain[0] == plain[1]
