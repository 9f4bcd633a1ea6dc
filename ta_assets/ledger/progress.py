"""Lines of progress of a run inside another: they stand in its own log, and in the log of the run around it.

Belongs here: who else is told. Stays out: what is said, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Log = Callable[[str], None]
_AROUND: ContextVar[Log | None] = ContextVar("log of the run around", default=None)


@contextmanager
def told_to(log: Log) -> Iterator[None]:
    """While this lasts, ``also_around`` tells ``log`` as well."""
    token = _AROUND.set(log)
    try:
        yield
    finally:
        _AROUND.reset(token)


def also_around(log: Log) -> Log:
    """A log that tells ``log`` and, where a run is inside another, that one's."""

    def tell(message: str) -> None:
        log(message)
        around = _AROUND.get()
        if around is not None:
            around(message)

    return tell
