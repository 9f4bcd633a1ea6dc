"""Figures of a comparison. Nothing is computed here but pixels and the power of a stated number of problems."""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np

from ta_assets.core.values import CrossFitted
from ta_assets.pages.plots import figure

ON_ACTIVATIONS = ("increment", "probe")
"""Kinds of rows whose scores read activations."""
POWER_PROBLEMS = (5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320)


def figures(value: dict[str, Any], scores: CrossFitted) -> dict[str, dg.MarkdownMetadataValue]:
    """Effects, permutations, ceiling, power, and where several blocks were read the curve over them."""
    made = {"effects": effects(value), "ceiling": ceiling(value), "power": power_curve(value)}
    if len(scores.nulls.columns):
        made["permutations"] = permutations(scores)
    if len(scores.record["blocks"]) > 1:
        made["blocks"] = blocks(scores)
    return made


def effects(value: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Lead of every score over its hardest rival, with its interval over problems."""

    def draw(axes: Any) -> None:
        rows = value["rows"][::-1]
        for place, row in enumerate(rows):
            color = "tab:blue" if row["kind"] in ON_ACTIVATIONS else "0.6"
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
        colors = ["tab:blue" if row["kind"] in ON_ACTIVATIONS else "0.6" for row in rows]
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
        from ta_assets.core.statistics.power import TARGET, power

        for row in [row for row in value["rows"] if row["kind"] in ON_ACTIVATIONS and row["deviation"] > 0]:
            lead = max(abs(row["difference"]), 1e-6)
            chances = [power(lead, row["deviation"], n, alpha=row["level"]) for n in POWER_PROBLEMS]
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
        for scheme, color in (("shifted", "0.6"), ("stratified", "tab:orange"), ("supported", "tab:green")):
            columns = [name for name in scores.nulls.columns if name.startswith(f"{scheme}/")]
            if not columns:
                continue
            best = max(columns, key=lambda name: scores.nulls[name].iloc[0])
            null = scores.nulls[best].to_numpy()
            axes.hist(null[1:], bins=40, color=color, alpha=0.6, label=f"{scheme}: {best.partition('/')[2]}")
            axes.axvline(null[0], color=color)
        axes.set_xlabel("macro average precision, refitted to permuted labels; line: labels as they are")
        axes.legend(fontsize="small")

    return figure(draw)


def blocks(scores: CrossFitted) -> dg.MarkdownMetadataValue:
    """Best ridge of every block, and the band that the best of all penalties and blocks stays in by chance."""

    def draw(axes: Any) -> None:
        places = scores.record["blocks"]
        observed, center, width = [], [], []
        columns = [name for name in scores.nulls.columns if name.startswith("shifted/ridge@")]
        null = scores.nulls[columns].to_numpy()
        standard = (null - null.mean(axis=0)) / np.maximum(null.std(axis=0), 1e-12)
        critical = float(np.quantile(standard[1:].max(axis=1), 0.95))
        for block in places:
            own = [name for name in columns if name.startswith(f"shifted/ridge@{block}|")]
            best = max(own, key=lambda name: scores.nulls[name].iloc[0])
            values = scores.nulls[best].to_numpy()
            observed.append(values[0])
            center.append(values.mean())
            width.append(critical * values.std())
        axes.plot(places, observed, "o-", label="ridge at its best penalty")
        upper = np.add(center, width)
        axes.fill_between(places, center, upper, color="0.8", label="max-T band of shifted labels (95 %)")
        axes.set_xlabel("block")
        axes.set_ylabel("macro average precision")
        axes.legend(fontsize="small")

    return figure(draw)
