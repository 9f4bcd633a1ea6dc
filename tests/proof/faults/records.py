"""Faults of the records: rows of the event log that were edited, cells of other code or of other libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ta_assets.ledger import fingerprint
from tests.proof.faults import Fault
from tests.proof.faults.planting import make_wrong, replace, replaced
from tests.proof.world import CORPUS, World

CHECK = ("deferral_recomputes", "deferral_plan")


def _more_errors(value: dict[str, Any]) -> dict[str, Any]:
    value["plans"][0]["test"]["n_errors"] += 1
    return value


def _edit_log(world: World, *edits: tuple[str, str]) -> None:
    """Replace texts in what the event log holds of the last evaluation of a check in a cell."""
    import sqlalchemy
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table

    name, asset = CHECK
    storage: Any = world.instance.event_log_storage
    with storage.index_connection() as connection:
        chosen = sqlalchemy.and_(Table.c.check_name == name, Table.c.partition == CORPUS)
        newest = sqlalchemy.select(Table.c.id, Table.c.evaluation_event).where(chosen).order_by(Table.c.id.desc())
        place, event = connection.execute(newest).first()
        for old, new in edits:
            assert old in event, (asset, old, event)
            event = event.replace(old, new)
        wanted = {"evaluation_event": event, "execution_status": "SUCCEEDED" if "passed" in event else "FAILED"}
        connection.execute(Table.update().where(Table.c.id == place).values(**wanted))


def _after_a_verdict(*edits: tuple[str, str], is_wrong: bool) -> Callable[[World], None]:
    """A release gives its verdict; then the log is edited."""

    def plant(world: World) -> None:
        if is_wrong:
            make_wrong(world, "deferral_plan", CORPUS, _more_errors)
        world.release()
        _edit_log(world, *edits)

    return plant


FAILED, PASSED = ('"text": "failed"', '"status": "failed"'), ('"text": "passed"', '"status": "passed"')
"""As people and as the verdict read it."""
RED = tuple(zip(PASSED, FAILED, strict=True))
GREEN = (*zip(FAILED, PASSED, strict=True), ('"success": false', '"success": true'))


def _other_code(world: World) -> None:
    """Code was changed, and no version raised; the cell is not old by its own account."""
    with replaced(fingerprint, "code_sha256", lambda: "0" * 64):
        world.make("deferral_plan", CORPUS)


def _other_library(world: World) -> None:
    """A cell was made with another scikit-learn."""
    import sklearn

    with replaced(sklearn, "__version__", "0.1"):
        world.make("deferral_plan", CORPUS)


def _shadowed_library(_: World) -> None:
    """What is imported is not what is installed under the name."""
    replace(sys.modules["pandas"], "__version__", "0.1")


FAULTS = (
    *(
        Fault(name, "records_unedited", "release_verdict", plant)
        for name, plant in (
            ("a red row of the event log was edited to green", _after_a_verdict(*GREEN, is_wrong=True)),
            ("a green row of the event log was edited to red", _after_a_verdict(*RED, is_wrong=False)),
            (
                "the figure of a row of the event log was edited",
                _after_a_verdict(('"observed": 1', '"observed": 7'), is_wrong=True),
            ),
        )
    ),
    *(
        Fault(name, "made_by_this_code", "release_verdict", plant, status="warned")
        for name, plant in (
            ("a cell was made by code that is no more", _other_code),
            ("a cell was made with another scikit-learn", _other_library),
            ("another library is imported than is installed", _shadowed_library),
        )
    ),
)
