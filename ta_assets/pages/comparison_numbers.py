"""Numbers that figures of a comparison show, whoever draws them: nulls, the curve over blocks, power.

Stays out: pixels (``comparison_plots``, ``report``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.values import CrossFitted

POWER_PROBLEMS = (5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320)
"""Numbers of problems at which power is shown."""


@dataclass(frozen=True)
class Null:
    """The best hypothesis of a scheme of permutation."""

    scheme: str
    name: str
    observed: float
    """Macro average precision on the labels as they are."""
    permuted: np.ndarray
    """[n_permutations] float64: the same, refitted to permuted labels."""


@dataclass(frozen=True)
class BlockCurve:
    """The best ridge of every block."""

    blocks: tuple[int, ...]
    observed: np.ndarray
    """[n_blocks] macro average precision on the labels as they are."""
    center: np.ndarray
    """[n_blocks] mean over permutations."""
    upper: np.ndarray
    """[n_blocks] end of the band that the best of all penalties and blocks stays in by chance, 95 %."""


def best_nulls(scores: CrossFitted) -> list[Null]:
    """Of every scheme of permutation the hypothesis that scores best on the labels as they are."""
    found = []
    for scheme in dict.fromkeys(str(name).partition("/")[0] for name in scores.nulls.columns):
        columns = [name for name in scores.nulls.columns if name.startswith(f"{scheme}/")]
        best = max(columns, key=lambda name: scores.nulls[name].iloc[0])
        null = scores.nulls[best].to_numpy()
        found.append(Null(scheme, best.partition("/")[2], float(null[0]), null[1:]))
    return found


def block_curve(scores: CrossFitted) -> BlockCurve | None:
    """The curve over blocks; None where fewer than two were read, or no ridge was refitted to permuted labels."""
    columns = [name for name in scores.nulls.columns if name.partition("/")[2].startswith("ridge@")]
    if len(scores.record["blocks"]) < 2 or not columns:
        return None
    scheme = columns[0].partition("/")[0]
    columns = [name for name in columns if name.startswith(f"{scheme}/")]
    null = scores.nulls[columns].to_numpy()
    standard = (null - null.mean(axis=0)) / np.maximum(null.std(axis=0), 1e-12)
    critical = float(np.quantile(standard[1:].max(axis=1), 0.95))
    best = []
    for block in scores.record["blocks"]:
        own = [name for name in columns if name.startswith(f"{scheme}/ridge@{block}|")]
        best.append(scores.nulls[max(own, key=lambda name: scores.nulls[name].iloc[0])].to_numpy())
    values = np.array(best)
    center = values.mean(axis=1)
    return BlockCurve(tuple(scores.record["blocks"]), values[:, 0], center, center + critical * values.std(axis=1))


def power_of(row: Mapping[str, Any]) -> list[float] | None:
    """Chance to find the observed lead of a row at each of ``POWER_PROBLEMS``; None where leads do not vary."""
    from ta_assets.core.statistics.power import power

    if not row["deviation"] > 0:
        return None
    lead = max(abs(row["difference"]), 1e-6)
    return [power(lead, row["deviation"], n, alpha=row["level"]) for n in POWER_PROBLEMS]
