"""What the page of a study says, as plain values: everything that is embedded in it.

Belongs here: which artifacts are read, and what becomes of those that are missing. Stays out: words (``words``),
traces (``traces``), checks (``grid``), origins (``origin``), HTML (``render``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.core.values import CrossFitted, jsonable
from ta_assets.ledger.table import Role, with_role
from ta_assets.ledger.world import World
from ta_assets.pages.comparison_numbers import POWER_PROBLEMS, best_nulls, block_curve, power_of
from ta_assets.pages.report import grid, origin, traces, words
from ta_assets.pages.report.traces import rounded
from ta_assets.studies.readme_file import study_folder
from ta_assets.studies.study import Study

(VERDICT,) = with_role(Role.VERDICT)


@dataclass(frozen=True)
class Content:
    """The embedded values, by the script that holds them."""

    main: dict[str, Any]
    """All but the traces."""
    traces: Mapping[str, Mapping[int, dict[str, Any]]]
    """Setting -> problem id -> its trace, see ``traces.Traces``."""


def content_of(world: World, study: Study) -> Content:
    """Everything that the page of a study says now.

    Raises:
        InputError: there is no verdict.
    """
    verdict = world.store.load(VERDICT, study.name)
    missing: list[str] = []
    comparisons = {one: _loaded(world, "probe_comparison", one, missing) for one in study.settings}
    scores = {one: _loaded(world, "cv_scores", one, missing) for one in study.settings}
    found = {one: traces.of_setting(world, study, one, scores[one], missing) for one in study.settings}
    rows = grid.annotated(verdict["checks"])
    history = grid.history_of(study_folder(study.name, world.store.local_folder))
    main = {
        "study": study.name,
        "release": {
            "verdict": verdict["verdict"],
            "summary": words.summary(verdict),
            "sha256": verdict_sha256(world, study.name),
            "kept_as": history["releases"][-1]["name"] if history["releases"] else "",
            "ended": history["releases"][-1]["ended"] if history["releases"] else "",
            "commit": (verdict["environment"].get("git") or {}).get("commit"),
            "clean": (verdict["environment"].get("git") or {}).get("clean"),
        },
        "corpora": {one: setting.corpus for one, setting in study.settings.items()},
        "settings": [words.headline(study, one, comparisons[one]) for one in study.settings],
        "alarms": [row for row in rows if row["status"] != "passed"],
        "missing": missing,
        "comparison": {
            one: {"artifact": value, "numbers": numbers(value, scores[one])}
            for one, value in comparisons.items()
            if value is not None
        },
        "problems": {one: each.index for one, each in found.items()},
        "scores": {one: each.scores for one, each in found.items()},
        "checks": grid.grid(rows, history),
        "origin": origin.origins(world, study),
        "environment": verdict["environment"],
    }
    return Content(jsonable(main), {one: each.problems for one, each in found.items()})


def verdict_sha256(world: World, study_name: str) -> str | None:
    """Hex SHA-256 of the stored verdict; None when there is none."""
    hashes = world.store.hashes(VERDICT, study_name)
    return next((one for name, one in hashes.items() if name.endswith("/value.json")), None)


def numbers(value: Mapping[str, Any], scores: CrossFitted | None) -> dict[str, Any]:
    """What charts show beside the rows of a comparison: nulls, blocks, power; rounded as ``traces.rounded`` does."""
    nulls = best_nulls(scores) if scores is not None else []
    curve = block_curve(scores) if scores is not None else None
    power = {row["name"]: power_of(row) for row in value["rows"]}
    return {
        "nulls": [
            {
                "scheme": one.scheme,
                "name": one.name,
                "observed": rounded(one.observed),
                "permuted": [rounded(value) for value in one.permuted],
            }
            for one in nulls
        ],
        "blocks": None
        if curve is None
        else {
            "blocks": list(curve.blocks),
            "observed": [rounded(one) for one in curve.observed],
            "center": [rounded(one) for one in curve.center],
            "upper": [rounded(one) for one in curve.upper],
        },
        "power": {name: [rounded(one) for one in chances] for name, chances in power.items() if chances is not None},
        "power_problems": list(POWER_PROBLEMS),
    }


def _loaded(world: World, asset: str, partition: str, missing: list[str]) -> Any:
    """An artifact; None, and a line of ``missing``, where it is not there or damaged."""
    try:
        return world.store.load(asset, partition)
    except InputError as error:
        missing.append(f"{asset}[{partition}]: {error}")
        return None
