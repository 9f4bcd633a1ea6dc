"""What is left of a target when position, or position and text, have explained what they can.

Belongs here: residuals, anchors among residuals, the data to refit on. Stays out: fitting (``probes``), which cells
report them (``cells``).

Residuals are the predecessor's: a Ridge regression, linear in the four position features. What depends on position in
any other way (the importance of the first few sentences, say) stays in the residual and is left for a probe to claim:
a residual score above chance is no proof of more than position. ``increment`` takes position out with splines and
cross-fitting; use these figures to compare with the predecessor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import position_features
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.probes.regressors import ridge, tfidf
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.statistics.metrics import average_precision, pr_auc_trapezoid, spearman_mean

AGAINST = ("none", "position", "position_plus_text")
RESIDUAL_MODELS = ("linear_probe", "mlp_probe")
"""The probes that are refitted on residuals."""
RESIDUAL = "residual"
RESIDUAL_ANCHOR = "residual_anchor"


def residual_data(data: ProbeData, options: ProbeOptions) -> ProbeData:
    """The same sentences with the target replaced by its residual, ready for ``fit_scores``.

    For anchors the residual is that of ``importance_score``, and the anchors are the sentences whose residual reaches
    its percentile of the trace (no absolute value: a sentence that matters less than its position says is no anchor).
    For a continuous target it is the residual of the target itself. Rows gain ``residual`` (float64), and for anchors
    ``residual_anchor`` (int64).

    Raises:
        ValueError: the options residualize against nothing, or against something unknown.
    """
    target = TARGETS[options.target]
    column = target.column if target.continuous else "importance_score"
    left = residuals(data, data.rows[column].to_numpy(dtype=np.float64), options.residualize_against)
    if target.continuous:
        return replace(data, rows=data.rows.assign(**{RESIDUAL: left, column: left}))
    chosen = residual_anchors(left, data.rows["problem_id"].to_numpy(), options.anchor_percentile)
    return replace(data, rows=data.rows.assign(**{RESIDUAL: left, RESIDUAL_ANCHOR: chosen, target.column: chosen}))


def residuals(data: ProbeData, values: np.ndarray, against: str) -> np.ndarray:
    """Values less what a Ridge (alpha 1) fitted on the train rows expects, [n_rows] float64, for every row.

    ``position`` regresses on the scaled position features, ``position_plus_text`` on TF-IDF beside them. Scaler and
    vocabulary, too, come from the train rows alone.

    Args:
        data: the position and text of the rows, and which of them to fit on.
        values: [n_rows] float64.
        against: ``position`` or ``position_plus_text``.

    Raises:
        ValueError: ``against`` is neither.
    """
    if against not in AGAINST[1:]:
        raise ValueError(f"cannot residualize against {against!r}, expected one of {', '.join(AGAINST[1:])}")
    position = position_features(data.rows).astype(np.float64)
    with threadpool_limits(1):
        inputs = StandardScaler().fit(position[data.train]).transform(position)
        if against == "position_plus_text":
            text = data.rows["chunk_text"].to_numpy(dtype=object)
            inputs = csr_matrix(hstack([tfidf().fit(text[data.train]).transform(text), csr_matrix(inputs)]))
        model = ridge().fit(inputs[data.train], values[data.train])
        return values - model.predict(inputs)


def residual_anchors(left: np.ndarray, groups: np.ndarray, percentile: float) -> np.ndarray:
    """[n_rows] int64: 1 where a residual reaches the percentile (numpy's, linear) of its own problem."""
    chosen = np.zeros(len(left), dtype=np.int64)
    for problem in np.unique(groups):
        at = groups == problem
        chosen[at] = left[at] >= np.percentile(left[at], percentile)
    return chosen


def residual_metrics(data: ProbeData, inside: np.ndarray, scores: np.ndarray) -> Mapping[str, float]:
    """How well scores of a refitted probe rank what is left, on the chosen rows of ``residual_data``.

    Args:
        data: what the probe was refitted on.
        inside: [n_rows] bool, the rows of one part.
        scores: [n_rows] float32.

    Returns:
        residual_spearman and, for anchors, residual_pr_auc and residual_average_precision; NaN where undefined.
    """
    rows, scores = data.rows.take(np.flatnonzero(inside)), scores[inside]
    found = {"residual_spearman": spearman_mean(scores, rows[RESIDUAL].to_numpy(), rows["problem_id"].to_numpy())}
    if RESIDUAL_ANCHOR in rows:
        labels = rows[RESIDUAL_ANCHOR].to_numpy()
        found["residual_pr_auc"] = pr_auc_trapezoid(labels, scores)
        found["residual_average_precision"] = average_precision(labels, scores)
    return found


def residual_metric_names(options: ProbeOptions) -> tuple[str, ...]:
    """Names of what ``residual_metrics`` returns; none when nothing is residualized."""
    if options.residualize_against == "none":
        return ()
    more = () if TARGETS[options.target].continuous else ("residual_pr_auc", "residual_average_precision")
    return ("residual_spearman", *more)
