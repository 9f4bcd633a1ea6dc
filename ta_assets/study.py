"""The shape of a study file: its sections, their defaults and bounds, and what a corpus of it resolves to.

Stays out: reading files and holding several studies (``studies.py``), partitions (``partitions.py``).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from ta_assets import sweep_plan
from ta_assets.core.values import DEFAULT_LABEL_FIELD, CorpusSource, ExtractionSpec, LabelRule, ProbeOptions, SplitRule

SEEDS = 5
"""Every study has the same number of seeds: the grid of setting x seed then has no cell that can never be filled."""
MIN_PROBLEMS = 3
"""One problem each to train, choose and test on."""
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
"""Names become partition keys, folders and table cells: no separators, no dots, no markup."""

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or not parts.parts:
        raise ValueError("must be a relative path inside the dataset, without '..'")
    return path


def _strictly_integer(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a yes or no")
    return value


InnerPath = Annotated[str, AfterValidator(_inside)]
Integer = Annotated[int, BeforeValidator(_strictly_integer)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Dataset(_Section):
    """Where the traces lie: ``repo_id`` on the Hub, or ``folder`` (relative to the study file) of the same layout."""

    repo_id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    folder: str | None = None
    revision: str = "main"
    temperature: InnerPath = "temperature_0.6_top_p_0.95"

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        if (self.repo_id is None) == (self.folder is None):
            raise ValueError("must have exactly one of repo_id and folder")
        return self


class Model(_Section):
    """A model's folder in the dataset, and the language model that reads its traces.

    ``language_model`` is a Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``.
    """

    folder: InnerPath
    language_model: str
    revision: str = "main"


class Labels(_Section):
    """How sentences become labels, see ``LabelRule``; and which label is the target, see ``core.targets``."""

    field: str = DEFAULT_LABEL_FIELD
    anchor_percentile: float = Field(default=90.0, gt=0, lt=100)
    drop_last_chunk: bool = True
    missing: Literal["error", "zero"] = "error"
    target: Literal["anchor_binary", "importance_abs", "importance_signed"] = "anchor_binary"


class Splits(_Section):
    """Fractions of problems; they sum to 1."""

    train: float = Field(default=0.7, gt=0, lt=1)
    val: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    seed: Integer = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Splits:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, val and test must sum to 1, not {total:g}")
        return self


class Extraction(_Section):
    """Which activations are taken; see ``ExtractionSpec``."""

    layer: Literal["mid"] | Annotated[Integer, Field(ge=0)] = "mid"
    pooling: Literal["mean"] = "mean"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    storage_dtype: Literal["float16", "float32"] = "float16"


class Probes(_Section):
    """Knobs of the probes and of their tables; see ``ProbeOptions``."""

    mlp_hidden: Integer = Field(default=100, ge=1)
    mlp_max_iter: Integer = Field(default=300, ge=1)
    k_values: tuple[Annotated[Integer, Field(ge=1)], ...] = Field(default=(5, 10), min_length=1)
    position_bins: Integer = Field(default=5, ge=0)
    best_of_k: Integer = Field(default=1, ge=1, le=SEEDS)
    residualize_against: Literal["none", "position", "position_plus_text"] = "none"


class Statistics(_Section):
    """Sizes of the resampling."""

    bootstrap: Integer = Field(default=2000, ge=100)
    permutations: Integer = Field(default=200, ge=200)


class Deferral(_Section):
    """Which sentences a probe decides and which it leaves to a person; see ``core.deferral``."""

    probe: Name = "linear_probe"
    objective: Literal["budget", "error"] = "budget"
    budget: float = Field(default=0.2, ge=0, le=1)
    """Largest share of sentences to defer, where the objective is ``budget``."""
    error: float = Field(default=0.1, ge=0, le=1)
    """Largest share of errors among the decided sentences, where the objective is ``error``."""
    quantiles: Integer = Field(default=101, ge=2, le=1001)
    group: Literal["none", "function_tag", "position_third"] = "none"
    """Thresholds of their own for sentences with the same first function tag, or in the same third of their trace."""


class Setting(_Section):
    """One corpus and a choice of its problems."""

    model: Name
    solutions: Literal["correct", "incorrect"]
    problems: Annotated[Integer, Field(ge=MIN_PROBLEMS)] | None = None
    """How many problems, drawn with ``problems_seed``; all when absent."""
    problems_seed: Integer = Field(default=0, ge=0)
    shared_problems: bool = False
    """Use the problems that all settings of the study with this flag have."""

    @property
    def corpus(self) -> str:
        """Name of the corpus whose traces it uses."""
        return f"{self.model}_{self.solutions}"


class Study(_Section):
    """A validated study."""

    name: Name
    dataset: Dataset
    models: dict[Name, Model] = Field(min_length=1)
    labels: Labels = Labels()
    splits: Splits = Splits()
    extraction: Extraction = Extraction()
    probes: Probes = Probes()
    statistics: Statistics = Statistics()
    deferral: Deferral = Deferral()
    sweep: dict[str, Annotated[list[bool | int | float | str], Field(min_length=1)]] | None = None
    """Factor -> values: every combination is scored by the job ``sweep``; see ``sweep_plan``."""
    seeds: Literal[5] = SEEDS
    settings: dict[Name, Setting] = Field(min_length=1)
    readme: InnerPath | None = None
    """Markdown file below the current directory whose marked block holds the results; by default the study's own file
    among the artifacts."""
    _path: Path = PrivateAttr(default=Path("study"))

    @classmethod
    def parse(cls, content: object, path: Path) -> Study:
        """Validate the content of a study file; raises pydantic's ``ValidationError``."""
        study = cls.model_validate(content)
        study._path = path.resolve()
        return study

    @property
    def path(self) -> Path:
        """The file it was read from, against whose folder its paths are resolved."""
        return self._path

    @model_validator(mode="after")
    def _known_models(self) -> Study:
        unknown = [
            f"settings.{name}.model: {s.model!r}" for name, s in self.settings.items() if s.model not in self.models
        ]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: must be one of models ({', '.join(self.models)})")
        return self

    @model_validator(mode="after")
    def _known_deferral_probe(self) -> Study:
        models = self.probe_options.models
        if self.deferral.probe not in models:
            raise ValueError(f"deferral.probe: {self.deferral.probe!r}: must be one of {', '.join(models)}")
        return self

    @model_validator(mode="after")
    def _sweepable(self) -> Study:
        found = sweep_plan.faults(self)
        if found:
            raise ValueError("; ".join(found))
        return self

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of its corpora, in the order of its settings, each once."""
        return tuple(dict.fromkeys(setting.corpus for setting in self.settings.values()))

    def settings_of(self, corpus: str) -> tuple[str, ...]:
        """Names of the settings that use a corpus."""
        return tuple(name for name, setting in self.settings.items() if setting.corpus == corpus)

    def source(self, corpus: str) -> CorpusSource:
        """Where the traces of a corpus lie."""
        model, _, solutions = corpus.rpartition("_")
        prefix = f"{self.models[model].folder}/{self.dataset.temperature}/{solutions}_base_solution"
        folder = None if self.dataset.folder is None else str(self._resolve(self.dataset.folder))
        return CorpusSource(prefix, repo_id=self.dataset.repo_id, folder=folder, revision=self.dataset.revision)

    def extraction_spec(self, corpus: str) -> ExtractionSpec:
        """What decides the activations of a corpus."""
        model = self.models[corpus.rpartition("_")[0]]
        where = model.language_model
        local = where.startswith((".", "/", "~"))
        return ExtractionSpec(
            language_model=str(self._resolve(where)) if local else where,
            revision=model.revision,
            **self.extraction.model_dump(),
        )

    @property
    def label_rule(self) -> LabelRule:
        """The study's labels as the science takes them."""
        return LabelRule(**self.labels.model_dump(exclude={"target"}))

    @property
    def split_rule(self) -> SplitRule:
        """The study's split as the science takes it."""
        return SplitRule(**self.splits.model_dump())

    @property
    def probe_options(self) -> ProbeOptions:
        """The study's probes as the science takes them."""
        return ProbeOptions(
            bootstrap=self.statistics.bootstrap,
            target=self.labels.target,
            anchor_percentile=self.labels.anchor_percentile,
            **self.probes.model_dump(),
        )

    def _resolve(self, folder: str) -> Path:
        return (self.path.parent / Path(folder).expanduser()).resolve()
