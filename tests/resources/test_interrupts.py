"""Requests to stop are noticed whoever handles them, and heeded where a shell had them ignored."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ta_resources.interrupts import STOPPING, heed, noticed


@pytest.fixture(params=sorted(STOPPING), ids=lambda one: one.name)
def handled(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that somebody else takes and forgets."""
    before = signal.signal(request.param, lambda *_: None)
    yield request.param
    signal.signal(request.param, before)


def test_a_request_is_noticed_though_another_handler_takes_it(handled: signal.Signals) -> None:
    with noticed() as stopped:
        assert not stopped()
        os.kill(os.getpid(), handled)
        assert stopped()
        assert stopped(), "it is not forgotten"


def test_whoever_waits_outside_notices_what_came_inside(handled: signal.Signals) -> None:
    with noticed() as outside:
        with noticed():
            os.kill(os.getpid(), handled)
        assert outside()
        with noticed() as later:
            assert not later()


def test_another_signal_is_no_request() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    with noticed() as stopped:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not stopped()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("ignored", [True, False])
def test_a_process_in_the_background_of_a_shell_can_be_ended_and_others_keep_their_handlers(ignored: bool) -> None:
    def own(*_: object) -> None:
        """A handler that somebody chose."""

    chosen = signal.SIG_IGN if ignored else own
    before = {one: signal.signal(one, chosen) for one in STOPPING}
    try:
        heed()
        found = {signal.getsignal(one) for one in STOPPING}
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert found == ({signal.default_int_handler} if ignored else {own})
