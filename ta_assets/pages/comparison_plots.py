"""Figures of a comparison. Nothing is computed here but pixels and the power of a stated number of problems."""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np

from ta_assets.core.values import CrossFitted
from ta_assets.pages.plots import figure, in_words

COLORS = {True: "tab:blue", False: "0.6"}
"""Whether it is a probe -> its colour."""
POWER_PROBLEMS = (5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320)


def figures(value: dict[str, Any], scores: CrossFitted, title: str) -> dict[str, dg.MarkdownMetadataValue]:
    """Effects, permutations, ceiling, power, and where several blocks were read the curve over them."""
    made = {"effects": effects(value, title), "ceiling": ceiling(value, title), "power": power_curve(value, title)}
    if len(scores.nulls.columns):
        made["permutations"] = permutations(scores, title)
    if len(scores.record["blocks"]) > 1:
        made["blocks"] = blocks(scores, title)
    return made


def effects(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Lead of every score over its hardest rival, with its interval over problems."""

    def draw(axes: Any) -> None:
        rows = value["rows"][::-1]
        for place, row in enumerate(rows):
            color = COLORS[row["kind"] == "probe"]
            axes.plot(row["difference"], place, "o", color=color)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=color)
        axes.axvline(0, color="0.6", linestyle="--")
        names = [f"{in_words(row['name'])} minus {in_words(row['against'])}" for row in rows]
        axes.set_yticks(range(len(rows)), names, fontsize="small")
        axes.set_xlabel("difference in average precision (line: 95 % interval)")
        _explain_colors(axes)

    return figure(draw, f"{title}: lead over the hardest rival", _height(value))


def ceiling(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Average precision of every score between chance and what label noise leaves attainable."""

    def draw(axes: Any) -> None:
        rows = value["rows"][::-1]
        colors = [COLORS[row["kind"] == "probe"] for row in rows]
        names = [in_words(row["name"]) for row in rows]
        axes.barh(names, [row["average_precision"] for row in rows], color=colors)
        axes.axvline(value["chance"], color="0.3", linestyle=":", label="chance")
        if value["ceiling"]:
            axes.axvline(value["ceiling"]["oracle"], color="tab:red", label="true importances")
            axes.axvline(value["ceiling"]["repeat"], color="tab:orange", linestyle="--", label="second campaign")
        axes.tick_params(axis="y", labelsize="small")
        axes.set_xlabel("average precision, mean over problems")
        _explain_colors(axes)

    return figure(draw, f"{title}: between chance and what label noise leaves", _height(value))


def power_curve(value: dict[str, Any], title: str) -> dg.MarkdownMetadataValue:
    """Chance to find the observed lead of each probe, against the number of problems."""

    def draw(axes: Any) -> None:
        from ta_assets.core.statistics.power import TARGET, power

        for row in [row for row in value["rows"] if row["kind"] == "probe" and row["deviation"] > 0]:
            lead = max(abs(row["difference"]), 1e-6)
            chances = [power(lead, row["deviation"], n, alpha=row["level"]) for n in POWER_PROBLEMS]
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
        for scheme, color, style in (("shuffled", "0.4", "-"), ("stratified", "tab:orange", "--")):
            columns = [name for name in scores.nulls.columns if name.startswith(f"{scheme}/")]
            if not columns:
                continue
            best = max(columns, key=lambda name: scores.nulls[name].iloc[0])
            null = scores.nulls[best].to_numpy()
            model = best.partition("/")[2].replace("|", ", penalty no. ")
            axes.hist(null[1:], bins=40, color=color, alpha=0.6, label=f"{model}, labels {scheme}")
            axes.axvline(null[0], color=color, linestyle=style, label=f"{model}, labels as they are")
        axes.set_xlabel("average precision, mean over problems, refitted to permuted labels")
        axes.set_ylabel("number of permutations")
        axes.legend(fontsize="small")

    return figure(draw, f"{title}: could it be chance?")


def blocks(scores: CrossFitted, title: str) -> dg.MarkdownMetadataValue:
    """Best ridge of every block, and the band that the best of all penalties and blocks stays in by chance."""

    def draw(axes: Any) -> None:
        places = scores.record["blocks"]
        observed, center, width = [], [], []
        columns = [name for name in scores.nulls.columns if name.startswith("shuffled/ridge@")]
        null = scores.nulls[columns].to_numpy()
        standard = (null - null.mean(axis=0)) / np.maximum(null.std(axis=0), 1e-12)
        critical = float(np.quantile(standard[1:].max(axis=1), 0.95))
        for block in places:
            own = [name for name in columns if name.startswith(f"shuffled/ridge@{block}|")]
            best = max(own, key=lambda name: scores.nulls[name].iloc[0])
            values = scores.nulls[best].to_numpy()
            observed.append(values[0])
            center.append(values.mean())
            width.append(critical * values.std())
        axes.plot(places, observed, "o-", label="ridge at its best penalty")
        upper = np.add(center, width)
        axes.fill_between(places, center, upper, color="0.8", label="max-T band of shuffled labels (95 %)")
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
    axes.legend(handles=[*kinds, *lines], fontsize="small", ncols=3, loc="upper right", bbox_to_anchor=(1.0, -0.14))


def _height(value: dict[str, Any]) -> float:
    """Inches that leave room for a line of text a row."""
    return min(5.6, max(4.0, 1.8 + 0.2 * len(value["rows"])))
