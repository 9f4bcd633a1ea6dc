"""A small healthy release to plant faults in: a part of the embedded study, made once, then one forked child a fault.

Belongs here: building the world, the child processes, making cells and releasing in them. Stays out: faults
(``faults``), what a caught fault is (``matrix``).

A child inherits the instance in its memory, so whatever it plants, in files, code or instance, ends with it.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import torch
import yaml
from threadpoolctl import threadpool_limits

from ta_assets.assets.verdicts import release_folder
from ta_assets.definitions import build_definitions
from ta_assets.jobs import runs
from ta_assets.jobs.release import VERDICT_ASSET
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.world import World as Sources
from ta_assets.studies.loading import SHIPPED, Studies, load_studies
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

NAME = "proof"
CORPUS, OTHER = f"{NAME}_correct", f"{NAME}_incorrect"
N_PROBLEMS = 14
"""Of each corpus: enough for every check to run and for those of signal to pass on right traces, where faults are
planted; a release of twice as many takes twice the time."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CHILD_SECONDS = 900.0
"""A whole release takes ten; this is for a machine that is busy with other things."""


@dataclass
class World:
    """A working directory with study, data, model and artifacts, and the instance that made them."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def study_file(self) -> Path:
        """The study's YAML."""
        return self.folder / "study.yaml"

    @cached_property
    def studies(self) -> Studies:
        """What the study file says when it is first asked for."""
        return load_studies(str(self.study_file))

    @cached_property
    def store(self) -> ArtifactStore:
        """Where the artifacts lie."""
        return ArtifactStore(base_dir=str(self.folder / "artifacts"))

    @cached_property
    def definitions(self) -> dg.Definitions:
        """The whole graph over this world."""
        resources = {"store": self.store, "rollouts": self.rollouts, "language_model": self.language_model}
        return build_definitions(self.studies, resources=resources)

    @cached_property
    def rollouts(self) -> RolloutsResource:
        """Reads this world's data."""
        return RolloutsResource()

    @cached_property
    def language_model(self) -> LanguageModelResource:
        """Opens this world's model."""
        return LanguageModelResource(device="cpu")

    @property
    def sources(self) -> Sources:
        """Evidence as it is now."""
        view = Ledger(self.instance, lambda: self.definitions)
        return Sources(self.studies, self.store, self.rollouts, self.language_model, view)

    def change_study(self, **sections: Any) -> None:
        """Replace or add sections of the study file; what was read of it before is forgotten."""
        content = yaml.safe_load(self.study_file.read_text(encoding="utf-8"))
        self.study_file.write_text(yaml.safe_dump({**content, **sections}, sort_keys=False), encoding="utf-8")
        self.forget()

    def forget(self) -> None:
        """Read study, data and model anew, as another process would."""
        for name in ("studies", "definitions", "rollouts", "language_model"):
            self.__dict__.pop(name, None)

    def problems(self, corpus: str) -> list[Path]:
        """Folders of a corpus' problems, by id."""
        root = self.data / self.studies.selected.source(corpus).prefix
        return sorted(root.iterdir(), key=lambda path: int(path.name.removeprefix("problem_")))

    @property
    def data(self) -> Path:
        """Root of the rollouts."""
        return self.folder / "data"

    @property
    def model(self) -> Path:
        """Folder of the language model."""
        return self.folder / "model"

    @property
    def readme(self) -> Path:
        """The file that holds the results."""
        return self.store.local_folder / NAME / "README.md"

    @property
    def verdict_file(self) -> Path:
        """``verdict.json`` of the last release."""
        return release_folder(NAME, self.store.local_folder) / "verdict.json"

    def make(self, asset: str, partition: str, config: dict[str, Any] | None = None) -> None:
        """Materialize one cell with its checks, whatever comes of it."""
        runs.make(self.definitions, self.instance, asset, partition, config)

    def release(self) -> dict[str, Any]:
        """Run the job ``release`` and read the verdict that it leaves behind.

        Raises:
            RuntimeError: it left none.
        """
        before = self.verdict_file.stat().st_mtime_ns if self.verdict_file.is_file() else None
        job = self.definitions.resolve_job_def("release")
        job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=QUIET)
        atexit.unregister(print)  # the table that a release prints when its process ends
        return self.verdict_since(before)

    def verdict_by_hand(self) -> dict[str, Any]:
        """Materialize nothing but the verdict, as from a button in the UI, and read it."""
        before = self.verdict_file.stat().st_mtime_ns if self.verdict_file.is_file() else None
        self.make(VERDICT_ASSET, NAME)
        return self.verdict_since(before)

    def verdict_since(self, before: int | None) -> dict[str, Any]:
        """The verdict on the disk when it was written since."""
        if not self.verdict_file.is_file() or self.verdict_file.stat().st_mtime_ns == before:
            raise RuntimeError("no verdict was written")
        return json.loads(self.verdict_file.read_text(encoding="utf-8"))


