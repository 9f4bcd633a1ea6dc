"""What the page of a study tells of a setting, against its artifacts: comparison, charts, problems, traces.

Belongs here: faults of embedded values. Stays out: the first screen and the verdict (``report_tells_artifacts``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_checks.rules.claims.precisions import precision_of, score_names

RELATIVE = 6e-6
"""Embedded numbers have six significant digits."""
COUNTS = ["n_different", "k_different", "n_next", "k_next"]


@dataclass(frozen=True)
class Told:
    """The artifacts of a setting; None where there is no such artifact."""

    comparison: Mapping[str, Any] | None
    sentences: pd.DataFrame | None
    """The labelled sentences of its problems."""
    scores: pd.DataFrame | None
    """Out-of-fold scores, columns ``name/repeat``."""
    nulls: pd.DataFrame | None
    """Row 0: true labels; the others: refitted to permuted labels."""


def of_comparison(main: Mapping[str, Any], setting: str, of: Told) -> Iterator[str]:
    """Faults of the rows and the charts of a comparison."""
    shown = main["comparison"].get(setting)
    if (None if shown is None else shown["artifact"]) != of.comparison:
        yield "the embedded comparison is not the stored one"
    if shown is None or of.comparison is None:
        return
    numbers = shown["numbers"]
    for one in numbers["nulls"]:
        column = f"{one['scheme']}/{one['name']}"
        stored = [] if of.nulls is None or column not in of.nulls else of.nulls[column].to_numpy()
        if not same([one["observed"], *one["permuted"]], stored):
            yield f"the null {column} is not the stored one"
    for name, wanted in _powers(of.comparison["rows"], numbers["power_problems"]).items():
        if not same(numbers["power"].get(name, []), wanted, 1e-4):
            yield f"the power of {name} is not that of its lead"
    curve = numbers["blocks"]
    observed = [] if curve is None or of.nulls is None else [_best(of.nulls, block) for block in curve["blocks"]]
    if curve is not None and not same(curve["observed"], observed):
        yield "the curve over blocks is not the stored one"


def of_problems(shown: Sequence[Mapping[str, Any]], of: Told) -> Iterator[str]:
    """Faults of the list of problems: their precisions."""
    if of.scores is None:
        return
    mixed = of.scores.groupby("problem_id")["anchor"].nunique() > 1
    ids = [int(one) for one in mixed.index[mixed.to_numpy()]]
    by_id = {one["id"]: one["precision"] for one in shown}
    for name in score_names(of.scores):
        if not same([by_id.get(one, {}).get(name) for one in ids], precision_of(of.scores, name)):
            yield f"the precisions of {name} are not those of its scores"


def of_traces(shown: Mapping[int, Mapping[str, Any]], of: Told) -> Iterator[str]:
    """Faults of the traces: texts, labels, counts and scores of every sentence."""
    stored = {} if of.sentences is None else _by_problem(of.sentences)
    if set(shown) != set(stored):
        yield f"traces of {len(shown)} problems are embedded, {len(stored)} are stored"
    scored = {} if of.scores is None else _by_problem(_means(of.scores))
    for problem_id in sorted(set(shown) & set(stored)):
        trace, rows = shown[problem_id], stored[problem_id]
        if [_words(text) for text in trace["text"]] != [_words(str(text)) for text in rows["chunk_text"]]:
            yield f"problem {problem_id}: the sentences are not the stored ones"
            continue
        counts = [None if np.isnan(one).any() else one.astype(int).tolist() for one in rows[COUNTS].to_numpy(float)]
        wanted = {"importance": rows["importance_signed"].to_numpy(), "anchor": rows["anchor"].to_numpy()}
        differ = [name for name, values in wanted.items() if not same(trace[name], values)]
        differ += ["counts"] if trace["counts"] != counts else []
        if problem_id in scored:
            own = scored[problem_id].set_index("chunk_idx").drop(columns="problem_id")
            own = own.reindex(rows["chunk_idx"].to_numpy())
            differ += [name for name in own if not same(trace["scores"].get(name, []), own[name].to_numpy())]
        if differ:
            yield f"problem {problem_id}: {', '.join(map(str, differ))} are not the stored ones"


def same(shown: Sequence[float | None], stored: Any, relative: float = RELATIVE) -> bool:
    """Whether numbers are those, to the embedded digits; None stands for NaN."""
    found = np.array([math.nan if one is None else one for one in shown], dtype=np.float64)
    return len(found) == len(stored) and np.allclose(found, stored, rtol=relative, atol=1e-12, equal_nan=True)


def _powers(rows: Iterable[Mapping[str, Any]], problems: Sequence[int]) -> dict[str, list[float]]:
    """Name -> power of Student's test of its lead: the noncentral t beyond the critical value (Cohen 1988, 2.3)."""
    from scipy.stats import nct, t

    found = {}
    for row in rows:
        if row["deviation"] > 0:
            size = max(abs(row["difference"]), 1e-6) / row["deviation"]
            critical = [t.isf(row["level"] / 2, n - 1) for n in problems]
            found[row["name"]] = [
                float(nct.sf(one, n - 1, size * math.sqrt(n))) for one, n in zip(critical, problems, strict=True)
            ]
    return found


def _best(nulls: pd.DataFrame, block: int) -> float:
    """What the best ridge of a block scores on the labels as they are."""
    first = str(nulls.columns[0]).partition("/")[0]
    return max(nulls[column].iloc[0] for column in nulls.columns if column.startswith(f"{first}/ridge@{block}|"))


def _by_problem(rows: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return {int(str(key)): of for key, of in rows.groupby("problem_id")}


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over repeats of every score."""
    means = {
        name: scores[[one for one in scores.columns if one.rpartition("/")[0] == name]].to_numpy(float).mean(axis=1)
        for name in score_names(scores)
    }
    return pd.DataFrame({"problem_id": scores["problem_id"], "chunk_idx": scores["chunk_idx"], **means})


def _words(text: str) -> str:
    return " ".join(text.split())
