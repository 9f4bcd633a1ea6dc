"""Rule: every out-of-fold fit is the minimum that it says it is.

Belongs here: this rule and its bound. Stays out: solvers and their certificates (``ta_assets.core.crossfit.logistic``,
``ridge``), reading, Dagster.

The predecessor's logistic regressions stopped short of their optimum by up to .17 in probability (SCIENCE.md, W13), and
nothing said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ta_checks.verdict import Verdict

MAXIMUM_RELATIVE_GRADIENT = 1e-4
"""Of the gradient's norm at the solution to that at zero. In the embedded study finished logistic fits have at most
2e-6, fits in closed form 3e-14. Logistic fits stopped at 2e-4 had scores off by .6 % of their deviation and changed no
average precision; at 2e-3 that of a problem changed by .04, at 2e-2 by .17."""


def fits_at_optimum(
    choices: Mapping[str, Sequence[Mapping[str, Any]]], trained: Iterable[str], n_folds: int
) -> Verdict:
    """Fail when a fit's certificate is above the bound, or when a fit has none.

    ``observed`` is the largest relative gradient, None where one is absent. A fold that chose among other scores
    (``block``) has no fit of its own.

    Args:
        choices: score -> for each fold, what was chosen inside it, with ``relative_gradient``.
        trained: names of the scores that are fitted.
        n_folds: of all repeats.
    """
    absent, above, largest, n = [], [], 0.0, 0
    for name in trained:
        folds = choices.get(name, ())
        own = [one.get("relative_gradient") for one in folds if "block" not in one]
        gradients = [one for one in own if isinstance(one, float) and one >= 0]
        if len(folds) != n_folds or len(gradients) < len(own):
            absent.append(f"{name}: {len(gradients)} certificates in {n_folds} folds")
            continue
        n += len(gradients)
        worst = max(gradients, default=0.0)
        largest = max(largest, worst)
        if worst > MAXIMUM_RELATIVE_GRADIENT:
            above.append(f"{name}: {worst:.2g} in fold {gradients.index(worst)}")
    return Verdict.judge(
        None if absent or not n else largest, "<=", MAXIMUM_RELATIVE_GRADIENT, unit="relative gradient", n=n,
        offenders=absent + above, message=f"{len(above)} scores have fits that stopped short, {len(absent)} lack some",
    )  # fmt: skip
