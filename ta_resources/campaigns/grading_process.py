"""Grading in a process of its own, which is stopped when it takes too long: an answer may be a formula without end.

``python -m ta_resources.campaigns.grading_process GRADER SECONDS`` reads one JSON list of answer and gold answer a line
and writes one verdict a line: true, false, or null for an answer that the grader cannot read. Its time is that of the
processor, so that a verdict does not depend on what else a machine does. Belongs here: the process and its time. Stays
out: graders (``core.campaign.grading``).
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from ta_assets.core.campaign.grading import GRADERS, AnswerRule, grader
from ta_assets.core.errors import InputError

START_SECONDS = 120.0
"""For the process to have imported its grader, on a machine that is busy."""
PATIENCE = 12
"""Times the processor's seconds that are waited for by the clock: for a grader that sleeps, or a busy machine."""
MEMORY = 4 * 2**30
"""Bytes of address space that a grader may take."""


class GradingProcess:
    """One grader in one process, started when it is first needed."""

    def __init__(self, name: str, seconds: float) -> None:
        """Hold the settings.

        Args:
            name: as ``grading.grader`` takes it.
            seconds: of the processor, for one answer.
        """
        self._name, self._seconds = name, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._left = b""

    def verdict(self, answer: str, gold: str) -> bool | None:
        """Whether the grader calls two answers the same; None where it cannot read one, or does not return in time.

        Where a process dies or stalls, another one is asked: it may have been no fault of the answer, and a verdict
        must not depend on what else the machine is at.

        Raises:
            InputError: the grader cannot be started.
        """
        line = self._asked(answer, gold) or self._asked(answer, gold)
        return None if line is None else json.loads(line)

    def _asked(self, answer: str, gold: str) -> bytes | None:
        """What the process says; None, and no process, where it hangs or has died."""
        process = self._started()
        assert process.stdin is not None
        line = None
        with suppress(OSError):
            process.stdin.write(json.dumps([answer, gold]).encode() + b"\n")
            process.stdin.flush()
            line = self._line(PATIENCE * self._seconds)
        if line is None:
            self.close()
        return line

    def close(self) -> None:
        """Stop the process."""
        process, self._process, self._left = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def __enter__(self) -> GradingProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ta_resources.campaigns.grading_process", self._name, str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        ready = self._line(START_SECONDS)
        if ready != b'"ready"':
            self.close()
            raise InputError("grader", "grader", self._name, "a grader that can be started; its error is above")
        return self._process

    def _line(self, seconds: float) -> bytes | None:
        """The next line of the process without its end; None when there is none in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, until = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._left:
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            read = os.read(descriptor, 65536)
            if not read:
                return None
            self._left += read
        line, _, self._left = self._left.partition(b"\n")
        return line


class Graders:
    """Both graders of a rule; every pair of answer and gold answer is judged once."""

    def __init__(self, rule: AnswerRule) -> None:
        """Hold the rule; processes are started when they are needed."""
        self.rule = rule
        self._known: dict[tuple[str, str, str], bool | None] = {}
        self._processes: dict[str, GradingProcess] = {}

    def both(self, answer: str, gold: str) -> tuple[bool | None, bool | None]:
        """What the first grader says, and the second; None where one cannot judge, or where there is no second."""
        second = None if self.rule.second is None else self._one(self.rule.second, answer, gold)
        return self._one(self.rule.grader, answer, gold), second

    def verdicts(self, answers: Iterable[str], gold: str) -> dict[str, bool | None]:
        """Answer -> the first grader's verdict, where it has none the second's, and None where neither has one."""
        found = {}
        for answer in {*answers} - {""}:
            first, second = self.both(answer, gold)
            found[answer] = second if first is None else first
        return found

    def require(self, gold: str, source: str) -> None:
        """Refuse a gold answer that the first grader does not even find equal to itself.

        Raises:
            InputError: that, or an empty one.
        """
        if not gold.strip() or self._one(self.rule.grader, gold, gold) is not True:
            raise InputError(source, "answer", gold, f"an answer that the grader {self.rule.grader} can read")

    def close(self) -> None:
        """Stop all processes."""
        for process in self._processes.values():
            process.close()

    def __enter__(self) -> Graders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one(self, name: str, answer: str, gold: str) -> bool | None:
        key = (name, answer, gold)
        if key not in self._known:
            self._known[key] = self._asked(name, answer, gold)
        return self._known[key]

    def _asked(self, name: str, answer: str, gold: str) -> bool | None:
        if name in GRADERS:
            try:
                return GRADERS[name](answer, gold)
            except ValueError:
                return None
        process = self._processes.setdefault(name, GradingProcess(name, self.rule.seconds))
        return process.verdict(answer, gold)


def main(name: str, seconds: float) -> None:
    """Judge what comes in until it ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a grader prints is no verdict
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.WARNING)  # a line for each answer that a library cannot read
    judge = grader(name)
    try:
        judge("1", "1")  # what a library only loads when it is used is no answer's fault
    except ImportError:
        raise  # without its library a grader would call every answer unreadable
    except Exception:
        pass  # of a user's own function, which need not know this answer
    print('"ready"', file=out, flush=True)
    for line in sys.stdin:
        answer, gold = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, whatever it is at
        try:
            verdict: bool | None = bool(judge(answer, gold))
        except Exception:  # whatever a grader raises, it has not judged
            verdict = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(verdict), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
