"""The options of a study: frozen, each with its default, its bounds and its meaning.

The sections of a study file are these classes, so that a key of a file is the option which the science reads. Belongs
here: what the science takes. Stays out: where data and models lie (``ta_assets.studies.sections``), results.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from ta_assets.core.option_values import (
    DEFAULT_MODELS,
    MAX_DRAWS,
    Count,
    Fraction,
    Integer,
    Layers,
    ModelNames,
    Percentile,
    Seed,
    Share,
    off_as_written,
)

DEFAULT_LABEL_FIELD = "counterfactual_importance_accuracy"
SEEDS = 5
"""Number of seeds of every study: the grid of settings and seeds then has no empty cell."""
FRACTION_TOLERANCE = 1e-6
"""Fractions written in decimal do not sum to one exactly."""

TargetName = Literal["anchor_binary", "importance_abs", "importance_signed"]


class Options(BaseModel):
    """Frozen options; keys that nobody reads are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class LabelRule(Options):
    """How sentences of a trace become labels; and which label is the target, see ``core.probes.targets``."""

    field: Annotated[str, StringConstraints(min_length=1)] = DEFAULT_LABEL_FIELD
    """Field of ``chunks_labeled.json`` that holds the importances."""
    anchor_percentile: Percentile = 90.0
    """Anchors are the sentences whose absolute importance reaches this percentile of their trace; in (0, 100)."""
    drop_last_chunk: bool = True
    """Without the last sentence, whose importance is zero by construction."""
    missing: Literal["error", "zero"] = "error"
    """What an absent importance means: ``error``, or ``zero`` as in the predecessor."""
    rollouts: Integer | None = Field(default=None, ge=1, le=100_000)
    """Rollouts sampled per sentence, which the stored fractions are fractions of at most; by default the least number
    that accounts for nearly every fraction of the corpus."""
    target: TargetName = "anchor_binary"
    """What probes predict: anchors, the absolute importance, or the signed one."""


