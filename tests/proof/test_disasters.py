"""Full and read-only disks, clocks that jump, memory that runs out: a clear error, nothing lost, and it goes on after.

The disks are real ones, mounted for the test; the clock is off for Python and Dagster only.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ta_resources.storage.atomic import UNFINISHED
from tests.proof import releases
from tests.proof.conftest import Halfway, Killable
from tests.proof.releases import Attempt

ROOM = 48 * 1024
TEN_YEARS = 10 * 365 * 24 * 3600


def mount(*arguments: str) -> None:
    """Mount, or skip where that is not allowed."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@contextlib.contextmanager
def small_disk(folder: Path, fill: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """A disk of its own in place of a folder, filled but for ``ROOM``; gives a call that makes it large."""
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder))
    try:
        fill()
        found = os.statvfs(folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        mount("-o", f"remount,size={used + ROOM}", str(folder))
        yield lambda: mount("-o", "remount,size=64m", str(folder))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that even root may not write."""
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def files(folder: Path) -> dict[str, bytes]:
    """Content of every finished file."""
    found = (path for path in folder.rglob("*") if path.is_file() and UNFINISHED not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def fails(killable: Killable, *words: str, **environment: str) -> Attempt:
    """A release that fails and says so in these words."""
    attempt = killable.starter.start(environment)
    assert attempt.wait() == 1
    output = attempt.output.read_text(encoding="utf-8")
    for word in words:
        assert word in output
    return attempt


@pytest.mark.prove
@pytest.mark.parametrize(
    ("name", "full"),
    [("artifacts", ("No space left on device", "free some")), (".dagster", ("full", "that has room"))],
)
def test_a_disk_that_is_full_or_read_only_is_named_and_the_release_goes_on_when_it_can_write(
    halfway: Halfway, name: str, full: tuple[str, str]
) -> None:
    killable = halfway.killable
    folder, artifacts = killable.world.folder / name, killable.world.folder / "artifacts"
    before = files(halfway.copy / "artifacts")
    with small_disk(folder, lambda: halfway.restore(name)) as make_room:
        fails(killable, "InputError", str(folder), *full, "is kept")
        assert before.items() <= files(artifacts).items(), "nothing stored is lost"
        make_room()
        with read_only(folder):
            fails(killable, "InputError", str(folder), "Read-only file system", "may be written", "is kept")
        assert before.items() <= files(artifacts).items()
        killable.finish([halfway.first])


@pytest.mark.prove
def test_a_clock_that_jumps_back_and_forth_decides_nothing(halfway: Halfway) -> None:
    world, starter = halfway.killable.world, halfway.killable.starter
    back = starter.start({"TA_PROOF_CLOCK": str(-TEN_YEARS), "TA_PROOF_KILL": "aggregation:rename:2"})
    assert back.wait() < 0
    rng = random.Random(0)
    for path in [*(world.folder / "artifacts").rglob("*"), *(world.folder / "data").rglob("*.json")]:
        moment = path.stat().st_mtime + rng.uniform(-TEN_YEARS, TEN_YEARS)
        os.utime(path, (moment, moment))
    ahead = starter.start({"TA_PROOF_CLOCK": str(TEN_YEARS), "TA_PROOF_KILL": "aggregation:rename:4"})
    assert ahead.wait() < 0
    assert len(set(halfway.first.begun()) & set(back.begun())) <= 1
    assert len(set(back.begun()) & set(ahead.begun())) <= 1
    halfway.killable.finish([halfway.first, back, ahead])


@pytest.mark.prove
def test_what_does_not_fit_into_memory_is_named_and_tried_again_by_the_next_release(killable: Killable) -> None:
    releases.empty(killable.world)
    fails(killable, "InputError", "memory", "can't allocate", "start the command again", TA_PROOF_ALLOCATION="load")
    fails(killable, "zero_skipped_problems", "1 of 6 problems were skipped", TA_PROOF_ALLOCATION="3")
    last = killable.finish([])
    assert [unit for unit in last.begun() if unit.startswith("problem ")] == [
        "problem 3 of tiny/temperature_0.6_top_p_0.95/correct_base_solution"
    ]


@pytest.mark.prove
def test_a_process_that_its_allocator_ends_says_so_and_costs_no_more_than_a_kill(halfway: Halfway) -> None:
    attempt = halfway.killable.starter.start({"TA_PROOF_MEMORY": "fitting:1000000"})
    assert attempt.wait() not in {0, -9}
    assert attempt.phase == "fitting"
    assert re.search(r"error: .*[Mm]emory", attempt.output.read_text(encoding="utf-8"))
    halfway.killable.finish([halfway.first, attempt])
