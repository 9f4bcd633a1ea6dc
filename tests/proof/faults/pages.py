"""Faults in the code that renders the page of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ta_assets.core import markdown
from ta_assets.pages import block
from tests.proof.faults import Fault
from tests.proof.faults.planting import replace
from tests.proof.world import NAME, World

OPPOSITE = {"better": "worse", "worse": "better"}


def _render(owner: object, name: str, wrong: Callable[[Any], Any]) -> Callable[[World], None]:
    """A function of the renderer is replaced by ``wrong`` of it, and the page is made anew."""

    def plant(world: World) -> None:
        replace(owner, name, wrong(getattr(owner, name)))
        world.make("readme_block", NAME)

    return plant


def _columns(edit: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Callable[[World], None]:
    """Rows of the comparison are changed on their way to the page."""
    return _render(
        markdown,
        "comparison_columns",
        lambda right: lambda rows, leading=(): right([{**row, **edit(row)} for row in rows], leading),
    )


def _opposite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"verdict": OPPOSITE.get(row["verdict"], row["verdict"])}


def _coarse(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"average_precision": round(row["average_precision"], 2)}


def _last_first(right: Any) -> Any:
    """Headlines are the last scores of each kind."""
    return lambda rows: right(rows[::-1])[::-1]


def _twice(right: Any) -> Any:
    """Warned and failed cells count as passed, and each cell twice."""
    return lambda *given: [[check, severity, 2 * every, 2 * every] for check, severity, _, every in right(*given)]


def _halved(right: Any) -> Any:
    def wrong(row: Mapping[Any, Any], column: str) -> str:
        deviation = f"{column.removesuffix('_mean')}_std"
        return right({**row, deviation: row[deviation] / 2}, column)

    return wrong


PAGE = ("page_tells_artifacts", "readme_block")
FAULTS = tuple(
    Fault(name, *PAGE, plant)
    for name, plant in (
        ("better and worse are swapped", _columns(_opposite)),
        ("p is that of another column", _columns(lambda row: {"p": row["chance_p"]})),
        ("the interval is that of the precision", _columns(lambda row: {"low": row["ap_low"], "high": row["ap_high"]})),
        ("settings are swapped", _columns(lambda row: {"setting": row["setting"].replace("_in", "_")})),
        ("precisions are rounded to two places", _columns(_coarse)),
        ("headlines are the last scores", _render(block, "_headlines", _last_first)),
        ("standard deviations are halved", _render(block, "_plus_minus", _halved)),
        ("cells count twice, whatever their checks said", _render(block, "_counted", _twice)),
    )
)
