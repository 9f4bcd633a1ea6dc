"""Lines of progress while a corpus is read.

Belongs here: counting and wording. Stays out: what is read, and where the lines go.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ta_assets.core.values import Skip

Log = Callable[[str], None]


class Progress:
    """Says every few seconds how far the corpus is, and at the end what came of it."""

    def __init__(self, total: int | None, interval: float, log: Log) -> None:
        """Start the clock; ``total`` problems if their number is known, ``interval`` seconds between two lines."""
        self._total, self._interval, self._log = total, interval, log
        self._problems = self._tokens = self._skipped = 0
        self._start = self._last = time.monotonic()

    def before(self) -> None:
        """Log when the interval has passed; called before each problem, so that a slow one is announced."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        seconds = now - self._start
        text = f"problem {self._problems + 1}" + ("" if self._total is None else f" of {self._total}")
        text += f", {self._tokens / max(seconds, 1e-9):,.0f} tokens/s"
        if self._total is not None and self._problems:
            text += f", about {seconds / self._problems * (self._total - self._problems):.0f} s left"
        self._log(text)

    def skipped(self, skip: Skip) -> None:
        """Count one problem that was not extracted, and say why."""
        self._problems += 1
        self._skipped += 1
        self._log(f"problem {skip.problem_id}: skipped, {skip.kind}: {skip.reason}")

    def extracted(self, n_tokens: int) -> None:
        """Count one problem."""
        self._problems += 1
        self._tokens += n_tokens

    def finish(self) -> None:
        """Log the sum."""
        seconds = time.monotonic() - self._start
        counts = f"{self._problems - self._skipped} problems extracted, {self._skipped} skipped"
        self._log(f"{counts}, {self._tokens:,} tokens in {seconds:.1f} s")