def build(folder: Path, instance: dg.DagsterInstance, n_problems: int = N_PROBLEMS) -> World:
    """Copy a part of the embedded study into a folder; nothing is computed yet.

    The problems with rollouts come first, then those with the smallest ids.
    """
    embedded = load_studies("embedded").selected
    shipped = yaml.safe_load((SHIPPED / "embedded.yaml").read_text(encoding="utf-8"))
    (model_name,) = embedded.models
    for corpus in embedded.corpora:
        source = embedded.source(corpus)
        root = Path(str(source.folder)) / source.prefix
        found = sorted(root.iterdir(), key=lambda path: (not (path / "chunk_0").is_dir(), int(path.name.split("_")[1])))
        for path in found[:n_problems]:
            shutil.copytree(path, folder / "data" / source.prefix / path.name)
    shutil.copytree(embedded.extraction_spec(embedded.corpora[0]).language_model, folder / "model")
    study = {
        **shipped,
        "name": NAME,
        "dataset": {**shipped["dataset"], "folder": "data"},
        "models": {NAME: {**shipped["models"][model_name], "language_model": "./model"}},
        "statistics": {"bootstrap": 100},
        "inference": {"permutations": 200, "ceiling_draws": 20},
        "settings": {
            f"{NAME}_{solutions}": {"model": NAME, "solutions": solutions} for solutions in ("correct", "incorrect")
        },
    }
    del study["readme"]
    world = World(folder, instance)
    world.study_file.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return world


def in_child(world: World, folder: Path, work: Callable[[World], dict[str, Any]]) -> dict[str, Any]:
    """Do something to a copy of a world in a forked process, and return what it gave.

    Args:
        world: stays as it is.
        folder: where the copy goes; removed afterwards.
        work: its result must be JSON-able.

    Raises:
        RuntimeError: the child raised, died or took too long; with its traceback.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        # the threads that the parent's libraries have started are not there, and who waits for them waits for ever
        torch.set_num_threads(1)
        threadpool_limits(1)
        try:
            shutil.copytree(world.folder, folder)
            os.chdir(folder)
            answer: dict[str, Any] = {"value": work(World(folder, world.instance))}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        sender.send(json.dumps(answer))

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        answer: dict[str, Any] = {"error": "took too long"}
        if receiver.poll(CHILD_SECONDS):
            answer = json.loads(receiver.recv())
    except EOFError:
        answer = {"error": "died without an answer"}
    finally:
        if not _ends(process):
            process.kill()
        process.join()
        receiver.close()
        shutil.rmtree(folder, ignore_errors=True)
    error = answer.get("error")
    if error is not None:
        raise RuntimeError(error)
    return answer["value"]


def say(line: str) -> None:
    """Print a line of progress at once, also into a file or a pipe."""
    print(line, flush=True)


def _ends(process: Any, seconds: float = 10.0) -> bool:
    """Whether a process ends by itself."""
    process.join(seconds)
    return not process.is_alive()
