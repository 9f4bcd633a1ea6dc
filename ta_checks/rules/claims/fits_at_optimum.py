"""Every out-of-fold fit is at the minimum of its loss.

Logistic regressions that stop short of it were seen to be off by up to .17 in probability, and nothing said so. Stays
out: solvers and their certificates (``ta_assets.core.crossfit.logistic``, ``ridge``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import score_names
from ta_checks.verdict import Verdict

MAXIMUM_RELATIVE_GRADIENT = 1e-4
"""Largest ratio of the gradient's norm at the solution to that at zero. In the embedded study finished logistic fits
have at most 2e-6, fits in closed form 3e-14. Logistic fits stopped at 2e-4 had scores off by .6 % of their deviation
and changed no average precision; at 2e-3 that of a problem changed by .04, at 2e-2 by .17."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The certificates of every trained score in every fold."""
    from ta_assets.core.crossfit.fit import UNTRAINED

    record = evidence.value.record
    return {
        "choices": record["choices"],
        "trained": [name for name in score_names(evidence.value.scores) if name not in UNTRAINED],
        "n_folds": sum(len(folds) for folds in record["repeats"]),
    }


def fits_at_optimum(
    choices: Mapping[str, Sequence[Mapping[str, Any]]], trained: Iterable[str], n_folds: int
) -> Verdict:
    """Fail when a fit's certificate is above the bound, or when a fit has none.

    ``observed`` is the largest relative gradient, None where one is absent. A fold that chose among other scores
    (``block``) has no fit of its own.

    Args:
        choices: score -> for each fold, what was chosen inside it, with ``relative_gradient``.
        trained: names of the scores that are fitted.
        n_folds: number of folds of all repeats.
    """
    absent, above, largest, n = [], [], 0.0, 0
    for name in trained:
        folds = choices.get(name, ())
        own = [fold.get("relative_gradient") for fold in folds if "block" not in fold]
        gradients = [gradient for gradient in own if isinstance(gradient, float) and gradient >= 0]
        if len(folds) != n_folds or len(gradients) < len(own):
            absent.append(f"{name}: {len(gradients)} certificates in {n_folds} folds")
            continue
        n += len(gradients)
        worst = max(gradients, default=0.0)
        largest = max(largest, worst)
        if worst > MAXIMUM_RELATIVE_GRADIENT:
            above.append(f"{name}: {worst:.2g} in fold {gradients.index(worst)}")
    return Verdict.judge(
        None if absent or not n else largest,
        "<=",
        MAXIMUM_RELATIVE_GRADIENT,
        unit="relative gradient",
        n=n,
        offenders=absent + above,
        message=f"{len(above)} scores have fits that stopped short, {len(absent)} lack some",
    )


ROW = Invariant(
    "fits_at_optimum",
    "cv_scores",
    read,
    fits_at_optimum,
    "A fit stopped short of the minimum of its loss, so its score is another one than its name says and depends on "
    "where it stopped. Look at the offenders and at the features' scale; raise the solver's limit of iterations.",
)
