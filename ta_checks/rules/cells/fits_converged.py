"""Rule: the fits of a cell ended by their own criterion and not at their limit of iterations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ta_checks.verdict import Verdict


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
    return Verdict.judge(
        len(offenders), "==", 0, unit="fits", n=len(fits), offenders=offenders,
        message=f"{len(offenders)} of {len(fits)} fits did not converge",
    )  # fmt: skip
