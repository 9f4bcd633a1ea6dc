"""The sections of a study file: their keys, defaults and bounds.

Stays out: how sections fit together (``study.py``), the sections with rules of their own (``extraction_section.py``,
``probe_models.py``), what options mean to the science (``core/options.py``).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from ta_assets.core.options import (
    DEFAULT_LABEL_FIELD,
    DEFAULT_MODELS,
)
from ta_assets.studies.probes import ModelNames, TokenProbes

SEEDS = 5
"""Every study has the same number of seeds: the grid of setting x seed then has no cell that can never be filled."""

MIN_PROBLEMS = 3
"""One problem each to train, choose and test on."""

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
"""Names become partition keys, folders and table cells: no separators, no dots, no markup."""

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


MAX_SEED = 2**32 - 1
"""The largest that numpy's and scikit-learn's generators take."""

MAX_DRAWS = 1_000_000
"""Of any resampling: a study with more would not end, and its Monte Carlo error is below every figure shown."""


FORBIDDEN = set('\\<>|"`*?')
"""Another system would take a backslash for a separator; the others are markup, where a path is shown."""


class FieldError(ValueError):
    """What a validator found that looks at several keys, and so must say itself where it looked.

    Attributes:
        field: dotted path in the study file.
        value: what was found there.
        expected: what should have been there, in words.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: {value!r}: {expected}")


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path.isprintable() or FORBIDDEN & set(path) or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"must be a relative path of printable characters, without '..' and {''.join(sorted(FORBIDDEN))}"
        )
    return path


def _path(path: str) -> str:
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError("must be a path below a home that exists") from None
    if not path.strip() or not path.isprintable():
        raise ValueError("must be a path of printable characters")
    return path


def is_path(model: str) -> bool:
    """Whether a language model is a local folder rather than an id on the Hub."""
    return model.startswith((".", "/", "~"))


def _model(model: str) -> str:
    if is_path(model):
        return _path(model)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise ValueError("must be a Hub id such as owner/name, or a path that starts with . or / or ~")
    return model


