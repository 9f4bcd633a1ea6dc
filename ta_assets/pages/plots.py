"""Figures and small tables for the metadata of materializations. Nothing is computed here but pixels."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.core.score_columns import SCORE_PREFIX, scored_models

MAX_ROWS = 25
"""A table in the metadata is for a person and no longer than a screen; the artifact holds the rest."""
MAX_LINES = 30
"""Lines of Markdown that fit on a screen; Dagster opens what is longer at its end."""
MAX_LABELS = 25
"""Names along an axis that can be read."""
COLOURS = 48
"""Of a plot: those of its lines, and what smooth edges need in between."""
WIDTH = 6.4
"""Inches."""
DPI = 150
"""A plot is then 960 pixels wide, as much as Dagster's dialog has room for; at its usual size it stays sharp."""


def markdown_table(frame: pd.DataFrame) -> str:
    """The head of a table as Markdown."""
    from ta_assets.core.markdown import table

    shown = table(list(frame.columns), frame.head(MAX_ROWS).itertuples(index=False))
    return shown if len(frame) <= MAX_ROWS else f"{shown}\n\n{len(frame) - MAX_ROWS} more rows in the artifact."


def screens(name: str, text: str) -> dict[str, dg.MarkdownMetadataValue]:
    """A long text as metadata, a screen each: ``name``, or ``name 1 of 3`` and so on, cut between its blocks."""
    pieces: list[list[str]] = [[]]
    for block in text.split("\n\n"):
        lines = len(block.splitlines()) + 1
        if pieces[-1] and sum(len(one.splitlines()) + 1 for one in pieces[-1]) + lines > MAX_LINES:
            pieces.append([])
        pieces[-1].append(block)
    shown = ["\n\n".join(blocks) for blocks in pieces]
    names = [name] if len(shown) == 1 else [f"{name} {number} of {len(shown)}" for number in range(1, len(shown) + 1)]
    return {one: dg.MetadataValue.md(piece) for one, piece in zip(names, shown, strict=True)}


def importance_over_position(table: pd.DataFrame, title: str) -> dg.MarkdownMetadataValue:
    """Importance of every sentence against its relative position, anchors marked."""

    def draw(axes: Any) -> None:
        for anchor, color, label in ((0, "0.6", "other sentence"), (1, "tab:red", "anchor")):
            rows = table[table["anchor"] == anchor]
            axes.scatter(rows["relative_position"], rows["importance_signed"], s=8, c=color, label=label)
        axes.set_xlabel("relative position in the trace (0: first sentence, 1: last)")
        axes.set_ylabel("importance\n(change of accuracy; positive: lowers it)")
        axes.legend()

    return figure(draw, f"{title}: importance of sentences", left=1.0)


