"""The vectors of every training problem hold enough to memorize its anchors.

Asked of an early-stopped MLP, as the predecessor did, this mostly tests early stopping: that failed on separable noise
and in 20 of 26 of the predecessor's own runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.verdict import Verdict

MINIMUM_AVERAGE_PRECISION = 0.999
"""Smallest average precision that counts as memorized. All 80 problems of the embedded study have 1."""
INVERSE_PENALTY = 1e4
"""Next to unpenalized. Memorized 16 of 16 real problems (59 to 254 sentences, 576 dimensions) within 33 iterations."""
MAX_ITERATIONS = 20_000
MINIMUM_SPREAD = 0.02
"""Distance of the rows from their mean over their norm, below which they count as equal: half-precision arithmetic
alone gives up to 0.008. SmolLM2 vectors have .31 to .40."""
MINIMUM_DIMENSIONS = 1.25
"""Participation ratio of the standardized vectors' spectrum, below which they lie on a line: rank one with 3 % noise
has at most 1.22, SmolLM2 vectors have 12 to 24, a steep synthetic spectrum (1/k) 2.3."""
MINIMUM_ROWS_FOR_DIMENSIONS = 4
"""Fewer rows, less the longest one, always lie on a line or nearly."""
SMALLEST_DIRECTION = 0.01
"""Directions with a smaller singular value than this share of the largest one are left out, so that rounding noise on a
few real directions is not what is memorized. Leaves real problems memorizable (tried up to 0.03)."""
SCORE_DIGITS = 6
"""Scores are ties when they agree to this many decimals of the largest: equal rows differ in the last bits only."""


@dataclass(frozen=True)
class _Memory:
    problem: int
    average_precision: float
    fault: str
    """What is wrong with the vectors themselves; empty when nothing is."""
    conflict: bool
    """Equal rows with different labels."""


def read(evidence: Evidence) -> dict[str, Any]:
    """The cell's own vectors and labels; every problem that some fold trains on."""
    folds = list(evidence.labelled_vectors().values())
    trained = np.logical_or.reduce([fold.train for fold in folds])
    return {"data": replace(folds[0], train=trained)}


def overfit_memorization(data: LabelledVectors) -> Verdict:
    """Fail when an unstopped, next to unpenalized logistic regression cannot memorize any one training problem.

    ``observed`` is the smallest average precision on the rows that were fitted. Vectors that are constant, equal but
    for rounding, or on a line count as a constant score, whose average precision is the prevalence. Equal rows with
    different labels fail whatever the average precision, which one pair among hundreds of rows hardly moves. Problems
    with one class are listed in the details. Where the target is continuous, anchors (the top of the same importance)
    are what must be memorized, since any linear map of fewer dimensions than sentences would miss some importances;
    equal rows fail when their importances differ.
    """
    memories, one_class = [], []
    for problem in np.unique(data.problems[data.train]):
        rows = data.train & (data.problems == problem)
        if len(np.unique(data.anchors[rows])) < 2:
            one_class.append(int(problem))
        else:
            memories.append(_memorize(int(problem), data, rows))
    if not memories:
        return Verdict.skipped(
            f"none of the {len(one_class)} training problems has both anchors and other sentences",
            {"one_class_problems": one_class},
        )
    weak = [memory for memory in memories if not memory.average_precision >= MINIMUM_AVERAGE_PRECISION]
    offenders = [
        f"problem {memory.problem}: average precision {memory.average_precision:.3f}{memory.fault}" for memory in weak
    ]
    details = {
        "average_precision": {memory.problem: memory.average_precision for memory in memories},
        "one_class_problems": one_class,
        "problems_with_conflicting_rows": [memory.problem for memory in memories if memory.conflict],
    }
    conflicts = [memory for memory in memories if memory.conflict]
    if conflicts and not weak:
        return Verdict.no_faults(
            [f"problem {memory.problem}{memory.fault}" for memory in conflicts],
            n=len(memories),
            unit="problems",
            message=f"{len(conflicts)} of {len(memories)} training problems have equal vectors with different labels",
            details=details,
        )
    return Verdict.judge(
        # NaN first: min() would pass over it
        float(np.min([memory.average_precision for memory in memories])),
        ">=",
        MINIMUM_AVERAGE_PRECISION,
        unit="average precision",
        n=len(memories),
        offenders=offenders,
        message=f"{len(memories) - len(weak)} of {len(memories)} training problems can be memorized"
        + (f"; {len(one_class)} have one class" if one_class else ""),
        details=details,
    )


