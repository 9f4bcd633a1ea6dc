"""``docs/effects.svg``: the leads of the embedded study, from the artifacts of its last release.

Belongs here: how they are drawn. Stays out: computing anything, and drawing in the test, which has no artifacts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ta_assets.studies.loading import load_studies
from ta_resources.storage.artifacts import ArtifactStore

PICTURE = Path(__file__).parents[2] / "docs/effects.svg"
SHOWN = {"increment": 1, "probe": 4, "baseline": 1, "diagnosis": 1}
"""Rows of a comparison, the best findings of each kind."""
SCORES = sum(SHOWN.values())
ON_ACTIVATIONS = ("increment", "probe")
LOOK: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "effects", "font.size": 8}


def render(store: ArtifactStore | None = None) -> str:
    """The picture as SVG.

    Raises:
        InputError: the study was not released here.
    """
    import matplotlib
    from matplotlib.figure import Figure

    settings = list(load_studies("embedded").selected.settings)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(8.5, 1.1 + 0.42 * SCORES), layout="constrained")
        panels = figure.subplots(1, len(settings), sharex=True)
        for axes, setting in zip(panels, settings, strict=True):
            _draw(axes, _shown((store or ArtifactStore()).load("probe_comparison", setting)["rows"]))
            axes.set_title(setting)
            axes.set_xlabel("lead in average precision, 95 % interval")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _shown(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    findings = [row for row in rows if row["twin_of"] is None]
    return [row for kind, n in SHOWN.items() for row in [one for one in findings if one["kind"] == kind][:n]]


def _draw(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(reversed(rows)):
        color = "tab:blue" if row["kind"] in ON_ACTIVATIONS else "0.5"
        axes.plot(row["difference"], place, "o", markersize=4, color=color)
        said = f"{row['difference']:+.2f}"
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=color)
            said += f" ({row['low']:+.2f} to {row['high']:+.2f})"
        axes.annotate(f"{said}, {row['verdict'].split(',')[0]}", (row["difference"], place), (0, 5), fontsize=6,
                      textcoords="offset points", ha="center")  # fmt: skip
    axes.axvline(0, color="0.6", linestyle="--", linewidth=1)
    axes.margins(x=0.3)
    axes.set_ylim(-0.5, len(rows) - 0.3)
    axes.set_yticks(range(len(rows)), [f"{row['name']} - {row['against']}" for row in reversed(rows)])


if __name__ == "__main__":
    PICTURE.write_text(render(), encoding="utf-8")
    print(PICTURE)
