"""From evidence to the arguments of the rules on how fits went.

Belongs here: choosing and reading evidence. Stays out: any judgement, which is the rule's.
"""

from __future__ import annotations

from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict


def fits_at_optimum(evidence: Evidence) -> Verdict:
    """The certificates of every trained score in every fold."""
    from ta_assets.core.crossfit.fit import UNTRAINED
    from ta_checks.rules.claims.fits_at_optimum import fits_at_optimum

    value = evidence.value
    names = dict.fromkeys(column.rpartition("/")[0] for column in value.scores.columns if "/" in column)
    trained = [name for name in names if name not in UNTRAINED]
    return fits_at_optimum(value.record["choices"], trained, sum(len(folds) for folds in value.record["repeats"]))


def fits_converged(evidence: Evidence) -> Verdict:
    """How every model of the cell was fitted, also on residuals, in every fold."""
    from ta_checks.rules.cells.fits_converged import fits_converged

    metrics = evidence.value.metrics
    cells = {f"fold {fold}: ": one for fold, one in metrics["folds"].items()} if "folds" in metrics else {"": metrics}
    fits = {name: facts for where, one in cells.items() for name, facts in _fits(where, one).items()}
    return fits_converged(fits)


def _fits(where: str, metrics: dict[str, Any]) -> dict[str, Any]:
    kinds = {"": metrics["models"], "residual of ": metrics.get("residual", {}).get("models", {})}
    return {f"{where}{kind}{model}": parts["fit"] for kind, models in kinds.items() for model, parts in models.items()}
