"""The rule on looks: honest ones pass, forgotten ones and spent errors are found; what the event log tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from ta_assets.core.statistics.looks import Looked
from ta_assets.ledger.ledger import Materialization
from ta_assets.ledger.looks import LOOKED_AT, earlier_looks
from ta_checks.rules.claims.looks_counted import looks_counted

FIRST, SECOND = range(12), range(20)


def judged(looked: Looked, own: range, recorded: list[range], **changed: Any) -> Any:
    sizes = [len(one) for one in (*looked.earlier, own)]
    levels = looked.levels(own)
    given = {
        "looks": [{"problems": n, "level": level} for n, level in zip(sizes, levels, strict=True)],
        "level": levels[-1],
        "settings": looked.settings,
        "own": list(own),
        "recorded": [list(one) for one in recorded],
        "of_study": looked.settings,
    }
    return looks_counted(**{**given, **changed})


@pytest.mark.parametrize("settings", [1, 2, 6])
def test_counted_looks_pass_however_often_the_same_problems_were_looked_at(settings: int) -> None:
    first, second = Looked(settings), Looked(settings, (frozenset(FIRST),))
    assert judged(first, FIRST, [FIRST, FIRST]).passed
    assert judged(second, SECOND, [FIRST, FIRST, SECOND, FIRST, SECOND]).passed
    assert judged(first, FIRST, [FIRST, SECOND, FIRST]).passed
    assert judged(Looked(settings, (frozenset(FIRST),)), range(8, 20), [FIRST, range(8, 20)]).passed


def test_a_forgotten_look_is_found() -> None:
    verdict = judged(Looked(), SECOND, [FIRST, SECOND])
    assert verdict.status == "failed"
    assert verdict.offenders == ("looks are of [20] problems, the event log has [12, 20]",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"of_study": 6}, "1 settings are counted, the study has 6"),
        ({"level": 0.05}, "the level is 0.05, the last look has"),
        (
            {"looks": [{"problems": 12, "level": 0.04}, {"problems": 20, "level": 0.05}], "level": 0.05},
            "noise passes at some look",
        ),
    ],
)
def test_a_level_that_errs_too_often_is_found(changed: dict[str, Any], said: str) -> None:
    verdict = judged(Looked(earlier=(frozenset(FIRST),)), SECOND, [FIRST, SECOND], **changed)
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders)


def made(problems: range | None) -> Materialization:
    facts = {} if problems is None else {LOOKED_AT: list(problems)}
    return Materialization(1, "run", 0.0, facts, None)


def test_looks_come_out_of_the_event_log_once_a_set_and_in_order() -> None:
    log = [made(one) for one in (None, FIRST, FIRST, range(5), SECOND, FIRST)][::-1]
    assert earlier_looks(log, range(30)) == (frozenset(FIRST), frozenset(range(5)), frozenset(SECOND))
    assert earlier_looks(log, SECOND) == (frozenset(FIRST), frozenset(range(5)))
    assert earlier_looks(log, FIRST) == ()
    assert earlier_looks([], FIRST) == ()
