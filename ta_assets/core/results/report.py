"""What a cell found, for a person to read: one Markdown text, the same for the same numbers.

Belongs here: choosing and arranging what is shown. Stays out: computing it (``cells``), verdicts (``ta_checks``:
training does not grade itself), files. All text of the dataset goes through ``markdown.escape``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ta_assets.core.markdown import escape, table
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.score_columns import KEYS
from ta_assets.core.statistics.intervals import MIN_PROBLEMS_FOR_INTERVAL
from ta_assets.core.values import CellResult, Markdown

TOP_SENTENCES = 5
MAX_CHARACTERS = 160
"""Of a sentence's text, before it is escaped."""
SCORE = "score_"


def cell_report(result: CellResult, rows: pd.DataFrame, name: str) -> Markdown:
    """Counts, metrics, intervals, position bins and the highest-scored test sentences of every probe.

    Args:
        result: of the cell.
        rows: its sentences with ``problem_id``, ``chunk_idx``, ``chunk_text`` and ``function_tag``.
        name: of the cell, for the title.
    """
    metrics = result.metrics
    counts = [[part, count, metrics["rows"].get(part)] for part, count in metrics["splits"].items()]
    sections = [
        f"# Cell {escape(name)}",
        f"Target {escape(metrics['target'])}, ranked by {escape(metrics['primary_metric'])}; seed {metrics['seed']}.",
        table(["part", "problems", "sentences"], counts),
        "## Metrics on val",
        _metrics(metrics["models"], "val"),
        "## Metrics on test",
        _metrics(metrics["models"], "test"),
        *_residuals(metrics),
        *_intervals(metrics),
        *_position_bins(metrics),
        "## Highest-scored test sentences",
        *_top_sentences(result, rows),
    ]
    return Markdown("\n\n".join(section.strip("\n") for section in sections) + "\n")


def shown(text: object) -> str:
    """A sentence on one line, cut to 160 characters; what UTF-8 cannot hold is written out."""
    line = " ".join(str(text).encode("utf-8", "backslashreplace").decode("utf-8").split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 1]}…"


def _metrics(models: Mapping[str, Any], part: str) -> str:
    names = list(dict.fromkeys(name for parts in models.values() for name in parts[part]))
    return table(
        ["probe", *names], [[model, *(parts[part].get(name) for name in names)] for model, parts in models.items()]
    )


def _residuals(metrics: Mapping[str, Any]) -> list[str]:
    if "residual" not in metrics:
        return []
    against, models = metrics["residual"]["against"], metrics["residual"]["models"]
    if not models:
        return []
    title = f"## Probes refitted on what {escape(against)} leaves over"
    return [title, "On val:", _metrics(models, "val"), "On test:", _metrics(models, "test")]


def _intervals(metrics: Mapping[str, Any]) -> list[str]:
    found = metrics["confidence_intervals"]
    if not found:
        return []
    pooled, within = (
        ("mean rank correlation", "rank correlation")
        if TARGETS[metrics["target"]].continuous
        else ("pooled PR-AUC", "average precision")
    )
    headers = ["comparison", f"{pooled}, difference", "percentile interval", "problems", "mean over problems"]
    rows = [
        [
            comparison,
            one["point_delta"],
            _ends(one, "percentile", "undefined"),
            one["n_problems"],
            one["macro_delta"],
            _ends(
                one,
                "t",
                "too few problems" if one["n_problems"] < MIN_PROBLEMS_FOR_INTERVAL else "all problems differ alike",
            ),
        ]
        for comparison, one in found.items()
    ]
    return [
        "## Differences on test, over problems",
        f"Mean over problems and t interval: of the difference in {within} within each problem. Percentile interval: "
        f"the predecessor's, of the difference in {pooled}; too narrow where problems are few.",
        table([*headers, "t interval"], rows),
    ]


def _ends(interval: Mapping[str, Any], kind: str, otherwise: str) -> str:
    low, high = interval[f"{kind}_low"], interval[f"{kind}_high"]
    return otherwise if low is None else f"{low:+.4f} to {high:+.4f}"


def _position_bins(metrics: Mapping[str, Any]) -> list[str]:
    """Average precision of every probe in every bin of the test sentences."""
    found = metrics.get("position_bins", {"num_bins": 0})
    if not found["num_bins"]:
        return []
    by_model: Mapping[str, Sequence[Mapping[str, Any]]] = found["test"]
    rows = [
        [
            f"{bins[0]['left_inclusive']:.2f} to {bins[0]['right']:.2f}",
            bins[0]["count"],
            bins[0]["prevalence"],
            *(one["average_precision"] for one in bins),
        ]
        for bins in zip(*by_model.values(), strict=True)
    ]
    headers = ["relative position", "sentences", "prevalence", *by_model]
    return ["## Average precision on test, by position", table(headers, rows)]


def _top_sentences(result: CellResult, rows: pd.DataFrame) -> list[str]:
    column = TARGETS[result.metrics["target"]].column
    importance = "importance_score" if column == "anchor" else column
    known = rows[["problem_id", "chunk_idx", "chunk_text", "function_tag"]]
    test = result.predictions[result.predictions["split"] == "test"]
    test = test.merge(known, on=KEYS, how="left", validate="one_to_one")
    headers = ["score", "problem", "sentence", "position", "tag", importance, "anchor", "text"]
    sections = []
    for score in [name for name in test.columns if name.startswith(SCORE)]:
        best = test.sort_values([score, "problem_id", "chunk_idx"], ascending=[False, True, True]).head(TOP_SENTENCES)
        cells = [
            [
                row[score],
                row["problem_id"],
                row["chunk_idx"],
                row["relative_position"],
                shown(row["function_tag"]),
                row[importance],
                bool(row["anchor"]),
                shown(row["chunk_text"]),
            ]
            for row in best.to_dict("records")
        ]
        sections += [f"### {escape(score.removeprefix(SCORE))}", table(headers, cells)]
    return sections
