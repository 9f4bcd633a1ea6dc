"""The frozen values that pass between the resources, the science and the graph.

Belongs here: records without behaviour beyond reading themselves. Stays out: computation, files, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

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


class Markdown(str):
    """Text for a person, stored as a Markdown file of its own."""


NO_REPORT = Markdown()


@dataclass(frozen=True)
class CorpusSource:
    """Where the traces of one model with one correctness lie, in the layout of ``uzaymacar/math-rollouts``.

    Exactly one of ``repo_id`` (a dataset on the Hub) and ``folder`` (an absolute local path) is set.
    A problem's files are ``{prefix}/problem_{id}/{problem,base_solution,chunks_labeled}.json``.
    """

    prefix: str
    """``{model folder}/{temperature folder}/{solutions folder}``, with forward slashes."""
    repo_id: str | None = None
    folder: str | None = None
    revision: str = "main"


@dataclass(frozen=True)
class Problem:
    """One mathematics problem with one trace, as the dataset holds it; validated where it is read."""

    problem_id: int
    source: str
    """Folder or address of its files, for messages."""
    statement: Mapping[str, Any]
    """``problem.json``."""
    base_solution: Mapping[str, Any]
    """``base_solution.json``."""
    chunks: tuple[Mapping[str, Any], ...]
    """``chunks_labeled.json`` in list order; each has a string ``chunk``."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Text of every sentence, in order."""
        return tuple(chunk["chunk"] for chunk in self.chunks)

    @property
    def trace_text(self) -> str:
        """What the language model reads: the first non-empty of full_cot, solution and joined sentences."""
        candidates = (
            self.base_solution.get("full_cot"),
            self.base_solution.get("solution"),
            self.statement.get("solution"),
        )
        for text in candidates:
            if isinstance(text, str) and text:
                return text
        return " ".join(self.sentences)


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
class Wanted:
    """What a forward pass over a problem is for."""

    blocks: tuple[int, ...]
    vertical: bool = False
    """Scores of vertical attention."""


@dataclass(frozen=True)
class VerticalScores:
    """How much later text attends to each sentence of a problem."""

    problem_id: int
    scores: np.ndarray
    """[n_sentences] float32."""
    mode_used: str
    """light, full, or light_fallback where full was asked for and the text is too long."""


@dataclass(frozen=True)
class PooledProblem:
    """What leaves the language model for one problem."""

    problem_id: int
    block: int
    """0-based index of the block whose output was pooled."""
    vectors: np.ndarray
    """[n_sentences, d_model] storage dtype: the residual stream pooled over each sentence's tokens; with ``offsets``
    [n_tokens_in_spans, d_model]: that of every token of every sentence, one sentence after the other."""
    token_spans: np.ndarray
    """[n_sentences, 2] int64, half-open token positions of each sentence."""
    n_tokens: int
    """Length of the tokenized trace."""
    text: str
    """The text that was tokenized: the trace, or its sentences joined by spaces after a retry."""
    offsets: np.ndarray | None = None
    """[n_sentences + 1] int64: sentence i has the rows from offsets[i] to offsets[i + 1]; None if there is one each."""

    def of_sentence(self, index: int) -> np.ndarray:
        """[d_model], or with ``offsets`` [n_tokens, d_model]: what is stored of one sentence."""
        if self.offsets is None:
            return self.vectors[index]
        return self.vectors[self.offsets[index] : self.offsets[index + 1]]


@dataclass(frozen=True)
class Skip:
    """A problem that could not be extracted, and why."""

    problem_id: int
    kind: str
    """One of context_length, out_of_memory, not_finite, unaligned, no_sentences, overflow."""
    reason: str
    """For a person: numbers and what to do."""


@dataclass(frozen=True)
class Split:
    """Problem ids of the three parts, each sorted."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    def part_of(self) -> dict[int, str]:
        """Problem id -> ``train``, ``val`` or ``test``."""
        return {
            problem_id: name
            for name, ids in (("train", self.train), ("val", self.val), ("test", self.test))
            for problem_id in ids
        }


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
class SeedFreeScores:
    """Scores of the models that no seed changes, shared by all cells of a setting."""

    scores: pd.DataFrame
    """problem_id, chunk_idx and score_<model> (float32) of every row of the setting."""
    fits: Mapping[str, Mapping[str, Any]]
    """How each fit went (``probes.Fit.facts``); may be empty when only the scores were kept."""
    data_sha256: str | None = None
    """``probes.ProbeData.sha256`` of what they were fitted on; None when nobody recorded it."""


@dataclass(frozen=True)
class CellResult:
    """What a cell leaves behind."""

    metrics: dict[str, Any]
    """JSON-able; see ``cells.evaluate_cell``."""
    predictions: pd.DataFrame
    """Val and test rows: the columns of ``cells.PREDICTION_COLUMNS`` and score_<model> (float32)."""
    report: Markdown = NO_REPORT
    """The cell for a person to read (``report.cell_report``); empty until somebody writes it."""


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


@dataclass(frozen=True)
class CrossFitted:
    """Out-of-fold scores of a setting, and what the same probes score on permuted labels."""

    scores: pd.DataFrame
    """problem_id, chunk_idx, anchor and ``name/repeat`` (float64) of every sentence."""
    nulls: pd.DataFrame
    """``scheme/hypothesis`` (float64): macro average precision; row 0 as it is, then one row a permutation."""
    record: dict[str, Any]
    """``scheme``, ``repeats`` (held-out ids of each fold), ``test_to_train``, ``blocks``, ``choices`` by name and
    fold."""
