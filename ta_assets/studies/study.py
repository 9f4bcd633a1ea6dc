"""A study: how its sections fit together, and what a corpus of it resolves to.

Stays out: the sections themselves (``core/options.py``, ``sections.py``), reading files and holding several studies
(``loading.py``), partitions (``ta_assets.ledger``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    PrivateAttr,
    model_validator,
)

from ta_assets.core.campaign.corpus.questions import Keys
from ta_assets.core.option_values import TOKEN_PROBES, VERTICAL_MODELS
from ta_assets.core.options import (
    SEEDS,
    DeferralOptions,
    ExtractionOptions,
    ExtractionSpec,
    InferenceOptions,
    LabelRule,
    Options,
    ProbeOptions,
    ProbesSection,
    SplitRule,
    Statistics,
)
from ta_assets.core.traces.label_recomputation import COUNTERFACTUAL, RESAMPLING
from ta_assets.core.values import CorpusSource
from ta_assets.studies.fields import FieldError, InnerPath, Name, SweptValue, is_path
from ta_assets.studies.generation import Generation
from ta_assets.studies.sections import Dataset, Model, Setting, Verification
from ta_resources.campaigns.questions import QuestionsFile


class Study(Options):
    """A validated study."""

    name: Name
    """A lower-case name, also the folder of its results."""
    dataset: Dataset | None = None
    """Exactly one of it and ``generation``."""
    generation: Generation | None = None
    models: dict[Name, Model] = Field(min_length=1)
    labels: LabelRule = LabelRule()
    splits: SplitRule = SplitRule()
    extraction: ExtractionOptions = ExtractionOptions()
    probes: ProbesSection = ProbesSection()
    statistics: Statistics = Statistics()
    inference: InferenceOptions = InferenceOptions()
    verification: Verification = Verification()
    deferral: DeferralOptions = DeferralOptions()
    sweep: dict[str, Annotated[list[SweptValue], Field(min_length=1)]] | None = None
    """The values of a factor: every combination is scored by the job ``sweep``; see ``studies.sweep``."""
    seeds: Literal[5] = SEEDS
    """Number of seeds; fixed at 5, so that the grid of settings and seeds has no empty cell."""
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
    def _one_origin(self) -> Study:
        if (self.dataset is None) == (self.generation is None):
            found = [name for name in ("dataset", "generation") if getattr(self, name) is not None]
            raise FieldError("dataset, generation", found, "exactly one of the two")
        return self

    @model_validator(mode="after")
    def _folders_where_there_is_a_dataset(self) -> Study:
        absent = [f"models.{name}.folder" for name, one in self.models.items() if one.folder is None]
        if self.dataset is not None and absent:
            raise FieldError(", ".join(absent), None, "the model's folder in the dataset")
        return self

    @model_validator(mode="after")
    def _generated_as_asked(self) -> Study:
        if self.generation is None:
            return self
        twins = {f"settings.{name}.solutions": one.solutions for name, one in self.settings.items()}
        for field, found in twins.items():
            if found not in ("correct", "incorrect"):
                raise FieldError(field, found, "correct or incorrect: answers are not forced where rollouts are made")
        if self.verifies_labels:
            expected = "none: of rollouts that are made here, every label is computed again anyway"
            raise FieldError("verification.problem", self.verification.problem, expected)
        return self

    @model_validator(mode="after")
    def _known_models(self) -> Study:
        unknown = {f"settings.{name}.model": s.model for name, s in self.settings.items() if s.model not in self.models}
        if unknown:
            found = next(iter(unknown.values())) if len(unknown) == 1 else list(unknown.values())
            raise FieldError(", ".join(unknown), found, f"one of models ({', '.join(self.models)})")
        return self

    @model_validator(mode="after")
    def _shared_problems_are_drawn_alike(self) -> Study:
        shared = [(name, setting) for name, setting in self.settings.items() if setting.shared_problems]
        for key in ("problems", "problems_seed"):
            found = {f"settings.{name}.{key}": getattr(setting, key) for name, setting in shared}
            other = next((field for field in found if found[field] != next(iter(found.values()))), None)
            if other is not None:
                first = next(iter(found))
                expected = f"{found[first]!r}, as {first} has it: both share their problems, and so draw them alike"
                raise FieldError(other, found[other], expected)
        return self

    @model_validator(mode="after")
    def _models_have_their_input(self) -> Study:
        absent = {model: why for model in self.probes.models if (why := self.missing_input(model))}
        if absent:
            raise FieldError("probes.models", list(absent), "; ".join(dict.fromkeys(absent.values())))
        return self

    def missing_input(self, model: str) -> str | None:
        """What a probe would need of the other sections, in words; None when it has all."""
        if model in TOKEN_PROBES and self.extraction.pooling != "tokens":
            return f"extraction.pooling: tokens, not {self.extraction.pooling}"
        if model in TOKEN_PROBES and self.labels.target != "anchor_binary" and self.probes.token_probes.loss == "bce":
            return f"probes.token_probes.loss: huber or mse, not bce, for labels.target: {self.labels.target}"
        if model in VERTICAL_MODELS and self.extraction.vertical_attention.mode == "off":
            return "extraction.vertical_attention.mode: light or full"
        return None

    @model_validator(mode="after")
    def _verifiable_labels(self) -> Study:
        fields = (COUNTERFACTUAL, RESAMPLING)
        if self.verifies_labels and self.labels.field not in fields:
            expected = f"one of {', '.join(fields)}, which can be recomputed; or verification.problem: none"
            raise FieldError("labels.field", self.labels.field, expected)
        return self

    @model_validator(mode="after")
    def _known_deferral_probe(self) -> Study:
        if self.deferral.probe not in (None, *self.probes.models):
            raise FieldError("deferral.probe", self.deferral.probe, f"one of {', '.join(self.probes.models)}")
        return self

    @property
    def verifies_labels(self) -> bool:
        """Whether the labels of one problem a corpus are computed again."""
        return self.verification.problem != "none"

    @property
    def deferral_probe(self) -> str:
        """The probe that decides or defers."""
        models = self.probes.models
        default = "linear_probe" if "linear_probe" in models else models[-1]
        return self.deferral.probe or default

    @property
    def embedding_model(self) -> str:
        """The model of the verification: a Hub id, or an absolute path."""
        return self._place(self.verification.embedding_model)

    @property
    def similarity_model(self) -> str:
        """The model that tells whether a resampled sentence is another one: a Hub id, or an absolute path."""
        return self._place(self.campaign.similarity.embedding_model)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of its corpora, in the order of its settings, each once."""
        return tuple(dict.fromkeys(setting.corpus for setting in self.settings.values()))

    def settings_of(self, corpus: str) -> tuple[str, ...]:
        """Names of the settings that use a corpus."""
        return tuple(name for name, setting in self.settings.items() if setting.corpus == corpus)

    def source(self, corpus: str) -> CorpusSource:
        """Where the traces of a corpus lie; of one that is made here neither on the Hub nor in a folder yet."""
        setting = self._setting_of(corpus)
        model = self.models[setting.model].folder or setting.model
        if self.generation is not None:
            drawn = self.generation.sampling
            temperature = f"temperature_{drawn.temperature}_top_p_{drawn.top_p}"
            return CorpusSource(f"{model}/{temperature}/{setting.solutions_folder}")
        assert self.dataset is not None
        prefix = f"{model}/{self.dataset.temperature}/{setting.solutions_folder}"
        folder = None if self.dataset.folder is None else str(self._resolve(self.dataset.folder))
        return CorpusSource(prefix, repo_id=self.dataset.repo_id, folder=folder, revision=self.dataset.revision)

    def extraction_spec(self, corpus: str) -> ExtractionSpec:
        """What decides the activations of a corpus."""
        model = self.models[self._setting_of(corpus).model]
        return ExtractionSpec(
            language_model=self._place(model.language_model), revision=model.revision, **dict(self.extraction)
        )

    @property
    def generated(self) -> tuple[str, ...]:
        """Names of the corpora that are made here."""
        return () if self.generation is None else self.corpora

    @property
    def campaign(self) -> Generation:
        """The section ``generation``.

        Raises:
            ValueError: the study reads a dataset.
        """
        if self.generation is None:
            raise ValueError(f"study {self.name} makes no rollouts")
        return self.generation

    @property
    def questions(self) -> QuestionsFile:
        """Where the questions lie, of a study that makes its rollouts."""
        said = self.campaign.questions
        file = None if said.file is None else self._resolve(said.file)
        keys = Keys(said.id, said.question, said.answer)
        return QuestionsFile(file, said.repo_id, said.revision, said.path, keys, said.first)

    def solutions_are_right(self, corpus: str) -> bool:
        """Whether the traces of a corpus end in right answers."""
        return self._setting_of(corpus).solutions == "correct"

    def _setting_of(self, corpus: str) -> Setting:
        """A setting that uses the corpus; all of them name the same model and solutions."""
        return self.settings[self.settings_of(corpus)[0]]

    @property
    def probe_options(self) -> ProbeOptions:
        """The section ``probes``, with what other sections decide about a cell."""
        return ProbeOptions(
            bootstrap=self.statistics.bootstrap,
            target=self.labels.target,
            anchor_percentile=self.labels.anchor_percentile,
            **dict(self.probes),
        )

    @property
    def deferral_options(self) -> DeferralOptions:
        """The section ``deferral``, with its probe put in."""
        return self.deferral.model_copy(update={"probe": self.deferral_probe})

    def _place(self, where: str) -> str:
        return str(self._resolve(where)) if is_path(where) else where

    def _resolve(self, folder: str) -> Path:
        return (self.path.parent / Path(folder).expanduser()).resolve()
