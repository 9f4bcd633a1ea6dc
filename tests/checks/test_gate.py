"""What a cell must have before anything is built on it."""

from __future__ import annotations

from typing import Any

import pytest

from ta_assets.ledger.ledger import CheckState, Materialization
from ta_checks import gate
from ta_checks.table import invariants_of

ASSET, CELL = "splits", "llama_correct"


class Known:
    """What an instance knows of one cell: every check in one state, but one."""

    def __init__(self, odd: str = "", state: CheckState | None = None, *, made: bool = True) -> None:
        self.odd, self.state, self.made = odd, state, made

    def materialization(self, asset: str, partition: str) -> Materialization | None:
        """Of the cell."""
        return Materialization(1, "run", 0.0, {}, None) if self.made else None

    def check(self, asset: str, name: str, partition: str) -> CheckState | None:
        """Of a check."""
        return self.state if name == self.odd else evaluated()


def evaluated(*, finished: bool = True, is_current: bool = True, passed: bool = True) -> CheckState:
    return CheckState(finished, is_current, passed, {}, "run")


def closed(*given: Any, **named: Any) -> str | None:
    return gate.closed(Known(*given, **named), ASSET, CELL)


BLOCKING = [one.name for one in invariants_of(ASSET) if one.blocking]


def test_a_cell_whose_blocking_checks_passed_is_open() -> None:
    assert BLOCKING
    assert closed() is None


def test_a_cell_that_was_not_made_is_closed() -> None:
    assert closed(made=False) == f"{ASSET}[{CELL}] was not made"


@pytest.mark.parametrize("name", BLOCKING)
@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "was not evaluated"),
        (evaluated(finished=False), "was not evaluated"),
        (evaluated(is_current=False), "was not evaluated since the cell was made again"),
        (evaluated(passed=False), "did not pass"),
    ],
)
def test_every_blocking_check_must_have_passed_on_the_cell_as_it_is(
    name: str, state: CheckState | None, said: str
) -> None:
    assert closed(name, state) == f"{name} of {ASSET}[{CELL}] {said}"
