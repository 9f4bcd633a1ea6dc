"""What the science has written down as well, here a second time: checks take no name from the code that they judge."""

from __future__ import annotations

TARGET_COLUMN = {
    "anchor_binary": "anchor",
    "importance_abs": "importance_score",
    "importance_signed": "importance_signed",
}
"""Target of a study -> the column of the labelled sentences that probes predict."""
SCORE_PREFIX = "score_"
"""Beginning of the column of a model's scores in the predictions of a cell."""
CONTINUOUS = ("importance_abs", "importance_signed")
"""Targets that are measured by ranks."""
SEEDED = ("mlp_probe", "attention_probe", "multimax_probe")
"""Models of a cell whose scores depend on its seed."""
UNTRAINED = ("order", "label_support")
"""Scores of a comparison that nobody fits."""
POSITION_COLUMNS = ("chunk_idx", "num_chunks", "relative_position", "token_count")
"""What the position baseline knows of a sentence."""


def metric_names(target: str, k_values: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the metrics that every probe of a target has on every part."""
    if target in CONTINUOUS:
        return ("spearman_mean",)
    fixed = ("pr_auc", "average_precision", "macro_average_precision", "spearman_mean")
    return (*fixed, *(f"top_{k}_recall" for k in k_values))


def residual_metric_names(target: str) -> tuple[str, ...]:
    """Names of the metrics of a probe of residuals."""
    ranks = ("residual_spearman",)
    return ranks if target in CONTINUOUS else (*ranks, "residual_pr_auc", "residual_average_precision")