def _strictly_integer(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a yes or no")
    return value


def _swept(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("must be one value; keys of a section within a section are factors, as section.key: [values]")
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("must be a number, a text, or true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


InnerPath = Annotated[str, AfterValidator(_inside)]

FolderPath = Annotated[str, AfterValidator(_path)]

ModelPlace = Annotated[str, AfterValidator(_model)]

Revision = Annotated[str, StringConstraints(pattern=r"^[\w./+@-]+$")]

Integer = Annotated[int, BeforeValidator(_strictly_integer)]

Seed = Annotated[Integer, Field(ge=0, le=MAX_SEED)]

Number = Annotated[float, Field(strict=True)]
"""Not strictly, a yes would be 1.0."""

SweptValue = Annotated[bool | int | float | str, PlainValidator(_swept)]
"""Kept as it is written: what it may be is known only to the key whose value it is."""


class Section(BaseModel):
    """Frozen, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Dataset(Section):
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


class Model(Section):
    """A model's folder in the dataset, and the language model that reads its traces.

    ``language_model`` is a Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``.
    """

    folder: InnerPath
    """Its folder in the dataset."""
    language_model: ModelPlace
    """What reads the traces: a Hub id, or a local folder."""
    revision: Revision = "main"
    """Branch, tag or commit of it on the Hub."""


class Labels(Section):
    """How sentences become labels, see ``LabelRule``; and which label is the target, see ``core.targets``."""

    field: Annotated[str, StringConstraints(min_length=1)] = DEFAULT_LABEL_FIELD
    anchor_percentile: Number = Field(default=90.0, gt=0, lt=100)
    drop_last_chunk: bool = True
    missing: Literal["error", "zero"] = "error"
    rollouts: Integer = Field(default=100, ge=1, le=100_000)
    target: Literal["anchor_binary", "importance_abs", "importance_signed"] = "anchor_binary"
    """What probes predict: anchors, the absolute importance, or the signed one."""


class Splits(Section):
    """Fractions of problems, which sum to 1; with ``lopo`` every problem is the test of one fold.

    Of ``lopo`` only ``val`` counts, as the fraction of the other problems: folds need no seed.
    """

    scheme: Literal["single", "lopo"] = "single"
    """One split, or one for each problem that is left out."""
    train: Number = Field(default=0.7, gt=0, lt=1)
    val: Number = Field(default=0.15, gt=0, lt=1)
    test: Number = Field(default=0.15, gt=0, lt=1)
    seed: Seed = 0

    @model_validator(mode="after")
    def _sum_to_one(self) -> Splits:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, val and test must sum to 1, not {total:g}")
        return self


class Probes(Section):
    """Knobs of the probes and of their tables; see ``ProbeOptions``."""

    mlp_hidden: Integer = Field(default=100, ge=1, le=10_000)
    mlp_max_iter: Integer = Field(default=300, ge=1, le=100_000)
    k_values: tuple[Annotated[Integer, Field(ge=1, le=10_000)], ...] = Field(default=(5, 10), min_length=1)
    position_bins: Integer = Field(default=5, ge=0, le=1000)
    best_of_k: Integer = Field(default=1, ge=1, le=SEEDS)
    models: ModelNames = DEFAULT_MODELS
    token_probes: TokenProbes = TokenProbes()
    residualize_against: Literal["none", "position", "position_plus_text"] = "none"


class Statistics(Section):
    """Sizes of the resampling."""

    bootstrap: Integer = Field(default=2000, ge=100, le=MAX_DRAWS)
    """Draws of problems behind the intervals of a cell and of ``lopo``."""
    permutations: Integer = Field(default=200, ge=200, le=MAX_DRAWS)
    """Shuffles of the labels in the checks ``random_label`` and ``beats_shuffled_labels``."""


class Inference(Section):
    """Knobs of the comparison of probes with baselines; see ``InferenceOptions``."""

    permutations: Integer = Field(default=1000, ge=200, le=MAX_DRAWS)
    margin: Number = Field(default=0.02, gt=0, lt=1)
    deltas: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = Field(default=(0.02, 0.05, 0.1), min_length=1)
    ceiling_draws: Integer = Field(default=200, ge=20, le=MAX_DRAWS)
    seed: Seed = 0


class Deferral(Section):
    """Which sentences a probe decides and which it leaves to a person; see ``core.deferral``."""

    probe: Name | None = None
    """One of ``probes.models``; by default ``linear_probe`` where it is one of them, else the last of them."""
    objective: Literal["budget", "error"] = "budget"
    """``budget``: fewest errors at no more deferrals; ``error``: fewest deferrals at no more errors."""
    budget: Number = Field(default=0.2, ge=0, le=1)
    """Largest share of sentences to defer, where the objective is ``budget``."""
    error: Number = Field(default=0.1, ge=0, le=1)
    """Largest share of errors among the decided sentences, where the objective is ``error``."""
    quantiles: Integer = Field(default=101, ge=2, le=1001)
    """Of the val scores: the candidate thresholds."""
    group: Literal["none", "function_tag", "position_third"] = "none"
    """Thresholds of their own for sentences with the same first function tag, or in the same third of their trace."""


class Verification(Section):
    """Whether the labels of one problem are computed again from its rollouts, and how."""

    problem: Literal["none", "auto"] | Annotated[Integer, Field(ge=0)] = "none"
    """Which problem of each corpus; ``auto`` is the smallest id whose rollouts are on this machine."""
    similarity: Literal["embedding", "text"] = "embedding"
    """When a resampled sentence is another one: its cosine is below ``threshold``, or its text differs."""
    embedding_model: ModelPlace = "sentence-transformers/all-MiniLM-L6-v2"
    """A Hub id, or a local folder when it starts with ``.``, ``/`` or ``~``."""
    threshold: Number = Field(default=0.8, gt=-1, le=1)
    """A cosine."""


class Setting(Section):
    """One corpus and a choice of its problems."""

    model: Name
    """One of ``models``."""
    solutions: Literal["correct", "incorrect", "correct_forced_answer", "incorrect_forced_answer"]
    """Traces that ended in a right answer, or in a wrong one; or their twins, whose rollouts were made to answer at
    once."""
    problems: Annotated[Integer, Field(ge=MIN_PROBLEMS)] | None = None
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
