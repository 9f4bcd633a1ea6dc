"""The frozen values that pass between the resources, the science and the graph.

Belongs here: records without behaviour beyond reading themselves. Stays out: computation, files, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

DEFAULT_LABEL_FIELD = "counterfactual_importance_accuracy"


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


@dataclass(frozen=True)
class ExtractionSpec:
    """Everything that decides the numbers of an extraction, apart from the texts."""

    language_model: str
    """A Hub id, or an absolute path of a local model folder."""
    revision: str = "main"
    """Branch, tag or commit on the Hub; unused for a folder."""
    layer: str | int = "mid"
    """``mid`` (n_layers // 2) or a 0-based block index; the vectors are the residual stream after that block."""
    pooling: str = "mean"
    dtype: str = "auto"
    """Compute dtype: auto, float32, float16 or bfloat16."""
    storage_dtype: str = "float16"
    """float16 or float32."""


@dataclass(frozen=True)
class PooledProblem:
    """What leaves the language model for one problem."""

    problem_id: int
    block: int
    """0-based index of the block whose output was pooled."""
    vectors: np.ndarray
    """[n_sentences, d_model] storage dtype: mean of the residual stream over each sentence's tokens."""
    token_spans: np.ndarray
    """[n_sentences, 2] int64, half-open token positions of each sentence."""
    n_tokens: int
    """Length of the tokenized trace."""
    text: str
    """The text that was tokenized: the trace, or its sentences joined by spaces after a retry."""


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
class ProbeOptions:
    """Knobs of the probes and of their evaluation; the defaults are the predecessor's."""

    mlp_hidden: int = 100
    mlp_max_iter: int = 300
    k_values: tuple[int, ...] = (5, 10)
    position_bins: int = 5
    bootstrap: int = 1000
    """Draws of the intervals of a cell; 0 for no intervals, as where there is one test problem."""
    best_of_k: int = 1
    models: tuple[str, ...] = field(
        default=(
            "position_baseline",
            "text_only_baseline",
            "linear_probe",
            "mlp_probe",
            "activations_plus_position",
        )
    )


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
