"""Out-of-fold scores come from fits to the other folds' sentences, with the features and the tuning that they claim.

Of every score, of probes and rivals alike, the fits of three folds are done again by scikit-learn on features that are
built from texts, tags, positions and vectors, with the penalty that was recorded; and no other penalty of the grid has
less error left out within the fold. Which folds these are, the stored scores decide. Stays out: how fits are done and
on what (``one_fold``), what scores are worth (``claims``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.evidence import KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.claims.precisions import score_names
from ta_checks.rules.refits.one_fold import Refit, Refitted, Seen
from ta_checks.verdict import Verdict

FOLDS = 3
"""Folds that are done again."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every score of three folds, drawn by the stored scores, fitted again to the other folds' sentences."""
    value, record = evidence.value, evidence.value.record
    data = evidence.joined(evidence.world.store.load("problem_ids", evidence.partition))
    seen = Seen(data.rows.sort_values(KEYS, ignore_index=True), {block: data.at(block) for block in record["blocks"]})
    places = [(repeat, tuple(fold)) for repeat, folds in enumerate(record["repeats"]) for fold in folds]
    content = np.asarray(pd.util.hash_pandas_object(value.scores, index=False))  # pyright: ignore[reportAttributeAccessIssue]
    chooser = random.Random(hashlib.sha256(content.tobytes()).hexdigest())
    drawn = sorted(chooser.sample(range(len(places)), min(FOLDS, len(places))))
    stored = value.scores.sort_values(KEYS, ignore_index=True)

    def refits() -> Iterator[tuple[int, Refit]]:
        for at in drawn:
            repeat, held_out = places[at]
            choices = {name: own[at] for name, own in record["choices"].items() if at < len(own)}
            scores = {name: stored[f"{name}/{repeat}"].to_numpy(np.float64) for name in score_names(stored)}
            yield from ((held_out[0], refit) for refit in Refitted(seen, held_out, choices).all(scores))

    return {"refits": refits(), "n_drawn": len(drawn), "n_folds": len(places)}


def fits_refit(refits: Iterable[tuple[int, Refit]], n_drawn: int, n_folds: int) -> Verdict:
    """Fail when scores are not those of a fit to the other sentences, or another penalty has less error left out.

    Args:
        refits: a problem that the fold holds out, and one score in it; read once.
        n_drawn: how many folds were done again.
        n_folds: how many folds there are.
    """
    offenders, unseen, worst, n = [], set(), 0.0, 0
    for problem, refit in refits:
        if not refit.is_again:
            unseen.add(refit.name)
            continue
        n += 1
        where = f"{refit.name}, fold of problem {problem}"
        worst = max(worst, refit.distance / refit.bound)
        if refit.distance > refit.bound:
            offenders.append(f"{where}: scores are off by {refit.distance:.2g} of their deviation")
        offenders += [f"{where}: {fault}" for fault in refit.faults]
    message = f"{n} scores fitted again in {n_drawn} of {n_folds} folds: {len(offenders)} faults"
    message += f"; {len(unseen)} scores are trained on what rollouts say, and not looked at" if unseen else ""
    return Verdict.no_faults(offenders, n=n, message=message, details={"largest_share_of_bound": worst})


ROW = Invariant(
    "fits_refit",
    "cv_scores",
    read,
    fits_refit,
    "A score of a probe or of a rival is not that of a fit to the other folds' sentences: it was fitted to other rows "
    "or labels, sees more or less than it says, or its penalty was not chosen by the error left out within the fold. "
    "A weak rival makes a probe look better. Materialize cv_scores; if it stays red, the fit is wrong.",
)
