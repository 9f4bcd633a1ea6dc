"""From the importances that the dataset holds to labelled sentences.

Belongs here: the label rule. Stays out: token spans and splits (``features``), how importances were estimated, files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.options import DEFAULT_LABEL_FIELD, LabelRule
from ta_assets.core.traces.campaign import campaign
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS, rollout_counts
from ta_assets.core.values import Problem, Skip

UNKNOWN_TAG = "unknown"


@dataclass(frozen=True)
class Column:
    """What stands in a column of the sentence table."""

    dtype: str
    """Dtype of pandas."""
    meaning: str
    low: float = -math.inf
    """Smallest allowed value."""
    high: float = math.inf
    """Largest allowed value."""
    known: bool = True
    """Whether every sentence has a value; else NaN means that the dataset does not tell."""


COLUMNS: Mapping[str, Column] = {
    "problem_id": Column("int64", "id of the problem"),
    "chunk_idx": Column("int64", "place of the sentence in its trace, from 0", low=0),
    "num_chunks": Column("int64", "labelled sentences of the trace", low=1),
    "chunk_text": Column("object", "text of the sentence"),
    "function_tag": Column("object", "first function tag of the dataset, or unknown"),
    "counterfactual_raw": Column("float64", "importance as the dataset holds it; positive when it lowers accuracy"),
    "importance_signed": Column("float64", "the same; the target importance_signed"),
    "importance_score": Column("float64", "absolute importance", low=0),
    "anchor": Column("int64", "1 for an anchor, else 0", low=0, high=1),
    "relative_position": Column("float32", "chunk_idx / max(num_chunks - 1, 1)", low=0, high=1),
    "source_text_len": Column("int64", "characters of the trace", low=0),
    "n_different": Column("float64", "rollouts that have another sentence in its place", low=0, known=False),
    "k_different": Column("float64", "right answers among them", low=0, known=False),
    "n_next": Column("float64", "rollouts from the next sentence on", low=0, known=False),
    "k_next": Column("float64", "right answers among them", low=0, known=False),
}
"""The sentence table, in the order of its columns."""
LABEL_DTYPES: Mapping[str, str] = {name: column.dtype for name, column in COLUMNS.items()}


def anchors(importance: np.ndarray, percentile: float) -> np.ndarray:
    """Mark the sentences of one trace whose absolute importance reaches its percentile.

    The predecessor marks |importance| >= numpy percentile (linear). Knowing deviation: an anchor also needs an
    importance above zero. With it a trace whose percentile is zero (at least nine in ten sentences are exactly zero)
    has as anchors just its nonzero sentences, where the predecessor would call every sentence an anchor, including
    those of a trace in which no sentence matters. No published trace has such a percentile (the smallest is .0248),
    so the published labels are unchanged.

    Args:
        importance: [n_sentences] float64, signed or absolute; finite.
        percentile: in (0, 100).

    Returns:
        [n_sentences] int64 of 0 and 1.

    Raises:
        ValueError: the percentile is outside (0, 100), or an importance is not finite.
    """
    if not 0 < percentile < 100:
        raise ValueError(f"anchor percentile is {percentile}, expected a number in (0, 100)")
    size = np.abs(np.asarray(importance, dtype=np.float64))
    if size.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.isfinite(size).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(size))} of {size.size} importances are not finite")
    return ((size >= np.percentile(size, percentile)) & (size > 0)).astype(np.int64)


def label_problem(problem: Problem, rule: LabelRule) -> pd.DataFrame:
    """Label the sentences of one trace; one row a sentence, in order, columns ``COLUMNS``.

    Blank entries are left out; ``chunk_idx`` counts the sentences that remain. The last sentence of a longer trace is
    dropped when the rule says so (its importance is zero by construction), and only then are percentile, ``num_chunks``
    and ``relative_position`` = index / max(n - 1, 1) taken. ``counterfactual_raw`` and ``importance_signed`` are the
    dataset's value, in which a positive number means that the sentence lowers the accuracy; ``importance_score`` is its
    absolute value. ``source_text_len`` is in characters. The columns of ``rollout_counts.COUNT_COLUMNS`` are NaN where
    the dataset does not tell.

    Raises:
        InputError: the field is absent (and the rule does not read that as zero) or not a finite number.
    """
    positions = labelled_positions(problem, rule)
    raw = _importances(problem, positions, rule)
    chunks = [problem.chunks[position] for position in positions]
    n = len(chunks)
    index = np.arange(n)
    rows = {
        "problem_id": np.full(n, problem.problem_id),
        "chunk_idx": index,
        "num_chunks": np.full(n, n),
        "chunk_text": [chunk["chunk"] for chunk in chunks],
        "function_tag": [_function_tag(chunk) for chunk in chunks],
        "counterfactual_raw": raw,
        "importance_signed": raw,
        "importance_score": np.abs(raw),
        "anchor": anchors(raw, rule.anchor_percentile),
        "relative_position": index / max(n - 1, 1),
        "source_text_len": np.full(n, len(problem.trace_text)),
        **_counts(problem, rule, positions),
    }
    return pd.DataFrame(rows).astype(dict(LABEL_DTYPES))


def labelled_positions(problem: Problem, rule: LabelRule) -> tuple[int, ...]:
    """Positions in ``problem.chunks`` of the sentences that the rule labels, in order."""
    return problem.spoken[:-1] if rule.drop_last_chunk and len(problem.spoken) > 1 else problem.spoken


def label_problems(problems: Iterable[Problem], rule: LabelRule) -> pd.DataFrame:
    """Label every problem; rows sorted by (problem_id, chunk_idx), empty with the same columns for no problems.

    Raises:
        InputError: as ``label_problem``.
        ValueError: an id occurs twice.
    """
    frames: dict[int, pd.DataFrame] = {}
    problems = list(problems)
    rule = _counted(problems, rule)
    for problem in problems:
        if problem.problem_id in frames:
            raise ValueError(f"problem {problem.problem_id} occurs twice")
        frames[problem.problem_id] = label_problem(problem, rule)
    return _sorted(frames)


def label_or_skip(problem_id: int, problem: Problem | InputError, rule: LabelRule) -> pd.DataFrame | Skip:
    """The labelled sentences of a problem, or why it has none.

    Args:
        problem_id: the problem.
        problem: itself, or what is wrong with its files.
        rule: as ``label_problem`` takes it.
    """
    if isinstance(problem, InputError):
        return Skip(problem_id, "unusable", str(problem))
    try:
        return label_problem(problem, rule)
    except InputError as error:
        return Skip(problem_id, "unlabelled", str(error))


def label_usable(
    problems: Iterable[tuple[int, Problem | InputError]], rule: LabelRule
) -> tuple[pd.DataFrame, list[Skip]]:
    """Labelled sentences of the problems that can be labelled, sorted as in ``label_problems``; why the others cannot.

    Args:
        problems: id and problem, or what is wrong with its files; each id once.
        rule: as ``label_problem`` takes it.

    Raises:
        InputError: what is wrong with the first problem, when something is wrong with all of them.
    """
    frames: dict[int, pd.DataFrame] = {}
    skipped: list[Skip] = []
    first: Problem | InputError | None = None
    problems = list(problems)
    rule = _counted((problem for _, problem in problems if isinstance(problem, Problem)), rule)
    for problem_id, problem in problems:
        found = label_or_skip(problem_id, problem, rule)
        if isinstance(found, Skip):
            first = problem if first is None else first
            skipped.append(found)
        else:
            frames[problem_id] = found
    if first is not None and not frames:
        if isinstance(first, InputError):
            raise first
        label_problem(first, rule)  # raises what its skip says
    return _sorted(frames), skipped


def _counted(problems: Iterable[Problem], rule: LabelRule) -> LabelRule:
    """The rule with the number of rollouts that the fractions of these problems are of, where it states none."""
    if rule.rollouts is not None:
        return rule
    # where too few fractions tell, counts stay unknown: 0 rollouts account for none
    return rule.model_copy(update={"rollouts": campaign(problem.chunks for problem in problems).size or 0})


def _sorted(frames: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """One table, by problem and sentence; empty with the same columns for no problems."""
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in LABEL_DTYPES.items()})
    return pd.concat([frames[problem_id] for problem_id in sorted(frames)], ignore_index=True)


def _importances(problem: Problem, positions: Sequence[int], rule: LabelRule) -> np.ndarray:
    values: list[float] = []
    faults: list[tuple[int, object]] = []
    for position in positions:
        value = problem.chunks[position].get(rule.field)
        if value is None and rule.missing == "zero":
            value = 0.0
        if value is not None and _is_finite_number(value):
            values.append(float(value))
        else:
            faults.append((position, value))
    if faults:
        position, value = faults[0]
        more = f" (and {len(faults) - 1} more such sentences)" if len(faults) > 1 else ""
        raise InputError(
            f"{problem.source}/chunks_labeled.json", f"[{position}].{rule.field}", value, f"a finite number{more}"
        )
    return np.array(values, dtype=np.float64)


def _is_finite_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _counts(problem: Problem, rule: LabelRule, positions: Sequence[int]) -> dict[str, np.ndarray]:
    """The rollouts behind each label; unknown (NaN) for a field other than the counterfactual importance."""
    if rule.field != DEFAULT_LABEL_FIELD:
        return {name: np.full(len(positions), np.nan) for name in COUNT_COLUMNS}
    # of all entries: the next group of rollouts is that of the next entry, also where that one is blank
    counts = rollout_counts(problem.chunks, rule.rollouts or 0)
    return {name: values[list(positions)] for name, values in counts.items()}


def _function_tag(chunk: Mapping[str, Any]) -> str:
    tags = chunk.get("function_tags")
    if isinstance(tags, (list, tuple)) and tags and isinstance(tags[0], str):
        return tags[0]
    return UNKNOWN_TAG
