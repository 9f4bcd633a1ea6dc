"""Figures and small tables for the metadata of materializations. Nothing is computed here but pixels."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.core.score_columns import SCORE_PREFIX, scored_models

MAX_ROWS = 40
"""A table in the metadata is for a person; the artifact holds the rest."""


def markdown_table(frame: pd.DataFrame) -> str:
    """The head of a table as Markdown."""
    from ta_assets.core.markdown import table

    shown = table(list(frame.columns), frame.head(MAX_ROWS).itertuples(index=False))
    return shown if len(frame) <= MAX_ROWS else f"{shown}\n\n{len(frame) - MAX_ROWS} more rows in the artifact."


def importance_over_position(table: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """Importance of every sentence against its relative position, anchors marked."""

    def draw(axes: Any) -> None:
        for anchor, color, label in ((0, "0.6", "other sentence"), (1, "tab:red", "anchor")):
            rows = table[table["anchor"] == anchor]
            axes.scatter(rows["relative_position"], rows["importance_signed"], s=8, c=color, label=label)
        axes.set_xlabel("relative position in the trace")
        axes.set_ylabel("importance (positive: the sentence lowers accuracy)")
        axes.legend()

    return figure(draw)


def precision_recall(predictions: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """Precision-recall curves of every probe on the test rows, pooled over problems."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import precision_recall_curve

        test = predictions[predictions["split"] == "test"]
        for model in scored_models(test):
            precision, recall, _ = precision_recall_curve(test["anchor"], test[f"{SCORE_PREFIX}{model}"])
            axes.step(recall, precision, where="post", label=model)
        axes.axhline(test["anchor"].mean(), color="0.6", linestyle="--", label="prevalence")
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.legend(fontsize="small")

    return figure(draw)


def scores_over_target(predictions: pd.DataFrame, target: str) -> dg.MarkdownMetadataValue:
    """Score of every probe against a continuous target, on the test rows."""

    def draw(axes: Any) -> None:
        test = predictions[predictions["split"] == "test"]
        for model in scored_models(test):
            axes.scatter(test[target], test[f"{SCORE_PREFIX}{model}"], s=8, label=model)
        axes.set_xlabel(target.replace("_", " "))
        axes.set_ylabel("score")
        axes.legend(fontsize="small")

    return figure(draw)


def tokens(counts: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """Length of every trace, which bounds context and memory."""

    def draw(axes: Any) -> None:
        axes.bar(list(counts), list(counts.values()), color="tab:blue")
        axes.tick_params(axis="x", rotation=90, labelsize="small")
        axes.set_xlabel("problem")
        axes.set_ylabel("tokens")

    return figure(draw)


def errors_over_deferral(
    rows: list[dict[str, Any]], chosen: tuple[float | None, float | None]
) -> dg.MarkdownMetadataValue:
    """Share of wrong decisions against the share of deferred sentences, on val and test; the chosen plan marked."""

    def draw(axes: Any) -> None:
        frame = pd.DataFrame(rows).sort_values("budget")
        for part, color in (("val", "0.6"), ("test", "tab:blue")):
            axes.plot(
                frame[f"{part}_deferral_rate"], frame[f"{part}_accepted_error"], marker="o", color=color, label=part
            )
        if None not in chosen:
            axes.plot(*chosen, marker="*", markersize=14, color="tab:red", linestyle="none", label="this plan, test")
        axes.set_xlabel("share of sentences deferred")
        axes.set_ylabel("share of errors among the decided")
        axes.legend(fontsize="small")

    return figure(draw)


def bars(frame: pd.DataFrame, label: str, mean: str, std: str) -> dg.MarkdownMetadataValue:
    """Mean with standard deviation, one bar a row."""

    def draw(axes: Any) -> None:
        axes.barh(frame[label], frame[mean], xerr=frame[std], color="tab:blue")
        axes.invert_yaxis()
        axes.set_xlabel(mean.replace("_", " "))

    return figure(draw)


def figure(draw: Callable[[Any], None]) -> dg.MarkdownMetadataValue:
    """A drawing as a PNG inside Markdown, which is what Dagster's pages can show."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6.4, 4.0), dpi=90, layout="constrained")
    draw(canvas.add_subplot())
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")
