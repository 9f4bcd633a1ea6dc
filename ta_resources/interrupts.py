"""Requests to stop: SIGINT and SIGTERM, as Ctrl-C, a supervisor and the button Terminate send them.

Belongs here: noticing them, and that processes heed them at all. Stays out: what a run does about it
(``ta_assets.jobs.runs``, ``ta_assets.ledger.world``).
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dagster._utils.interrupts import capture_interrupts

at_checkpoints = capture_interrupts
"""Context in which Dagster raises an interrupt where it runs our code and nowhere else, as within a run of its own: one
that comes while a run is entered into a database must not leave half of it there."""
STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})
_MANY = 4096


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """A call that says whether a request to stop has come since.

    It sees also what nobody else does any more: Dagster notes a signal while it keeps its books and forgets it at the
    end of a run, which may be a run inside another. So it is Python's wake-up descriptor that is read here; whatever
    handler is in place, the signal's number is written there first. Python allows that on the main thread only, where
    signals are handled; elsewhere none is noticed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        seen = bytearray()

        def came() -> bool:
            with suppress(BlockingIOError):
                seen.extend(receiver.recv(_MANY))
            return not STOPPING.isdisjoint(seen)

        outer = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield came
        finally:
            signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
            if came() and outer != -1:  # it was meant for whoever waits outside as well
                os.write(outer, bytes(seen))


def heed() -> None:
    """Let SIGINT and SIGTERM end this process if both are ignored.

    A shell without job control starts what it puts into the background with SIGINT ignored, and Dagster's commands
    give SIGTERM the handler of SIGINT: such a ``dagster dev &`` could be killed only, and its children never.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
