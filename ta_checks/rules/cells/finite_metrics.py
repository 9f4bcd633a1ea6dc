"""Rule: every primary metric of a table is a number.

Belongs here: this rule. Stays out: which metrics are primary and how nested tables are flattened, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np

from ta_checks.verdict import Verdict


def finite_metrics(metrics: Mapping[str, float | None]) -> Verdict:
    """Fail on None, NaN, infinity or anything that is no number; a table without metrics fails too.

    Args:
        metrics: value of every primary metric by a telling name, such as ``linear_probe.test.pr_auc``.
    """
    if not metrics:
        return Verdict.failed("there are no metrics: nothing was evaluated")
    offenders = [f"{name}: {value}" for name, value in metrics.items() if not _is_finite(value)]
    message = f"{len(offenders)} of {len(metrics)} metrics are not finite"
    if offenders:
        message += ": a part of the split has one class or no rows, or a fit diverged"
    return Verdict.judge(len(offenders), "<=", 0, unit="metrics", n=len(metrics), offenders=offenders, message=message)


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and bool(np.isfinite(float(value)))