ROW = Invariant(
    "overfit_memorization",
    "probe_metrics",
    read,
    overfit_memorization,
    "Even a next to unpenalized probe cannot memorize one training problem: vectors are constant, collapsed or "
    "duplicated with conflicting labels. Look at the extraction.",
)


def _memorize(problem: int, data: LabelledVectors, rows: np.ndarray) -> _Memory:
    """Fit the [n_sentences] bool rows of one problem, which hold both classes."""
    from ta_assets.core.statistics.metrics import average_precision

    vectors, anchors = data.vectors[rows].astype(np.float64), data.anchors[rows]
    if not np.isfinite(vectors).all():
        return _Memory(problem, float("nan"), ", vectors hold NaN or infinity", False)
    conflict = _conflict(vectors, data.target[rows])
    fault = ", equal vectors have different labels" if conflict else ""
    directions, collapsed = _directions(vectors)
    scores = np.zeros(len(anchors)) if collapsed else _scores(directions, anchors)
    return _Memory(problem, average_precision(anchors, scores), fault + collapsed, conflict)


def _conflict(vectors: np.ndarray, labels: np.ndarray) -> bool:
    """Whether two equal rows have different labels; adding zero makes -0.0 and 0.0 equal."""
    first: dict[bytes, float] = {}
    return any(
        first.setdefault((row + 0.0).tobytes(), float(label)) != label
        for row, label in zip(vectors, labels, strict=True)
    )


def _directions(vectors: np.ndarray) -> tuple[np.ndarray, str]:
    """Coordinates of the standardized rows on their principal directions, or why there are none worth the name.

    Exact for a penalized linear model: a rotation changes neither scores nor norms, and n rows span at most n - 1
    directions after centring, so d_model never enters the fit.

    Returns:
        [n, at most min(n - 1, d_model)] float64, and the fault in words (empty when there is none).
    """
    centred = vectors - vectors.mean(axis=0)
    size = np.linalg.norm(vectors)
    spread = float(np.linalg.norm(centred) / size) if size else 0.0
    if spread < MINIMUM_SPREAD:
        return np.zeros((len(vectors), 0)), f", rows differ by {spread:.1%} of their norm"
    deviation = centred.std(axis=0)
    varying = deviation > MINIMUM_SPREAD * np.sqrt(np.square(vectors).mean(axis=0))
    standard = centred[:, varying] / deviation[varying]
    left, sizes, _ = np.linalg.svd(standard, full_matrices=False)
    rows = left * sizes
    # Without the longest row: where no prompt precedes it, a first sentence can be many times as long as the others.
    others = np.linalg.svd(np.delete(rows, np.square(rows).sum(axis=1).argmax(), axis=0), compute_uv=False)
    power = np.square(others)
    dimensions = float(power.sum() ** 2 / np.square(power).sum()) if power.any() else 0.0
    if dimensions < MINIMUM_DIMENSIONS and len(vectors) >= MINIMUM_ROWS_FOR_DIMENSIONS:
        return np.zeros((len(vectors), 0)), f", rows span {dimensions:.2f} directions"
    return rows[:, sizes > SMALLEST_DIRECTION * others[0]], ""


def _scores(directions: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """[n] float64: decision values of the fitted rows, equal where only rounding tells them apart."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS).fit(directions, anchors)
        scores = model.decision_function(directions)
    return np.round(scores / max(float(np.abs(scores).max()), np.finfo(np.float64).tiny), SCORE_DIGITS)
