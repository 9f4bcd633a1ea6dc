"""The sections of a study file that say where things lie and which problems are used.

Stays out: the sections that the science takes (``core/options.py``), how sections fit together (``study.py``), names
and paths (``fields.py``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ta_assets.core.option_values import Integer, Number, Seed
from ta_assets.core.options import Options
from ta_assets.core.traces.splits import MIN_PROBLEMS_TO_SPLIT
from ta_assets.studies.fields import FolderPath, InnerPath, ModelPlace, Name, Revision


class Dataset(Options):
    """Where the traces lie: ``repo_id`` on the Hub, or ``folder`` (relative to the study file) of the same layout."""

    repo_id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """A dataset on the Hub, as owner/name; exactly one of it and ``folder``."""
    folder: FolderPath | None = None
    """A folder, relative to the study file."""
    revision: Revision = "main"
    """Branch, tag or commit on the Hub."""
    temperature: InnerPath = "temperature_0.6_top_p_0.95"
    """Folder between that of the model and those of its problems."""

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        if (self.repo_id is None) == (self.folder is None):
            raise ValueError("must have exactly one of repo_id and folder")
        return self


class Model(Options):
    """A model's folder in the dataset, and the language model that reads its traces.

    ``language_model`` is a Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``.
    """

    folder: InnerPath | None = None
    """Its folder in the dataset, which a study with ``dataset`` must name; else the model's own name."""
    language_model: ModelPlace
    """What reads the traces: a Hub id, or a local folder."""
    revision: Revision = "main"
    """Branch, tag or commit of it on the Hub."""
    wrote_traces: bool = False
    """Whether it wrote the traces itself: then a check fails where they surprise it, which else only warns."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash that its weights must have, as ``cat *.safetensors | sha256sum`` gives it; any when absent."""


class Verification(Options):
    """Whether the labels of one problem are computed again from its rollouts, and how."""

    problem: Literal["none", "auto"] | Annotated[Integer, Field(ge=0)] = "none"
    """Which problem of each corpus; ``auto`` is the smallest id whose rollouts are on this machine."""
    similarity: Literal["embedding", "text"] = "embedding"
    """When a resampled sentence is another one: its cosine is below ``threshold``, or its text differs."""
    embedding_model: ModelPlace = "sentence-transformers/all-MiniLM-L6-v2"
    """A Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``."""
    threshold: Number = Field(default=0.8, gt=-1, le=1)
    """A cosine."""


class Setting(Options):
    """One corpus and a choice of its problems."""

    model: Name
    """One of ``models``."""
    solutions: Literal["correct", "incorrect", "correct_forced_answer", "incorrect_forced_answer"]
    """Traces that ended in a right answer, or in a wrong one; or their twins, whose rollouts were made to answer at
    once."""
    problems: Annotated[Integer, Field(ge=MIN_PROBLEMS_TO_SPLIT)] | None = None
    """How many problems, drawn with ``problems_seed``; all when absent."""
    problems_seed: Seed = 0
    """Of the draw of ``problems``."""
    shared_problems: bool = False
    """Use the problems that all settings of the study with this flag have, and so one split; they must agree in
    ``problems`` and ``problems_seed``."""

    @property
    def corpus(self) -> str:
        """Name of the corpus whose traces it uses."""
        return f"{self.model}_{self.solutions}"

    @property
    def solutions_folder(self) -> str:
        """Its folder in the dataset, such as ``correct_base_solution_forced_answer``."""
        kind, _, twin = self.solutions.partition("_")
        return f"{kind}_base_solution" + (f"_{twin}" if twin else "")
