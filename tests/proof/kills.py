"""Kill anywhere: releases that are killed and started again, over and over, against one that nobody disturbed.

Belongs here: when to kill, and what a kill may cost. Stays out: processes and what they leave (``releases``), what
happens inside (``planted``).

A chain begins with an empty folder; its release is killed, started again and killed again until it is left to end.
Then its artifacts and its verdict must be those of the undisturbed release, byte for byte and row for row.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.assets.conftest import TinyWorld
from tests.proof import releases
from tests.proof.releases import Attempt, Starter

PHASES = ("start", "data", "extraction", "fitting", "aggregation", "verdict")
PATTERN = (
    *("extraction", "fitting", "aggregation", "verdict", "start", "fitting", "extraction"),
    *("data", "aggregation", "fitting", "verdict", "extraction", "fitting", "aggregation"),
)
"""Phases of a chain's kills; a shorter chain takes the first of them."""
WRITES = ("open", "mkdir", "rename", "remove", "rmtree", "before fsync", "half written", "after fsync")
COMMITS = ("connect", "before commit", "after commit")
COMMANDS_OF_THEIR_OWN = 0.3
"""Share of kills by the clock that hit a command with an interpreter of its own, which takes seconds to start."""
IMPORT_SECONDS = 4.0
MEMORY_DISK = Path("/dev/shm")


@dataclass(frozen=True)
class Undisturbed:
    """A release that nobody killed."""

    results: dict[str, Any]
    seconds: Mapping[str, float]
    """Phase -> how long it took."""
    points: Mapping[str, Mapping[str, int]]
    """Phase -> point -> how often it was passed."""


@dataclass(frozen=True)
class Target:
    """Where a process is to die."""

    phase: str
    delay: float
    """Seconds after the phase began; where there is a point, after the next phase began without it being passed."""
    point: str | None = None
    number: int = 0
    """Which of the phase's points of that name, from 1."""
    warm: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """What tells the process."""
        return {"TA_PROOF_KILL": f"{self.phase}:{self.point}:{self.number}"} if self.point else {}


@dataclass
class Kill:
    """One attempt that was killed, and what the instance looked like then."""

    target: Target
    attempt: Attempt
    seconds: float
    """Since the process started."""
    started: bool
    """Whether it got as far as cleaning up after the one before."""
    runs: set[str]
    open_runs: set[str]
    slots: set[str]
    read: list[str]
    """Unfinished files of earlier kills that this attempt read."""
    faults: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def run(folder: Path, count: int = 200, seed: int = 0) -> dict[str, Any]:
    """Kill ``count`` times and judge each.

    Args:
        folder: scratch; the machine's memory disk is used instead where there is one.
        count: how many kills.
        seed: of where they hit; moments are seconds, so no two runs are the same.

    Returns:
        kills, kills_lost, and rows: part, name, chain, phase, point (or None for a random moment), seconds, command
        (own or forked), repeated, faults, outcome.

    Raises:
        RuntimeError: the undisturbed release is not OK, or releases end before they can be killed.
    """
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    with killable_world(folder) as (world, starter):
        expected = undisturbed(world, starter)
        for chain in range(3 * count):
            missing = count - len(rows)
            if not missing:
                break
            phases = sorted(PATTERN[:missing], key=PHASES.index)
            targets = [choose(phase, phases.count(phase), expected, rng) for phase in phases]
            kills = kill_chain(world, starter, expected, rng, targets)
            rows += [_row(kill, chain, len(rows) + index) for index, kill in enumerate(kills)]
    if len(rows) < count:
        raise RuntimeError(f"only {len(rows)} of {count} releases could be killed")
    return {"kills": len(rows), "kills_lost": sum(row["outcome"] != "kept" for row in rows), "rows": rows}


@contextlib.contextmanager
def killable_world(folder: Path, *, compute_logs: bool = True) -> Iterator[tuple[TinyWorld, Starter]]:
    """A world for kills, and what starts its releases.

    A memory disk shows the same as any other, since SIGKILL loses nothing that the kernel has; it spares the flushes.
    """
    parent = MEMORY_DISK if MEMORY_DISK.is_dir() else folder
    scratch = Path(tempfile.mkdtemp(prefix="kills-", dir=parent))
    world = releases.make_world(scratch / "world", compute_logs=compute_logs)
    starter = Starter(world)
    try:
        releases.require_access_times(scratch)
        yield world, starter
    finally:
        starter.close()
        shutil.rmtree(scratch)


def undisturbed(world: TinyWorld, starter: Starter) -> Undisturbed:
    """Release in an empty folder and measure.

    Raises:
        RuntimeError: it is not OK.
    """
    releases.empty(world)
    attempt = starter.start({"TA_PROOF_POINTS": "yes"})
    if attempt.wait() != 0:
        raise RuntimeError(f"the undisturbed release failed:\n{attempt.output.read_text(encoding='utf-8')[-2000:]}")
    points: dict[str, dict[str, int]] = {phase: {} for phase in PHASES}
    began = {"start": attempt.began}
    for event in attempt.events():
        if "point" in event:
            counts = points[event["phase"]]
            counts[event["point"]] = counts.get(event["point"], 0) + 1
        elif "phase" in event:
            began[event["phase"]] = event["at"]
    ends = [*(began[phase] for phase in PHASES[1:]), time.monotonic()]
    seconds = {phase: end - began[phase] for phase, end in zip(PHASES, ends, strict=True)}
    return Undisturbed(releases.results(world), seconds, points)


