"""Most anchors rest on more than a handful of dissimilar rollouts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

FEW = 3
MAX_SHARE = 0.5


def read(evidence: Evidence) -> dict[str, Any]:
    """The rollouts behind the anchors of the setting."""
    rows = evidence.sentences()
    return {
        "n_different": rows["n_different"].to_numpy(),
        "anchors": rows["anchor"].to_numpy(),
        "problems": rows["problem_id"].to_numpy(),
    }


def label_support(n_different: np.ndarray, anchors: np.ndarray, problems: np.ndarray) -> Verdict:
    """Fail when more than half of the anchors rest on at most ``FEW`` dissimilar rollouts: such labels are dice.

    Args:
        n_different: [n_sentences] float, answered rollouts with a dissimilar sentence; NaN where the data is silent.
        anchors: [n_sentences] of 0 and 1.
        problems: [n_sentences] problem ids.
    """
    chosen = (anchors == 1) & ~np.isnan(n_different)
    if not chosen.any():
        return Verdict.skipped("the data does not tell the rollouts behind its labels")
    few = chosen & (n_different <= FEW)
    ids, counts = np.unique(problems[few], return_counts=True)
    most_first = sorted(zip(ids, counts, strict=True), key=lambda of: (-of[1], of[0]))
    share = float(few.sum() / chosen.sum())
    return Verdict.judge(
        share,
        "<=",
        MAX_SHARE,
        unit="share of anchors",
        n=int(chosen.sum()),
        offenders=[f"problem {problem_id}: {count} anchors" for problem_id, count in most_first],
        message=f"{share:.0%} of {chosen.sum()} anchors rest on at most {FEW} dissimilar rollouts",
    )


ROW = Invariant(
    "label_support",
    "probe_comparison",
    read,
    label_support,
    "Most anchors rest on a handful of rollouts, so the labels are mostly sampling noise. Not an error of the "
    "pipeline: sample more rollouts, or read every score against the noise ceiling.",
    severity="WARN",
)
