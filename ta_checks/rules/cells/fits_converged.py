"""The fits of a cell ended by their own criterion and not at their limit of iterations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """How every model of the cell was fitted, also on residuals, in every fold."""
    metrics = evidence.value.metrics
    folds = metrics.get("folds")
    cells = {"": metrics} if folds is None else {f"fold {fold}: ": part for fold, part in folds.items()}
    return {"fits": {name: facts for where, part in cells.items() for name, facts in _fits(where, part).items()}}


def fits_converged(fits: Mapping[str, Mapping[str, Any] | None]) -> Verdict:
    """Fail when a solver or network stopped at its limit, or nobody knows how its fit went.

    Args:
        fits: name of each fit -> ``probes.Fit.facts`` of it.
    """
    if not fits:
        return Verdict.failed("there are no fits: nothing was evaluated")
    offenders = [
        f"{name}: stopped after {facts['n_iter']} iterations" if facts else f"{name}: no record of its fit"
        for name, facts in fits.items()
        if not (facts and facts["converged"])
    ]
    message = f"{len(offenders)} of {len(fits)} fits did not converge"
    return Verdict.no_faults(offenders, n=len(fits), unit="fits", message=message)


ROW = Invariant(
    "fits_converged",
    "probe_metrics",
    read,
    fits_converged,
    "A solver or network stopped at its limit of iterations, so its scores depend on that limit. No error of the "
    "pipeline: raise the limit (mlp_max_iter, epochs of token probes), or say so beside the score.",
    severity="WARN",
)


def _fits(where: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"": metrics["models"], "residual of ": metrics.get("residual", {}).get("models", {})}
    return {f"{where}{kind}{model}": parts["fit"] for kind, models in kinds.items() for model, parts in models.items()}