def kill_chain(
    world: TinyWorld, starter: Starter, expected: Undisturbed, rng: random.Random, targets: Iterable[Target]
) -> list[Kill]:
    """Kill a release at every target, in the order of their phases, then let it end, and judge every kill."""
    releases.empty(world)
    kills: list[Kill] = []
    for target in targets:
        with releases.unread(world.folder / "artifacts") as read:
            attempt = starter.start(target.environment, warm=target.warm)
            seconds = let_die(attempt, target, expected, rng)
            status = attempt.wait()
        if status == 0:  # nothing was left to kill
            break
        started = any("started" in event for event in attempt.events())
        known = set(releases.runs_of(world))
        state = (known, releases.open_runs(world), releases.slot_holders(world))
        kills.append(Kill(target, attempt, seconds, started, *state, read))
        if status > 0:
            kills[-1].faults.append(f"ended by itself with exit status {status}: {_last_words(attempt)}")
    judge(world, starter, expected, kills)
    return kills


def choose(phase: str, among: int, expected: Undisturbed, rng: random.Random) -> Target:
    """Half of the kills come at a random moment, the others inside a write to the disk or the instance."""
    seconds = expected.seconds[phase] * min(1.0, 1.5 / among)
    if rng.random() < 0.5:
        warm = rng.random() > COMMANDS_OF_THEIR_OWN
        return Target(phase, rng.uniform(0, seconds + (phase == "start" and not warm) * IMPORT_SECONDS), warm=warm)
    kinds = WRITES if rng.random() < 0.7 else COMMITS
    counts = expected.points[phase]
    point = rng.choice([kind for kind in kinds if kind in counts])
    return Target(phase, rng.uniform(0, seconds), point, rng.randint(1, max(1, counts[point] // among)))


def let_die(attempt: Attempt, target: Target, expected: Undisturbed, rng: random.Random) -> float:
    """Wait until the process dies at its point, or kill it when its moment has come.

    Returns:
        Seconds from its start to its death.
    """
    wanted = PHASES.index(target.phase) + (target.point is not None)
    due = None
    while not attempt.ended():
        if due is None and PHASES.index(attempt.phase) >= wanted:
            since = attempt.began if attempt.phase == "start" else time.monotonic()
            same = attempt.phase == target.phase
            due = since + (target.delay if same else rng.uniform(0, expected.seconds[attempt.phase] / 2))
        if due is not None and time.monotonic() >= due:
            attempt.kill()
        time.sleep(releases.POLL_SECONDS)
    return time.monotonic() - attempt.began


def judge(world: TinyWorld, starter: Starter, expected: Undisturbed, kills: list[Kill]) -> None:
    """Let the release end and write into every kill what it repeated and what is wrong with it."""
    with releases.unread(world.folder / "artifacts") as read:
        last = starter.start()
        last.wait()
    ends = [*((kill.attempt, kill.started, kill.open_runs, kill.slots, kill.read) for kill in kills[1:])]
    ends.append((last, True, releases.open_runs(world), releases.slot_holders(world), read))
    begun: set[str] = set()
    for index, kill in enumerate(kills):
        begun |= set(kill.attempt.begun())
        after, _, _, _, files = ends[index]
        kill.repeated = sorted(begun.intersection(after.begun()))
        if len(kill.repeated) > 1:
            kill.faults.append(f"{len(kill.repeated)} units of work were repeated")
        kill.faults += [f"unfinished file was read: {name}" for name in files]
        # the next attempt that got as far as cleaning up
        _, _, open_runs, slots, _ = next(end for end in ends[index:] if end[1])
        kill.faults += [f"run {run_id} was not closed" for run_id in sorted(kill.runs & open_runs)]
        kill.faults += [f"run {run_id} kept its slot" for run_id in sorted(kill.runs & slots)]
    fault = _difference(world, expected, last)
    for kill in kills:
        kill.faults += [fault] if fault else []


def _difference(world: TinyWorld, expected: Undisturbed, last: Attempt) -> str | None:
    if last.status != 0:
        return f"the last release ended with exit status {last.status}: {_last_words(last)}"
    found = releases.results(world)
    if found == expected.results:
        return None
    files, wanted = found["artifacts"], expected.results["artifacts"]
    odd = sorted(name for name in {*files, *wanted} if files.get(name) != wanted.get(name))
    rows = [row for row in found["verdict"] if row not in expected.results["verdict"]]
    return f"not what an undisturbed release gives: files {odd[:5]}, rows {rows[:5]}"


def _last_words(attempt: Attempt) -> str:
    return attempt.output.read_text(encoding="utf-8")[-500:] if attempt.output.exists() else ""


def _row(kill: Kill, chain: int, number: int) -> dict[str, Any]:
    return {
        "part": "kills",
        "name": f"kill {number + 1}",
        "chain": chain,
        "phase": kill.attempt.phase,
        "point": kill.target.point if kill.attempt.phase == kill.target.phase else None,
        "seconds": round(kill.seconds, 2),
        "command": "forked" if kill.target.warm else "own",
        "repeated": kill.repeated,
        "faults": kill.faults,
        "outcome": "lost" if kill.faults else "kept",
    }
