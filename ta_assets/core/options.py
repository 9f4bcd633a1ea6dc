"""The frozen options of a study as the science takes them.

Belongs here: knobs, their defaults and what they mean. Stays out: how a study file spells them (``study_sections``),
results (``values``).
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_LABEL_FIELD = "counterfactual_importance_accuracy"
DEFAULT_MODELS = (
    "position_baseline",
    "text_only_baseline",
    "linear_probe",
    "mlp_probe",
    "activations_plus_position",
)
TOKEN_PROBES = ("attention_probe", "multimax_probe")
"""Models that read every token of a sentence; they need ``pooling: tokens``."""
VERTICAL_MODELS = ("vertical_attention_baseline", "vertical_attention_plus_position")
"""Models of how much later text attends to a sentence; they need ``vertical_attention``."""


@dataclass(frozen=True)
class LabelRule:
    """How sentences of a trace become labels."""

    field: str = DEFAULT_LABEL_FIELD
    """Field of ``chunks_labeled.json`` that holds the importances."""
    anchor_percentile: float = 90.0
    """Anchors are the sentences whose absolute importance reaches this percentile of their trace; in (0, 100)."""
    drop_last_chunk: bool = True
    """Without the last sentence, whose importance is zero by construction."""
    missing: str = "error"
    """What an absent importance means: ``error``, or ``zero`` as in the predecessor."""
    rollouts: int = 100
    """Rollouts sampled per sentence, which the stored fractions are fractions of at most."""


@dataclass(frozen=True)
class VerticalAttention:
    """How the attention of later text on a sentence is scored (FEATURES V1)."""

    mode: str
    """``light``: the last tokens are the queries; ``full``: all tokens of texts of at most ``max_full_length``."""
    last_tokens: int = 1
    """How many tokens at the end of the text are queries."""
    depth_control: bool = True
    """Mean over what comes after a sentence instead of the sum."""
    max_full_length: int = 1024
    """In tokens; a longer text is scored as with ``light``."""


@dataclass(frozen=True)
class ExtractionSpec:
    """Everything that decides the numbers of an extraction, apart from the texts."""

    language_model: str
    """A Hub id, or an absolute path of a local model folder."""
    revision: str = "main"
    """Branch, tag or commit on the Hub; unused for a folder."""
    layer: str | int | float | tuple[str | int | float, ...] = "mid"
    """``mid`` (n_layers // 2), a 0-based block index, a fraction of the depth (block floor(f * n_layers)), several of
    these, or ``all``; the vectors are the residual stream after those blocks. The first one named is the primary block;
    of ``all`` it is the middle one."""
    pooling: str = "mean"
    """``mean`` or ``last`` token of a sentence, or all its ``tokens``."""
    dtype: str = "auto"
    """Compute dtype: auto, float32, float16 or bfloat16."""
    storage_dtype: str = "float16"
    """float16 or float32."""
    bos: str = "never"
    """The token that begins a text, where it has none: ``never``, ``auto`` (as the tokenizer does) or ``always``."""
    vertical_attention: VerticalAttention | None = None
    """At the primary block; None is off."""


@dataclass(frozen=True)
class SplitRule:
    """Fractions of problems and the seed of the shuffle."""

    train: float = 0.7
    """Share of the problems that probes are fitted on."""
    val: float = 0.15
    """Share of those that are chosen on."""
    test: float = 0.15
    """Share of those that are reported on."""
    seed: int = 0
    """Of the shuffle of the problems."""


@dataclass(frozen=True)
class TokenProbeOptions:
    """Shape and training of the token probes (FEATURES M7, M8, M9); the defaults are the predecessor's."""

    depth: int = 1
    """Layers of the network on each token."""
    width: int = 128
    """Units of each of these layers."""
    heads: int = 4
    """How many weighted means (or maxima) over the tokens of a sentence are mixed."""
    learning_rate: float = 1e-3
    """Of AdamW."""
    weight_decay: float = 0.0
    """Of AdamW."""
    batch: int = 32
    """Sentences a step."""
    epochs: int = 50
    """At most so many."""
    patience: int = 5
    """Epochs without a better validation score after which training ends."""
    loss: str = "bce"
    """``bce`` on the anchors, or ``huber`` or ``mse`` on the importance score."""


@dataclass(frozen=True)
class ProbeOptions:
    """Knobs of the probes and of their evaluation; the defaults are the predecessor's."""

    mlp_hidden: int = 100
    """Units of each of the two hidden layers of ``mlp_probe``."""
    mlp_max_iter: int = 300
    """Epochs of ``mlp_probe`` at most."""
    k_values: tuple[int, ...] = (5, 10)
    """The k of the top-k recalls."""
    position_bins: int = 5
    """Equal bins of the relative position, each with metrics of its own; 0 is off."""
    bootstrap: int = 1000
    best_of_k: int = 1
    """Also the mean over so many seeds, those that are best on val."""
    target: str = "anchor_binary"
    """What is predicted: a key of ``targets.TARGETS``."""
    residualize_against: str = "none"
    """What probes are refitted without, see ``residuals``: none, position or position_plus_text."""
    anchor_percentile: float = 90.0
    """Of residuals: those that reach it in their trace are residual anchors. In (0, 100)."""
    models: tuple[str, ...] = DEFAULT_MODELS
    """Probes and baselines of ``probe_metrics``; beside the default ones there are those in ``TOKEN_PROBES`` and
    ``VERTICAL_MODELS``."""
    token_probes: TokenProbeOptions = TokenProbeOptions()


@dataclass(frozen=True)
class InferenceOptions:
    """Knobs of the comparison of probes with baselines."""

    permutations: int = 1000
    """Label permutations, each refitted at every penalty; also the least number of sign flips."""
    margin: float = 0.02
    """Smallest difference in average precision of interest: smaller ones are no difference."""
    deltas: tuple[float, ...] = (0.02, 0.05, 0.1)
    """Differences whose needed number of problems is reported."""
    ceiling_draws: int = 200
    """Second rollout campaigns that are simulated for the noise ceiling."""
    seed: int = 0
    """Of folds, permutations, sign flips and simulations."""
