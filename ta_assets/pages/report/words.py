"""What a release found, in one line a setting.

Stays out: what decides a verdict (``core.comparison.claims``); nothing is judged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ta_assets.studies.study import Study

TRACES = {
    "correct": "right traces",
    "incorrect": "wrong traces",
    "correct_forced_answer": "right traces, answer forced",
    "incorrect_forced_answer": "wrong traces, answer forced",
}
"""By the solutions of a setting."""
INCREMENT = "increment"
"""Kind of a row that adds activations to all that is known without them."""
CLASSES = {"better": "better", "worse": "worse"}


def summary(verdict: Mapping[str, Any]) -> str:
    """How many checks passed, and what became of the others."""
    counts = Counter(row["status"] for row in verdict["checks"])
    others = "".join(f", {counts[one]} {one}" for one in ("failed", "errored", "skipped", "warned") if counts[one])
    return f"{counts['passed']} of {len(verdict['checks'])} checks passed{others}"


def headline(study: Study, setting: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """The line of a setting on the first screen.

    Returns:
        setting, traces (words), text, class (better, worse or open), verdict (words) and row: name of the row that it
        tells of, whose numbers are the artifact's; row is None where there is no comparison.
    """
    said = {"setting": setting, "traces": _traces(study, setting), "row": None, "class": "open"}
    row = key_row(value["rows"]) if value is not None else None
    if value is None or row is None:
        return {**said, "text": "there is no comparison", "verdict": "nothing is known"}
    return {
        **said,
        "row": row["name"],
        "class": CLASSES.get(row["verdict"], "open"),
        "text": _text(row),
        "verdict": judged(row),
        "problems": value["n_problems"],
        "low": row["low"],
        "high": row["high"],
        "difference": row["difference"],
    }


def key_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row that answers a study's question: what activations add to all else, or the best probe; of sorted rows."""
    by_kind: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], row)
    return by_kind.get(INCREMENT, by_kind.get("probe", rows[0] if rows else None))


def judged(row: Mapping[str, Any]) -> str:
    """The verdict of a row with its reason."""
    between = " " if not row["reason"] or row["reason"].startswith("than") else ": "
    return f"{row['verdict']}{between}{row['reason']}".strip()


def short(value: float, *, sign: bool = False) -> str:
    """Two places without the zero before the point, such as +.17."""
    text = f"{value:+z.2f}" if sign else f"{value:z.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def _text(row: Mapping[str, Any]) -> str:
    lead = short(row["difference"], sign=True)
    between = "" if row["low"] is None else f" [{short(row['low'])}, {short(row['high'])}]"
    if row["kind"] == INCREMENT:
        return f"activations add {lead}{between} to all that is known without them"
    kind = "the best probe" if row["kind"] == "probe" else "the best score"
    if row["difference"] < 0:
        return f"{kind}, {row['name']}, against its strongest rival, {row['against']}: {lead}{between}"
    return f"{kind}, {row['name']}, leads its strongest rival, {row['against']}, by {lead}{between}"


def _traces(study: Study, setting: str) -> str:
    one = study.settings[setting]
    several = len({other.model for other in study.settings.values()}) > 1
    return f"{TRACES[one.solutions]} of {one.model}" if several else TRACES[one.solutions]
