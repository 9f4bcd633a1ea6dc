"""One malformed input: what is done, what the answer must name, and whether it does.

Belongs here: the record, the bench on which a fault is planted, the judgement. Stays out: the faults themselves
(``bad_studies``, ``bad_data``, ``bad_models``, ``bad_artifacts``, ``bad_commands``).
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import CorpusSource, PooledProblem, Skip
from ta_checks.rules.vectors.zero_skipped_problems import zero_skipped_problems
from ta_resources.hub_client import HubFailedError
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from tests.assets.conftest import ROOT, write_problem

PREFIX = "tiny/temperature_0.6_top_p_0.95/correct_base_solution"
N_PROBLEMS = 3
SECONDS, COMMAND_SECONDS = 20, 150
"""An input that is not judged by then hangs, for all that anybody can tell; a release takes its time."""
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Refused:
    """An answer that is no exception: what a command printed when it failed, or what a red check says."""

    text: str


@dataclass(frozen=True)
class BadInput:
    """One malformed input.

    The four texts must occur in the answer. ``value`` is empty where there is none to show, as for an argument that
    was left out.
    """

    kind: str
    name: str
    act: Callable[[Bench], object]
    """Plants the fault and calls the real entry point; returns ``Refused``, raises, or (wrongly) succeeds."""
    file: str
    field: str
    value: str
    expected: str
    command: bool = False
    """Runs a process of its own, so only ``make prove`` does it."""


@dataclass
class Bench:
    """An empty folder of a case's own, in which healthy things are made on demand."""

    folder: Path
    model: Path
    """A healthy model folder; never changed."""
    corpus: Path
    """A healthy dataset folder; never changed."""
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def write(self, name: str, content: object) -> Path:
        """A file of bytes, text, or else JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def study(self, **sections: Any) -> Path:
        """A healthy study file but for these sections; a section that is None is left out."""
        content = {**copy.deepcopy(STUDY), **sections}
        return self.write(
            "study.yaml", yaml.safe_dump({key: value for key, value in content.items() if value is not OMIT})
        )

    def data(self) -> Path:
        """A healthy dataset folder that may be changed."""
        if not (self.folder / "data").exists():
            shutil.copytree(self.corpus, self.folder / "data")
        return self.folder / "data"

    @property
    def source(self) -> CorpusSource:
        """The corpus of ``data``."""
        return CorpusSource(PREFIX, folder=str(self.data()))

    def problem_file(self, name: str, problem_id: int = 1) -> Path:
        """A file of a problem of ``data``."""
        return self.data() / PREFIX / f"problem_{problem_id}" / name

    def model_folder(self) -> Path:
        """A healthy model folder that may be changed."""
        if not (self.folder / "model").exists():
            shutil.copytree(self.model, self.folder / "model")
        return self.folder / "model"

    def spec(self, **options: Any) -> ExtractionSpec:
        """An extraction with ``model_folder``."""
        return ExtractionSpec(language_model=str(self.model_folder()), **options)

    def extract(self, text: str, sentences: Sequence[str], **options: Any) -> PooledProblem | Refused:
        """One problem through the real extractor; a recorded skip goes to its check, which must be red."""
        with LanguageModelResource(device="cpu").open(self.spec(**options)) as extractor:
            (result,) = extractor.extract([(1, text, sentences)], log=lambda _: None)
        if isinstance(result, Skip):
            verdict = zero_skipped_problems([result], 1)
            assert verdict.status == "failed"
            return Refused(f"{verdict.message}; {'; '.join(verdict.offenders)}")
        assert isinstance(result, PooledProblem)
        return result

    @property
    def rollouts(self) -> RolloutsResource:
        """A new resource, as a new process would have it."""
        return RolloutsResource(download_dir=str(self.folder / "downloads"), attempts=1, timeout=5.0)

    @property
    def store(self) -> ArtifactStore:
        """The case's own store of artifacts."""
        return ArtifactStore(base_dir=str(self.folder / "artifacts"))

    def run(self, *command: str, **environment: str) -> Refused | None:
        """A command of the project in a process of its own; None when it succeeded."""
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(ROOT / name, self.folder / name)
        executable, *rest = command
        program = [str(Path(sys.executable).with_name(executable))] if executable == "dagster" else [sys.executable]
        done = subprocess.run(
            [*program, *rest],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_MODULE_NAME": "ta_assets.definitions", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Refused(done.stdout + done.stderr) if done.returncode else None


OMIT = object()
STUDY: Mapping[str, Any] = {
    "name": "mine",
    "dataset": {"folder": "data"},
    "models": {"small": {"folder": "tiny", "language_model": "./model"}},
    "settings": {"small_correct": {"model": "small", "solutions": "correct"}},
}


def write_corpus(folder: Path) -> None:
    """A healthy dataset folder of three problems."""
    rng = random.Random(0)
    for problem_id in range(1, N_PROBLEMS + 1):
        write_problem(folder / PREFIX / f"problem_{problem_id}", rng)


def command_line(main: Callable[[list[str]], object], *arguments: object) -> Refused | None:
    """A command's own function; None when it succeeded."""
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    return Refused(errors.getvalue()) if code else None


def judged(case: BadInput, bench: Bench) -> dict[str, Any]:
    """Do it, and say whether the answer is clear: an error of ours, or a recorded one, that names all four.

    What a command prints is unclear with a traceback of Python in it, whatever else it says.

    Returns:
        A row with part, name, kind, outcome (``clear`` or why it is not), answer.
    """
    refused, answer = False, ""
    try:
        with time_limit(COMMAND_SECONDS if case.command else SECONDS):
            result = case.act(bench)
        refused = isinstance(result, Refused)
        answer = result.text if isinstance(result, Refused) else f"accepted: {type(result).__name__}"
    except (InputError, HubFailedError) as error:
        refused, answer = True, str(error)
    except TimeoutError as error:
        answer = f"hangs: {error}"
    except Exception as error:
        answer = f"{type(error).__module__}.{type(error).__name__}: {error}"
    wanted = {"file": case.file, "field": case.field, "value": case.value, "expectation": case.expected}
    traceback = case.command and TRACEBACK in answer
    # the output of a process holds much; an error of ours is one line of it
    pieces = answer.splitlines() if case.command else [" ".join(answer.split())]
    absent = min(
        ([what for what, text in wanted.items() if text not in piece] for piece in pieces), key=len, default=[*wanted]
    )
    answer = next((piece for piece in pieces if all(text in piece for text in wanted.values())), answer)
    outcome = "clear" if refused and not absent else "does not name " + ", ".join(absent) if refused else "leaks"
    if outcome == "clear" and traceback:
        outcome = "prints a traceback"
    return {
        "part": "bad_inputs",
        "kind": case.kind,
        "name": case.name,
        "outcome": outcome,
        "answer": _without_chance(" ".join(answer.split()), bench)[-600:],
    }


def _without_chance(answer: str, bench: Bench) -> str:
    """Folders, and ports of servers that a case started, are others each time."""
    answer = answer.replace(str(bench.folder), "…").replace(str(ROOT), "…")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>", answer)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in whatever runs too long; only where signals arrive, which is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
