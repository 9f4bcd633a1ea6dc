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
    anchor_percentile: float = 90.0
    """Anchors are the sentences whose absolute importance reaches this percentile of their trace; in (0, 100)."""
    drop_last_chunk: bool = True
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
    depth_control: bool = True
    """Mean over what comes after a sentence instead of the sum."""
    max_full_length: int = 1024


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
    vertical_attention: VerticalAttention | None = None
    """At the primary block; None is off."""


@dataclass(frozen=True)
class SplitRule:
    """Fractions of problems and the seed of the shuffle."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class TokenProbeOptions:
    """Shape and training of the token probes (FEATURES M7, M8, M9); the defaults are the predecessor's."""

    depth: int = 1
    """Layers of the network on each token."""
    width: int = 128
    heads: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
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
    mlp_max_iter: int = 300
    k_values: tuple[int, ...] = (5, 10)
    position_bins: int = 5
    bootstrap: int = 1000
    best_of_k: int = 1
    target: str = "anchor_binary"
    """What is predicted: a key of ``targets.TARGETS``."""
    residualize_against: str = "none"
    """What probes are refitted without, see ``residuals``: none, position or position_plus_text."""
    anchor_percentile: float = 90.0
    """Of residuals: those that reach it in their trace are residual anchors. In (0, 100)."""
    models: tuple[str, ...] = DEFAULT_MODELS
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
    seed: int = 0
