"""Rule: most anchors rest on more than a handful of dissimilar rollouts."""

from __future__ import annotations

import numpy as np

from ta_checks.verdict import Verdict

FEW = 3
MAX_SHARE = 0.5


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
    offenders = [f"problem {one}: {count} anchors" for one, count in sorted(zip(ids, counts, strict=True), key=_most)]
    share = float(few.sum() / chosen.sum())
    return Verdict.judge(
        share, "<=", MAX_SHARE, unit="share of anchors", n=int(chosen.sum()), offenders=offenders,
        message=f"{share:.0%} of {chosen.sum()} anchors rest on at most {FEW} dissimilar rollouts",
    )  # fmt: skip


def _most(one: tuple[int, int]) -> tuple[int, int]:
    return -one[1], one[0]
