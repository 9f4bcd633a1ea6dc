"""The frozen values that pass between the resources, the science and the graph.

Belongs here: records without behaviour beyond reading themselves. Stays out: computation, files, Dagster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.score_columns import ScoreTable
from ta_assets.core.traces.spans import is_blank


class Markdown(str):
    """Text for a person, stored as a Markdown file of its own."""


NO_REPORT = Markdown()


@dataclass(frozen=True)
class CorpusSource:
    """Where the traces of one model with one correctness lie, in the layout of ``uzaymacar/math-rollouts``.

    Exactly one of ``repo_id`` (a dataset on the Hub) and ``folder`` (an absolute local path) is set; neither in a study
    whose traces are made here, until it is known where artifacts lie.
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
    """``chunks_labeled.json`` in list order; each has a string ``chunk``, which may be blank."""

    @property
    def spoken(self) -> tuple[int, ...]:
        """Positions in ``chunks`` of the sentences: a blank entry is none, and gets neither a label nor a vector."""
        return tuple(index for index, chunk in enumerate(self.chunks) if not is_blank(chunk["chunk"]))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Text of every sentence, in order."""
        return tuple(self.chunks[index]["chunk"] for index in self.spoken)

    @property
    def folders(self) -> tuple[int, ...]:
        """Of every entry, the number of its rollouts' folder: ``chunk_idx``, or its position where it has none."""
        return tuple(chunk.get("chunk_idx", index) for index, chunk in enumerate(self.chunks))

    @property
    def trace_text(self) -> str:
        """What the language model reads: the first that is not blank of full_cot, solution and joined sentences."""
        candidates = (
            self.base_solution.get("full_cot"),
            self.base_solution.get("solution"),
            self.statement.get("solution"),
        )
        for text in candidates:
            if isinstance(text, str) and not is_blank(text):
                return text
        return " ".join(self.sentences)


@dataclass(frozen=True)
class Wanted:
    """What a forward pass over a problem is for."""

    blocks: tuple[int, ...]
    vertical: bool = False
    """Whether to compute vertical-attention scores."""
    sentences: int | None = None
    """Only the first so many, without vertical attention; None for all. The text behind them is not read where the
    model allows it."""


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
    """One of unusable, unlabelled, context_length, out_of_memory, not_finite, unaligned, no_sentences, overflow."""
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
class CrossFitted:
    """Out-of-fold scores of a setting, and what the same probes score on permuted labels."""

    scores: pd.DataFrame
    """Frame of a ``ScoreTable``."""
    nulls: pd.DataFrame
    """Macro average precision, one column per ``scheme/hypothesis`` (``nulls.RefitNull``); float64. Row 0: true
    labels; rows 1..n: refitted to permuted labels."""
    without: pd.DataFrame
    """One row per grading (``every``, ``supported``) and pair of problems with both classes: grading, problem_id,
    absent, and per trained score (float64) the average precision of the problem by the fit without the absent one."""
    record: dict[str, Any]
    """``scheme``, ``repeats`` (held-out ids of each fold), ``fewest_train``, ``blocks``, ``choices`` by name and
    fold."""

    @property
    def table(self) -> ScoreTable:
        """The scores by name."""
        return ScoreTable(self.scores)


def jsonable(value: Any) -> Any:
    """Rebuild nested dicts, lists and tuples with None for every NaN or infinite float."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
