"""Figures of a comparison: pixels. Stays out: their numbers (``comparison_numbers``)."""

from __future__ import annotations

from typing import Any

import dagster as dg

from ta_assets.core.values import CrossFitted
from ta_assets.pages.comparison_numbers import POWER_PROBLEMS, BlockCurve, best_nulls, block_curve, power_of
from ta_assets.pages.plots import figure


def figures(value: dict[str, Any], scores: CrossFitted) -> dict[str, dg.MarkdownMetadataValue]:
    """Effects, permutations, ceiling, power, and where several blocks were read the curve over them."""
    made = {"effects": effects(value), "ceiling": ceiling(value), "power": power_curve(value)}
    if len(scores.nulls.columns):
        made["permutations"] = permutations(scores)
    curve = block_curve(scores)
    if curve is not None:
        made["blocks"] = blocks(curve)
    return made


def effects(value: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Lead of every score over its hardest rival, with its interval over problems."""

    def draw(axes: Any) -> None:
        rows = value["rows"][::-1]
        for place, row in enumerate(rows):
            color = "tab:blue" if row["kind"] == "probe" else "0.6"
            axes.plot(row["difference"], place, "o", color=color)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=color)
        axes.axvline(0, color="0.6", linestyle="--")
        axes.set_yticks(range(len(rows)), [f"{row['name']} - {row['against']}" for row in rows], fontsize="x-small")
        axes.set_xlabel("difference in average precision (95 % interval)")

    return figure(draw)


def ceiling(value: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Average precision of every score between chance and what label noise leaves attainable."""

    def draw(axes: Any) -> None:
        rows = value["rows"][::-1]
        colors = ["tab:blue" if row["kind"] == "probe" else "0.6" for row in rows]
        axes.barh([row["name"] for row in rows], [row["average_precision"] for row in rows], color=colors)
        axes.axvline(value["chance"], color="0.3", linestyle=":", label="chance")
        if value["ceiling"]:
            axes.axvline(value["ceiling"]["oracle"], color="tab:red", label="true importances")
            axes.axvline(value["ceiling"]["repeat"], color="tab:orange", linestyle="--", label="second campaign")
        axes.tick_params(axis="y", labelsize="x-small")
        axes.set_xlabel("average precision, mean over problems")
        axes.legend(fontsize="small")

    return figure(draw)


def power_curve(value: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Chance to find the observed lead of each probe, against the number of problems."""

    def draw(axes: Any) -> None:
        from ta_assets.core.statistics.power import TARGET

        for row in value["rows"]:
            chances = power_of(row) if row["kind"] == "probe" else None
            if chances is not None:
                axes.plot(POWER_PROBLEMS, chances, label=f"{row['name']} ({row['difference']:+.3f})")
        axes.axhline(TARGET, color="0.6", linestyle="--")
        axes.axvline(value["n_problems"], color="0.6", linestyle=":")
        axes.set_xscale("log")
        axes.set_xlabel("problems")
        axes.set_ylabel("power")
        axes.legend(fontsize="x-small")

    return figure(draw)


def permutations(scores: CrossFitted) -> dg.MarkdownMetadataValue:
    """Macro average precision of the best linear probe on permuted labels, and on the labels as they are."""

    def draw(axes: Any) -> None:
        for null, color in zip(best_nulls(scores), ("0.6", "tab:orange", "tab:blue"), strict=False):
            axes.hist(null.permuted, bins=40, color=color, alpha=0.6, label=f"{null.scheme}: {null.name}")
            axes.axvline(null.observed, color=color)
        axes.set_xlabel("macro average precision, refitted to permuted labels; line: labels as they are")
        axes.legend(fontsize="small")

    return figure(draw)


def blocks(curve: BlockCurve) -> dg.MarkdownMetadataValue:
    """Best ridge of every block, and the band that the best of all penalties and blocks stays in by chance."""

    def draw(axes: Any) -> None:
        axes.plot(curve.blocks, curve.observed, "o-", label="ridge at its best penalty")
        label = "max-T band of shuffled labels (95 %)"
        axes.fill_between(curve.blocks, curve.center, curve.upper, color="0.8", label=label)
        axes.set_xlabel("block")
        axes.set_ylabel("macro average precision")
        axes.legend(fontsize="small")

    return figure(draw)
