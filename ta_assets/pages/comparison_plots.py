"""Figures of a comparison: pixels. Stays out: their numbers (``comparison_numbers``)."""

from __future__ import annotations

from typing import Any

import dagster as dg

from ta_assets.core.values import CrossFitted
from ta_assets.pages.comparison_numbers import POWER_PROBLEMS, BlockCurve, best_nulls, block_curve, power_of
from ta_assets.pages.plots import figure, in_words, room_for

ON_ACTIVATIONS = ("increment", "probe")
"""Kinds of rows whose scores read activations."""
COLORS = {True: "tab:blue", False: "0.6"}
"""Whether a row's scores read activations -> its colour."""


def figures(value: dict[str, Any], scores: CrossFitted, title: str) -> dict[str, dg.MarkdownMetadataValue]:
    """Effects, permutations, ceiling, power, and where several blocks were read the curve over them."""
    made = {"effects": effects(value, title), "ceiling": ceiling(value, title), "power": power_curve(value, title)}
    if len(scores.nulls.columns):
        made["permutations"] = permutations(scores, title)
    curve = block_curve(scores)
    if curve is not None:
        made["blocks"] = blocks(curve, title)
    return made


def effects(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Lead of every score over its hardest rival, with its interval over problems."""

    rows = value["rows"][::-1]
    names = [f"{in_words(row['name'])} minus {in_words(row['against'])}" for row in rows]

    def draw(axes: Any) -> None:
        for place, row in enumerate(rows):
            color = COLORS[row["kind"] in ON_ACTIVATIONS]
            axes.plot(row["difference"], place, "o", color=color)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=color)
        axes.axvline(0, color="0.6", linestyle="--")
        axes.set_yticks(range(len(rows)), names, fontsize="small")
        axes.set_xlabel("difference in average precision (line: 95 % interval)")
        _explain_colors(axes)

    return figure(draw, f"{title}: lead over the hardest rival", left=room_for(names), **_room(value))


def ceiling(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Average precision of every score between chance and what label noise leaves attainable."""

    rows = value["rows"][::-1]
    names = [in_words(row["name"]) for row in rows]

    def draw(axes: Any) -> None:
        colors = [COLORS[row["kind"] in ON_ACTIVATIONS] for row in rows]
        axes.barh(names, [row["average_precision"] for row in rows], color=colors)
        axes.axvline(value["chance"], color="0.3", linestyle=":", label="chance")
        if value["ceiling"]:
            axes.axvline(value["ceiling"]["oracle"], color="tab:red", label="true importances")
            axes.axvline(value["ceiling"]["repeat"], color="tab:orange", linestyle="--", label="second campaign")
        axes.tick_params(axis="y", labelsize="small")
        axes.set_xlabel("average precision, mean over problems")
        _explain_colors(axes)

    return figure(draw, f"{title}: between chance and what label noise leaves", left=room_for(names), **_room(value))


def power_curve(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Chance to find the observed lead of each probe, against the number of problems."""

    def draw(axes: Any) -> None:
        from ta_assets.core.statistics.power import TARGET

        for row in value["rows"]:
            chances = power_of(row) if row["kind"] in ON_ACTIVATIONS else None
            if chances is not None:
                axes.plot(POWER_PROBLEMS, chances, label=f"{in_words(row['name'])} ({row['difference']:+.3f})")
        axes.axhline(TARGET, color="0.6", linestyle="--", label=f"wanted: {TARGET:g}")
        axes.axvline(value["n_problems"], color="0.6", linestyle=":", label=f"now: {value['n_problems']} problems")
        axes.set_xscale("log")
        axes.set_xticks(POWER_PROBLEMS[::2], [str(n) for n in POWER_PROBLEMS[::2]])
        axes.minorticks_off()
        axes.set_xlabel("number of problems")
        axes.set_ylabel("power (chance to find the observed lead)")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: how many problems would decide")


def permutations(scores: CrossFitted, title: str) -> dg.MarkdownMetadataValue:
    """Macro average precision of the best linear probe on permuted labels, and on the labels as they are."""

    def draw(axes: Any) -> None:
        styles = (("0.4", "-"), ("tab:orange", "--"), ("tab:green", ":"))
        for null, (color, style) in zip(best_nulls(scores), styles, strict=False):
            model = null.name.replace("|", ", penalty no. ")
            axes.hist(null.permuted, bins=40, color=color, alpha=0.6, label=f"{model}, labels {null.scheme}")
            axes.axvline(null.observed, color=color, linestyle=style, label=f"{model}, labels as they are")
        axes.set_xlabel("average precision, mean over problems, refitted to permuted labels")
        axes.set_ylabel("number of permutations")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: could it be chance?")


def blocks(curve: BlockCurve, title: str) -> dg.MarkdownMetadataValue:
    """Best ridge of every block, and the band that the best of all penalties and blocks stays in by chance."""

    def draw(axes: Any) -> None:
        axes.plot(curve.blocks, curve.observed, "o-", label="ridge at its best penalty")
        label = "max-T band of shifted labels (95 %)"
        axes.fill_between(curve.blocks, curve.center, curve.upper, color="0.8", label=label)
        axes.set_xlabel("block of the language model, counted from 0")
        axes.set_ylabel("average precision, mean over problems")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: over the blocks")


def _explain_colors(axes: Any) -> None:
    """A legend of the two colours, beside what has a label already."""
    from matplotlib.patches import Patch

    lines, _ = axes.get_legend_handles_labels()
    kinds = [Patch(color=COLORS[True], label="probe of activations"), Patch(color=COLORS[False], label="baseline")]
    # below the axes: within them it would hide rows
    axes.figure.legend(handles=[*kinds, *lines], fontsize="small", ncols=3, loc="lower right")


def _room(value: dict[str, Any]) -> dict[str, float]:
    """Height that leaves room for a line of text a row, and inches below the axis for the legend of colours."""
    return {"height": min(5.6, max(4.0, 1.8 + 0.2 * len(value["rows"]))), "bottom": 0.95}
