"""Faults of the page of a study: numbers that are no artifact's, texts that are markup, pages of another release."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ta_assets.jobs import release
from ta_assets.pages.report import content, render, traces, words
from ta_assets.studies.readme_file import report_path
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.table import invariants_of
from tests.proof.faults import Fault
from tests.proof.faults.planting import edit_json, replace
from tests.proof.world import CORPUS, NAME, World

HOSTILE = " </script><img src=x onerror=alert(1)>"


def of_page(world: World) -> dict[str, Any]:
    """A release, and what the checks of its page say; shaped as a verdict."""
    world.release()
    rows = []
    for invariant in invariants_of(release.PAGE_ASSET):
        found = judge(invariant, Evidence(invariant.asset, NAME, world.sources))
        head = {"name": invariant.name, "asset": invariant.asset, "partition": NAME}
        rows.append({**head, "status": found.status, "message": f"{found.message} {found.offenders[:2]}"})
    red = any(row["status"] != "passed" for row in rows)
    return {"verdict": "NOT OK" if red else "OK", "checks": rows}


def _wrong(owner: object, name: str, edit: Callable[[Any], Any]) -> Callable[[World], None]:
    """A function of what makes the page is replaced by ``edit`` of it."""
    return lambda _: replace(owner, name, edit(getattr(owner, name)))


def _swapped(right: Any) -> Any:
    """Scores of two names change places on their way to the page."""

    def wrong(scores: Any) -> Any:
        return {
            problem_id: rows.rename(columns={"lda": "ridge", "ridge": "lda"})
            for problem_id, rows in right(scores).items()
        }

    return wrong


def _another_row(right: Any) -> Any:
    """The first screen prints the interval of the precision."""
    return lambda row: right({**row, "low": row["ap_low"], "high": row["ap_high"]})


def _all_green(right: Any) -> Any:
    """The grid shows every check as passed."""
    return lambda checks: [{**row, "status": "passed", "observed": 0} for row in right(checks)]


def _unescaped(world: World) -> None:
    """A sentence is markup, and the page takes it as such."""
    folder = world.problems(CORPUS)[-1]
    chunks = json.loads((folder / "chunks_labeled.json").read_text(encoding="utf-8"))
    old = chunks[0]["chunk"]
    edit_json(folder / "chunks_labeled.json", lambda all_: [{**all_[0], "chunk": old + HOSTILE}, *all_[1:]])
    edit_json(
        folder / "base_solution.json",
        lambda base: {
            key: one.replace(old, old + HOSTILE, 1) if isinstance(one, str) else one for key, one in base.items()
        },
    )
    right = render._environment

    def wrong() -> Any:
        made = right()
        made.filters["tojson"] = json.dumps
        made.autoescape = False
        return made

    replace(render, "_environment", wrong)
    world.forget()


def _wide_policy(right: Any) -> Any:
    """Scripts in attributes may run."""
    return lambda: right().replace("script-src ", "script-src 'unsafe-inline' ")


def _not_made(world: World) -> None:
    """A release goes by without its page: the one that lies there is of the release before."""
    world.release()
    replace(release, "_page_faults", lambda *_: [])


def _by_hand(world: World) -> None:
    """A word of the page is changed after it was made."""
    world.release()
    path = report_path(NAME, world.store.local_folder)
    path.write_bytes(path.read_bytes().replace(b"can be built on", b"may be built on", 1))
    replace(release, "_page_faults", lambda *_: [])


TELLS, INERT, CURRENT = (f"report_{name}" for name in ("tells_artifacts", "is_inert", "is_current"))
FAULTS = tuple(
    Fault(name, check, release.PAGE_ASSET, plant, judge=of_page)
    for name, check, plant in (
        ("scores of two probes are swapped on the page", TELLS, _wrong(traces, "_scores", _swapped)),
        ("the page prints another interval", TELLS, _wrong(words, "_text", _another_row)),
        ("the page shows a warned check as passed", TELLS, _wrong(content.grid, "annotated", _all_green)),
        ("a sentence is markup on the page", INERT, _unescaped),
        ("the page may run what stands in attributes", INERT, _wrong(render, "policy", _wide_policy)),
        ("the page is of the release before", CURRENT, _not_made),
        ("the page was edited by hand", CURRENT, _by_hand),
    )
)