class SplitRule(Options):
    """Fractions of problems, which sum to 1; with ``lopo`` every problem is the test of one fold.

    Of ``lopo`` only ``val`` counts, as the fraction of the other problems: folds need no seed.
    """

    scheme: Literal["single", "lopo"] = "single"
    """One split, or one per problem that is left out."""
    train: Fraction = 0.7
    """Share of the problems that probes are fitted on."""
    val: Fraction = 0.15
    """Share of the problems that seeds and thresholds are chosen on."""
    test: Fraction = 0.15
    """Share of the problems that results are reported on."""
    seed: Seed = 0
    """Seed of the shuffle of the problems."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitRule:
        total = self.train + self.val + self.test
        if abs(total - 1) > FRACTION_TOLERANCE:
            raise ValueError(f"train, val and test must sum to 1, not {total:g}")
        return self


class VerticalAttention(Options):
    """How the attention of later text on a sentence is scored, at the primary block."""

    mode: Annotated[Literal["off", "light", "full"], BeforeValidator(off_as_written)] = "off"
    """``light``: the last tokens are the queries; ``full``: all tokens of texts of at most ``max_full_length``."""
    last_tokens: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """How many tokens at the end of the text are queries."""
    depth_control: Annotated[bool, Field(strict=True)] = True
    """Mean over what comes after a sentence instead of the sum."""
    max_full_length: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1024
    """In tokens; a longer text is scored as with ``light``."""


class ExtractionOptions(Options):
    """Which activations are taken."""

    layer: Layers = "mid"
    """``mid`` (n_layers // 2), a 0-based block index, a fraction of the depth (block floor(f * n_layers)), several of
    these, or ``all``; the vectors are the residual stream after those blocks. The first one named is the primary block;
    of ``all`` it is the middle one."""
    pooling: Literal["mean", "last", "tokens"] = "mean"
    """``mean`` or ``last`` token of a sentence, or all its ``tokens``."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Dtype that the model computes in; ``auto`` chooses by device."""
    storage_dtype: Literal["float16", "float32"] = "float16"
    """Dtype that the vectors are stored in."""
    bos: Literal["never", "auto", "always"] = "never"
    """The token that begins a text, where it has none: ``never``, ``auto`` (as the tokenizer does) or ``always``."""
    vertical_attention: VerticalAttention = VerticalAttention()
    """Scores of the attention of later text; off unless asked for."""


class ExtractionSpec(ExtractionOptions):
    """Everything that decides the numbers of an extraction, apart from the texts."""

    language_model: str
    """A Hub id, or an absolute path of a local model folder."""
    revision: str = "main"
    """Branch, tag or commit on the Hub; unused for a folder."""

    def __init__(self, language_model: str, **options: Any) -> None:
        """The model, and options by their names."""
        super().__init__(**{"language_model": language_model, **options})

    @property
    def scored_attention(self) -> VerticalAttention | None:
        """How vertical attention is scored; None where it is off."""
        return None if self.vertical_attention.mode == "off" else self.vertical_attention


class TokenProbeOptions(Options):
    """Shape and training of the token probes; the defaults are the predecessor's."""

    depth: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    """Layers of the network on each token."""
    width: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 128
    """Units of each of these layers."""
    heads: Annotated[int, Field(ge=1, le=1000, strict=True)] = 4
    """How many weighted means (or maxima) over the tokens of a sentence are mixed."""
    learning_rate: float = Field(default=1e-3, gt=0, lt=1, strict=True)
    """AdamW step size."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1, strict=True)
    """AdamW weight decay."""
    batch: Count = 32
    """Sentences per step."""
    epochs: Count = 50
    """Largest number of epochs."""
    patience: Count = 5
    """Epochs without a better validation score after which training ends."""
    loss: Literal["bce", "huber", "mse"] = "bce"
    """``bce`` on the anchors, or ``huber`` or ``mse`` on the importance score, or on a continuous target."""


class ProbesSection(Options):
    """Knobs of the probes and of their tables; the defaults are the predecessor's."""

    mlp_hidden: Integer = Field(default=100, ge=1, le=10_000)
    """Units of each of the two hidden layers of ``mlp_probe``."""
    mlp_max_iter: Integer = Field(default=300, ge=1, le=100_000)
    """Largest number of epochs of ``mlp_probe``."""
    k_values: tuple[Annotated[Integer, Field(ge=1, le=10_000)], ...] = Field(default=(5, 10), min_length=1)
    """The k of the top-k recalls."""
    position_bins: Integer = Field(default=5, ge=0, le=1000)
    """Equal bins of the relative position, each with metrics of its own; 0 is off."""
    best_of_k: Integer = Field(default=1, ge=1, le=SEEDS)
    """Also the mean over so many seeds, those that are best on val."""
    models: ModelNames = DEFAULT_MODELS
    """Probes and baselines of ``probe_metrics``; beside the default ones there are those in ``TOKEN_PROBES`` and
    ``VERTICAL_MODELS``."""
    token_probes: TokenProbeOptions = TokenProbeOptions()
    residualize_against: Literal["none", "position", "position_plus_text"] = "none"
    """What probes are refitted without: none, position or position_plus_text."""


class Statistics(Options):
    """Sizes of the resampling."""

    bootstrap: Integer = Field(default=2000, ge=100, le=MAX_DRAWS)
    """Draws of problems behind the intervals of a cell and of ``lopo``."""
    permutations: Integer = Field(default=200, ge=200, le=MAX_DRAWS)
    """Shuffles of the labels in the checks ``random_label`` and ``beats_shuffled_labels``."""


class ProbeOptions(ProbesSection):
    """Everything that decides the numbers of a cell: the section ``probes``, and one option of each of three others."""

    target: TargetName = LabelRule().target
    """What is predicted: a key of ``targets.TARGETS``."""
    anchor_percentile: Percentile = LabelRule().anchor_percentile
    """Percentile in (0, 100): a sentence whose residual reaches it within its trace is a residual anchor."""
    bootstrap: Annotated[Integer, Field(ge=0, le=MAX_DRAWS)] = Statistics().bootstrap
    """Draws of problems behind the intervals of a cell; 0 is none, as in a fold of ``lopo``."""


class InferenceOptions(Options):
    """Knobs of the comparison of probes with baselines."""

    permutations: Integer = Field(default=1000, ge=200, le=MAX_DRAWS)
    """Label permutations, each refitted at every penalty; also the least number of sign flips."""
    margin: Fraction = 0.05
    """Smallest difference in average precision of interest: smaller ones are no difference."""
    smallest_lead: Fraction = 0.05
    """Smallest lead in average precision worth finding: the needed number of problems is that for it."""
    first_look: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.8
    """Share of the 5 % error that the first look at a study spends; the rest is kept for looks at more problems."""
    deltas: tuple[Fraction, ...] = Field(default=(0.02, 0.05, 0.1), min_length=1)
    """Differences whose needed number of problems is reported."""
    ceiling_draws: Integer = Field(default=200, ge=20, le=MAX_DRAWS)
    """Second rollout campaigns that are simulated for the noise ceiling."""
    seed: Seed = 0
    """Seed of folds, permutations, sign flips and simulations."""


class DeferralOptions(Options):
    """Which sentences a probe decides and which it leaves to a person; see ``core.results.deferral``."""

    probe: str | None = None
    """One of ``probes.models``; by default ``linear_probe`` where it is one of them, else the last of them."""
    objective: Literal["budget", "error"] = "budget"
    """``budget``: fewest errors at no more deferrals; ``error``: fewest deferrals at no more errors."""
    budget: Share = 0.2
    """Largest share of sentences to defer, where the objective is ``budget``."""
    error: Share = 0.1
    """Largest share of errors among the decided sentences, where the objective is ``error``."""
    quantiles: Integer = Field(default=101, ge=2, le=1001)
    """Number of quantiles of the val scores that are the candidate thresholds."""
    group: Literal["none", "function_tag", "position_third"] = "none"
    """Thresholds of their own for sentences with the same first function tag, or in the same third of their trace."""
