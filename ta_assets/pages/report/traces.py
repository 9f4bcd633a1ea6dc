"""The traces of a setting as the page shows them: texts with their gaps, importances, scores.

Belongs here: joining what the artifacts and the data hold of a sentence. Stays out: judging scores (``core``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.errors import InputError
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS
from ta_assets.core.traces.spans import UnalignedSentence, character_spans
from ta_assets.core.values import CrossFitted, Problem
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_resources.hub_client import HubFailedError

DIGITS = 6
SHOWN_STATEMENT = 160
"""Characters of a problem's statement in the list."""
REPLACED_PROBLEMS = 3
"""Problems of a setting whose rollouts are read: one may have a hundred files of them, of megabytes each."""
REPLACEMENTS = 8
"""Replacement texts of a sentence, the most frequent first."""


@dataclass(frozen=True)
class Traces:
    """The traces of a setting."""

    index: list[dict[str, Any]]
    """Of each problem id, n (sentences), anchors, precision (score -> average precision; empty where all sentences are
    of one class) and about (how its statement begins)."""
    problems: dict[int, dict[str, Any]]
    """Problem id -> prompt, tail, and lists over sentences: text, before (what stands between it and the sentence in
    front), importance, anchor, error, counts, tag, outcomes; scores (name -> list) and replaced (sentence -> list of
    text, times, right ones)."""
    scores: list[str]
    """Names of the scores."""


def of_setting(world: World, study: Study, setting: str, scores: CrossFitted | None, missing: list[str]) -> Traces:
    """The traces of a setting; a line of ``missing`` for what could not be read."""
    corpus = study.settings[setting].corpus
    try:
        sentences = world.store.load("sentences", corpus)
        wanted = world.store.load("problem_ids", setting)
    except InputError as error:
        missing.append(f"traces of {setting}: {error}")
        return Traces([], {}, [])
    sentences = sentences.take(np.flatnonzero(sentences["problem_id"].isin(wanted).to_numpy()))
    texts = _texts(world, study, corpus, sorted(set(sentences["problem_id"].tolist())), missing)
    by_problem, precisions = _scores(scores), _precisions(scores)
    index, problems = [], {}
    for key, rows in sentences.groupby("problem_id"):
        problem_id = int(str(key))
        own = by_problem.get(problem_id, pd.DataFrame(index=pd.Index([], dtype="int64")))
        problems[problem_id] = _problem(rows, texts.get(problem_id), own)
        index.append(_entry(problem_id, rows, texts.get(problem_id), precisions.get(problem_id, {})))
    for problem_id, replaced in _replaced(world, study, corpus, texts, missing).items():
        problems[problem_id]["replaced"] = replaced
    return Traces(index, problems, list(scores.table.names()) if scores is not None else [])


def _texts(
    world: World, study: Study, corpus: str, problem_ids: Sequence[int], missing: list[str]
) -> dict[int, Problem]:
    found = {}
    try:
        for problem_id, problem in world.rollouts.read_problems(world.source(corpus), problem_ids):
            if isinstance(problem, Problem):
                found[problem_id] = problem
    except (InputError, HubFailedError) as error:
        missing.append(f"what stands between the sentences of {corpus}: {error}")
    return found


def _scores(scores: CrossFitted | None) -> dict[int, pd.DataFrame]:
    """Problem id -> mean over repeats of every score, by sentence."""
    if scores is None:
        return {}
    table = scores.table
    means = pd.DataFrame({name: table.of(name).mean(axis=0) for name in table.names()})
    means.index = pd.Index(table.frame["chunk_idx"])
    return {int(one): means.iloc[np.flatnonzero(table.problems == one)] for one in np.unique(table.problems)}


def _problem(rows: pd.DataFrame, problem: Problem | None, scores: pd.DataFrame) -> dict[str, Any]:
    from ta_assets.core.statistics.label_noise import standard_errors

    said = [str(text) for text in rows["chunk_text"]]
    prompt, before, texts, tail = _aligned(said, problem)
    counts = rows[list(COUNT_COLUMNS)].to_numpy(np.float64)
    scores = scores.reindex(rows["chunk_idx"].to_numpy())
    return {
        "prompt": prompt,
        "tail": tail,
        "text": texts,
        "before": before,
        "importance": [rounded(one) for one in rows["importance_signed"]],
        "anchor": [int(one) for one in rows["anchor"]],
        "error": [rounded(one) for one in standard_errors(rows)],
        "counts": [None if np.isnan(one).any() else [int(count) for count in one] for one in counts],
        "tag": [str(tag) for tag in rows["function_tag"]],
        "outcomes": _outcomes(problem, len(rows)),
        "scores": {str(name): [rounded(one) for one in scores[name]] for name in scores.columns},
        "replaced": {},
    }


