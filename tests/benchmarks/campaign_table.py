"""Every claim on labels from scratch with its bar; rows that were not measured say so.

``python -m tests.benchmarks.campaign_table reliability reuse=200`` measures the rows whose key starts so, the latter
with two hundred data sets, ``all`` every one. ``TA_SMOLLM2`` names the folder of SmolLM2 for those that need a model.
``figure`` draws ``docs/reliability.svg`` from what was measured.

Belongs here: the list, the figure. Stays out: measuring (the other modules of this name), keeping
(``kept_table``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import campaign_machinery as machinery
from tests.benchmarks import campaign_sharing as sharing
from tests.benchmarks import campaign_worlds as worlds
from tests.benchmarks.kept_table import KeptTable, Record, Row

FIGURE = Path(__file__).parents[2] / "docs/reliability.svg"
BARS: Mapping[str, Mapping[str, float]] = {
    "until clear, at most 200": {"rollouts": 110, "jaccard": 0.38, "f1": 0.63},
    "until clear, at most 200, posterior": {"rollouts": 110, "jaccard": 0.38, "f1": 0.63},
}
"""What the rules are asked for; set before anything was measured."""


def rows() -> Mapping[str, Row]:
    """Key -> row, in the order of the document."""
    return dict(_rows())


def _rows() -> Iterator[tuple[str, Row]]:
    yield "prefixes", Row("prefixes that differ from the trace's bytes and ids", "== 0", 1, machinery.prefixes)
    yield "accounts", Row("rollouts without exactly one outcome", "== 0", 10_000, machinery.accounts)
    yield "graded/equal", Row("falsely equal, planted pairs", "<= 0", 1, _of(machinery.graded, "equal"))
    yield "graded/unequal", Row("falsely unequal, planted pairs", "<= 0.01", 1, _of(machinery.graded, "unequal"))
    yield "hangs", Row("answers that a grader was waited for beyond its time", "== 0", 10_000, machinery.hangs)
    for figure, bar in (("tokens", "<= 0.02"), ("speed", ">= 1.8"), ("same", ">= 0.01")):
        yield f"sharing/{figure}", Row(f"prefix sharing: {figure}", bar, 1, _of(sharing.sharing, figure))
    yield "kills", Row("kills after which more than a batch was lost, or labels differ", "== 0", 50, machinery.kills)
    for name in worlds.RULES:
        for figure in ("jaccard", "f1", "rollouts"):
            bar = BARS.get(name, {}).get(figure)
            if figure == "rollouts" and bar is None:
                continue
            comparison = "reported" if bar is None else "<=" if figure == "rollouts" else ">="
            measure = _of(worlds.reliability, name, figure, comparison, bar)
            words = "" if bar is None else f"{comparison} {bar:g}"
            yield f"reliability/{name}/{figure}", Row(f"{figure}, {name}", words, 12, measure)
    bars = {"ratio": ">= 1.2", "errors": "<= 0.002", "accuracies": "<= 0.002", "covered": "0.93 to 0.97"}
    for figure, bar in bars.items():
        yield f"reuse/{figure}", Row(f"verbatim re-use: {figure}", bar, 3000, _of(worlds.reuse, figure))
    for naive in (False, True):
        claim = "a sentence without effect is called an anchor at some look" + naive * ", interval of one look"
        row = Row(claim, ">= 0.15" if naive else "<= 0.05", 10_000, _of(worlds.false_anchors, naive))
        yield f"looks/{'one' if naive else 'all'}", row


def _of(measure: Callable[..., Record], *given: Any) -> Callable[[int], Record]:
    return partial(measure, *given)


def figure(stored: Mapping[str, Any]) -> None:
    """Agreement and F1 of each rule against its tokens."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), sharex=True)
    for panel, (name, words) in zip(
        axes, (("jaccard", "agreement of two campaigns"), ("f1", "F1 of anchors")), strict=True
    ):
        points = []
        for rule in worlds.RULES:
            one = stored[f"reliability/{rule}/{name}"]
            spent = float(one["detail"].split()[0]) * worlds.TOKENS_PER_ROLLOUT * worlds.SENTENCES_PER_TRACE / 1e6
            points.append((spent, one["value"], rule))
        plain = [point for point in points if point[2].startswith("uniform")]
        panel.plot(*zip(*[point[:2] for point in plain], strict=True), "o-", color="0.5", label="uniform 50, 100, 200")
        for point, marker in zip([one for one in points if one not in plain], "sD", strict=True):
            panel.plot(*point[:2], marker, label=point[2])
        panel.set_xlabel("million generated tokens a trace")
        panel.set_ylabel(words)
        panel.set_ylim(0, 1)
        panel.spines[["top", "right"]].set_visible(False)
    axes[1].legend(frameon=False, fontsize=7, loc="lower right")
    drawn.tight_layout()
    drawn.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    kept = KeptTable("campaigns", rows())
    kept.measure([one for one in sys.argv[1:] if one != "figure"])
    if "figure" in sys.argv[1:]:
        figure(kept.stored())