def precision_recall(predictions: pd.DataFrame, title: str) -> dg.MarkdownMetadataValue:
    """Precision-recall curves of every probe on the test rows, pooled over problems."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import precision_recall_curve

        test = predictions.loc[predictions["split"] == "test"]
        for model in scored_models(test):
            precision, recall, _ = precision_recall_curve(test["anchor"], test[f"{SCORE_PREFIX}{model}"])
            found = recall > 0  # where nothing is found, a precision is a matter of taste
            axes.plot(recall[found], precision[found], marker=".", markersize=3, label=in_words(model))
        axes.axhline(test["anchor"].mean(), color="0.6", linestyle="--", label="share of anchors (chance)")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall (share of anchors that are found)")
        axes.set_ylabel("precision (share of anchors among the found)")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: test sentences of all problems")


def scores_over_target(predictions: pd.DataFrame, target: str, title: str) -> dg.MarkdownMetadataValue:
    """Score of every probe against a continuous target, on the test rows."""

    def draw(axes: Any) -> None:
        test = predictions.loc[predictions["split"] == "test"]
        for model in scored_models(test):
            axes.scatter(test[target], test[f"{SCORE_PREFIX}{model}"], s=8, label=in_words(model))
        axes.set_xlabel(f"{in_words(target)} (change of accuracy)")
        axes.set_ylabel("score of the probe")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: test sentences of all problems")


def tokens(counts: Mapping[str, int], title: str) -> dg.MarkdownMetadataValue:
    """Length of every trace, which bounds context and memory."""

    def draw(axes: Any) -> None:
        places, every = range(len(counts)), -(-len(counts) // MAX_LABELS)
        axes.bar(places, list(counts.values()), color="tab:blue")
        axes.set_xticks(places[::every], list(counts)[::every], rotation=90, fontsize="small")
        axes.set_xlabel("problem" if every == 1 else f"problem (every {every}th is named)")
        axes.set_ylabel("tokens of question and trace")

    return figure(draw, f"{title}: length of traces")


def errors_over_deferral(
    rows: list[dict[str, Any]], chosen: tuple[float | None, float | None], title: str
) -> dg.MarkdownMetadataValue:
    """Share of wrong decisions against the share of deferred sentences, on val and test; the chosen plan marked."""

    def draw(axes: Any) -> None:
        frame = pd.DataFrame(rows).sort_values("budget")
        for part, color in (("val", "0.6"), ("test", "tab:blue")):
            axes.plot(
                frame[f"{part}_deferral_rate"],
                frame[f"{part}_accepted_error"],
                marker="o",
                color=color,
                label=f"{part} sentences",
            )
        if None not in chosen:
            axes.plot(*chosen, marker="*", markersize=14, color="tab:red", linestyle="none", label="this plan, test")
        axes.set_xlabel("share of sentences deferred")
        axes.set_ylabel("share of errors among the decided")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: what deferring buys")


def bars(frame: pd.DataFrame, label: str, mean: str, std: str, title: str) -> dg.MarkdownMetadataValue:
    """Mean with standard deviation, one bar a row."""

    names = [in_words(name) for name in frame[label]]

    def draw(axes: Any) -> None:
        axes.barh(names, frame[mean], xerr=frame[std], color="tab:blue")
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize="small")
        axes.set_xlabel(f"{in_words(mean)} over seeds, on test sentences (line: one standard deviation)", loc="right")

    return figure(draw, title, left=room_for(names))


def title_of(partition: str, study: str) -> str:
    """Beginning of a plot's title: which part of which study it is of."""
    return f"{partition} (study {study})"


def in_words(name: str) -> str:
    """A name of the code as people read it."""
    return name.replace("_", " ")


def room_for(names: Iterable[str]) -> float:
    """Inches that names in small letters take beside an axis."""
    return 0.25 + 0.062 * max(map(len, names), default=0)


def figure(
    draw: Callable[[Any], None], title: str, *, height: float = 4.0, left: float = 0.8, bottom: float = 0.55
) -> dg.MarkdownMetadataValue:
    """A drawing as a PNG inside Markdown, which is what Dagster's pages can show.

    They show no file of the machine's, so it is stored with the event; with few colours it takes a third of the room.
    Margins are given, because a layout that matplotlib works out takes as long as all the rest of a drawing.

    Args:
        draw: draws into axes.
        title: says what of which setting it is, for whoever sees a copy of it alone.
        height: in inches; the width is 6.4, and an inch has ``DPI`` pixels.
        left: inches for what stands beside the axis.
        bottom: inches for what stands below it.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    canvas = Figure(figsize=(WIDTH, height), dpi=DPI)
    axes = canvas.add_subplot()
    canvas.subplots_adjust(left / WIDTH, bottom / height, 1 - 0.15 / WIDTH, 1 - 0.35 / height)
    draw(axes)
    canvas.suptitle(title, fontsize="medium", y=1 - 0.08 / height, va="top")
    drawn, buffer = io.BytesIO(), io.BytesIO()
    canvas.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(buffer, format="png", optimize=True)
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")