def _outcomes(problem: Problem | None, n_rows: int) -> list[dict[str, int] | None]:
    """Of every sentence how its rollouts ended, by outcome; None where the data does not tell."""
    if problem is None:
        return [None] * n_rows
    told = [problem.chunks[position].get("outcomes") for position in problem.spoken[:n_rows]]
    return [one if isinstance(one, dict) and all(type(n) is int for n in one.values()) else None for one in told]


def _aligned(said: list[str], problem: Problem | None) -> tuple[str, list[str], list[str], str]:
    """Prompt, what stands before each sentence, the sentences, and what follows; joined by spaces where unknown."""
    unknown = "", ["", *[" "] * (len(said) - 1)], said, ""
    if problem is None or list(problem.sentences[: len(said)]) != said:
        return unknown
    text = problem.trace_text
    try:
        spans = character_spans(text, problem.sentences)[: len(said)].tolist()
    except UnalignedSentence:
        return unknown
    ends = [spans[0][0], *(end for _, end in spans)]
    before = [text[end:start] for end, (start, _) in zip(ends, spans, strict=False)]
    return text[: spans[0][0]], before, [text[start:end] for start, end in spans], text[ends[-1] :]


def _precisions(scores: CrossFitted | None) -> dict[int, dict[str, float | None]]:
    """Problem id -> score -> average precision, mean over repeats; of the problems that hold both classes."""
    from ta_assets.core.statistics.ranking import average_precision_by_problem, mixed_problems

    if scores is None:
        return {}
    table = scores.table
    found: dict[int, dict[str, float | None]] = {one: {} for one in mixed_problems(table.anchors, table.problems)}
    for name in table.names():
        by_problem = average_precision_by_problem(table.anchors, table.of(name).T, table.problems).mean(axis=1)
        for problem_id, precision in zip(found, by_problem, strict=True):
            found[problem_id][name] = rounded(precision)
    return found


def _entry(
    problem_id: int, rows: pd.DataFrame, problem: Problem | None, precision: dict[str, float | None]
) -> dict[str, Any]:
    about = problem.statement.get("problem") if problem is not None else None
    about = about if isinstance(about, str) else str(rows["chunk_text"].iloc[0])
    return {
        "id": problem_id,
        "n": len(rows),
        "anchors": int(rows["anchor"].sum()),
        "precision": precision,
        "about": " ".join(about[:SHOWN_STATEMENT].split()),
    }


def _replaced(
    world: World, study: Study, corpus: str, texts: Mapping[int, Problem], missing: list[str]
) -> dict[int, dict[str, list[Any]]]:
    """Problem id -> sentence -> replacement texts, of the first problems whose rollouts are on this machine."""
    found: dict[int, dict[str, list[Any]]] = {}
    if corpus in study.generated:
        rows = world.store.load("labels", corpus).rows
        for problem_id in list(texts)[:REPLACED_PROBLEMS]:
            own = rows[rows["problem_id"] == problem_id]["replaced"]
            found[problem_id] = {str(index): json.loads(of) for index, of in enumerate(own)}
        return found
    source = world.source(corpus)
    for problem_id, problem in texts.items():
        folders = [problem.folders[position] for position in problem.spoken]
        try:
            if len(found) == REPLACED_PROBLEMS:
                break
            if world.rollouts.kept_rollouts(source, problem_id, folders) < len(folders):
                continue
            rollouts = world.rollouts.load_rollouts(source, problem_id, folders)
        except (InputError, HubFailedError) as error:
            missing.append(f"replacement texts of problem {problem_id} of {corpus}: {error}")
            continue
        found[problem_id] = {str(index): _counted(of) for index, of in enumerate(rollouts)}
    return found


def _counted(rollouts: Sequence[Any]) -> list[Any]:
    times = Counter(one.resampled for one in rollouts)
    right = Counter(one.resampled for one in rollouts if one.is_correct)
    ordered = sorted(times, key=lambda text: (-times[text], text))
    return [[text, times[text], right[text]] for text in ordered[:REPLACEMENTS]]


def rounded(value: float) -> float | None:
    """A number to ``DIGITS`` significant digits; None for NaN."""
    return None if np.isnan(value) else float(f"{value:.{DIGITS}g}")
