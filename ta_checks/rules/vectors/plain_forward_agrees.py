"""The vectors of a problem are those that anybody gets from the same model and text without any code of this project.

Transformers runs the whole model and hands out its hidden states; spans come from the text that the tokens decode to;
means are taken in float64. What ``activations_match_text`` computes with the extraction's own code, for all problems,
is so held against something else, for one. Stays out: loading (``plain_model``), spans (``plain_spans``).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.own_join import RawShard, read_raw
from ta_checks.rules.vectors.activations_match_text import relative_difference, tolerance_of
from ta_checks.rules.vectors.plain_model import (
    NotPlain,
    PlainModel,
    Reader,
    first_tokens,
    library_reader,
    plain_model,
    transformers_reader,
)
from ta_checks.rules.vectors.plain_spans import BROKEN, bare, places, span_of, token_ranges
from ta_checks.verdict import Verdict

MOST_TOKENS = 512
"""Of a text that are read: in a causal model the first ones do not depend on what follows them."""
LONG_ROTATIONS = ("dynamic", "longrope")
"""Rotary embeddings that depend on the length of a text: of such a model it is read to its end."""
FEWEST_SENTENCES = 2
TRIES = 5
"""Problems that are looked at for one whose sentences lie in one place only."""


class Row(NamedTuple):
    """One sentence at one block."""

    key: str
    stored: np.ndarray
    """[d_model], or [n_tokens, d_model] of all its tokens."""
    plain: np.ndarray
    """The same, float64."""


def read(evidence: Evidence) -> dict[str, Any]:
    """One problem of the corpus, drawn by the stored vectors: its first 512 tokens through transformers' own model."""
    record = evidence.value.record
    stored = evidence.study.extraction_spec(evidence.partition).storage_dtype
    dtypes = {"storage_dtype": stored, "compute_dtype": record["extraction"]["dtype"]}
    if not record["shards"]:
        return {"rows": None, "reason": "no problem was extracted", **dtypes}
    try:
        with plain_model(evidence) as loaded:
            rows = _rows(evidence, loaded, tolerance_of(**dtypes))
    except NotPlain as reason:
        return {"rows": None, "reason": str(reason), **dtypes}
    return {"rows": rows, "reason": "", **dtypes}


def plain_forward_agrees(rows: Sequence[Row] | None, reason: str, *, storage_dtype: str, compute_dtype: str) -> Verdict:
    """Fail when a stored vector differs from the plain one by more than rounding can explain.

    Args:
        rows: sentences of one problem; None where nothing can be compared.
        reason: why not, in words that follow ``because``.
        storage_dtype: float16 or float32.
        compute_dtype: float32, float16 or bfloat16.
    """
    if rows is None:
        return Verdict.no_faults([], n=0, unit="vectors", message=f"not evaluated because {reason}")
    tolerance = tolerance_of(storage_dtype, compute_dtype)
    found = [(row.key, relative_difference(row.stored, row.plain)) for row in rows]
    wrong = sorted((pair for pair in found if not pair[1] <= tolerance), key=lambda pair: -pair[1])
    message = f"{len(wrong)} of {len(found)} vectors are not those of a plain forward pass"
    if wrong:
        message += ": another block, other tokens, another pooling, or numbers that were changed on their way"
    return Verdict.judge(
        max((difference for _, difference in found), default=np.inf),
        "<=",
        tolerance,
        unit="relative difference",
        n=len(found),
        offenders=[f"{key}: {difference:.2g}" for key, difference in wrong],
        message=message,
    )


ROW = Invariant(
    "plain_forward_agrees",
    "activations",
    read,
    plain_forward_agrees,
    "Vectors of a problem are not those that transformers gives for its text without any code of this project: the "
    "extraction reads another block or other tokens, or pools otherwise than it says, on both sides of its own "
    "comparison. Look at what changed in ta_resources/language_model. The last block is not looked at, since "
    "transformers gives it behind the final norm only; nor is a model that cannot be loaded whole, which the message "
    "then says.",
    uses_model=True,
)


@dataclass(frozen=True)
class _Asked:
    """What a study asks of an extraction, and what computes it."""

    loaded: PlainModel
    pooling: str
    first: Sequence[int]
    """Tokens before every text."""
    blocks: Sequence[int]


def _rows(evidence: Evidence, loaded: PlainModel, tolerance: float) -> list[Row]:
    """Rows of the first drawn problem that can be read, with the tokens of whichever tokenizer fits the stored ones."""
    record, spec = evidence.value.record, evidence.study.extraction_spec(evidence.partition)
    n_blocks = loaded.model.config.num_hidden_layers
    asked = blocks_of(spec.layer, n_blocks)
    if set(asked) != set(record["blocks"]):
        key = f"blocks {record['blocks']} are stored, the study asks for {asked} of {n_blocks}"
        return [Row(key, np.zeros(0), np.zeros(1))]
    blocks = [block for block in asked if block < n_blocks - 1]
    if not blocks:
        raise NotPlain("transformers gives the last block behind the final norm only")
    wanted = _Asked(loaded, spec.pooling, first_tokens(loaded.folder, spec.bos), blocks)
    ids = sorted(map(int, record["shards"]))
    drawn = random.Random(json.dumps(record, sort_keys=True)).sample(ids, min(TRIES, len(ids)))
    for problem in evidence.world.rollouts.load_problems(evidence.world.source(evidence.partition), drawn):
        files = record["shards"][str(problem.problem_id)]
        shards = {block: read_raw(evidence.world.store.files, files[str(block)]["file"]) for block in blocks}
        found = list(_of_problem(wanted, library_reader(loaded.folder), problem, shards))
        if not found or any(relative_difference(row.stored, row.plain) > tolerance for row in found):
            # what lies beside tokenizer.json may decide tokens, too
            with suppress(NotPlain):
                again = list(_of_problem(wanted, transformers_reader(loaded.folder), problem, shards))
                agrees = again and all(relative_difference(row.stored, row.plain) <= tolerance for row in again)
                found = again if agrees or not found else found
        if found:
            return found
    raise NotPlain(f"in {len(drawn)} problems too few sentences lie in one place of their text alone")


def blocks_of(layer: Any, n_blocks: int) -> list[int]:
    """The blocks that ``extraction.layer`` means; a fraction is rounded down from the number as it is written."""
    if layer == "all":
        return list(range(n_blocks))
    if isinstance(layer, (list, tuple)):
        return [block for one in layer for block in blocks_of(one, n_blocks)]
    if layer == "mid":
        return [n_blocks // 2]
    return [layer if isinstance(layer, int) else math.floor(Fraction(str(layer)) * n_blocks)]


def _of_problem(asked: _Asked, reader: Reader, problem: Problem, shards: Mapping[int, RawShard]) -> Iterator[Row]:
    tokens = reader.encode(problem.trace_text)
    first = [] if tokens[: len(asked.first)] == list(asked.first) else list(asked.first)
    if not _depends_on_length(asked.loaded.model.config):
        tokens = tokens[:MOST_TOKENS]
    spans = _spans(reader, tokens, problem)
    if len(spans) < FEWEST_SENTENCES:
        return
    for block, states in _hidden_states(asked, [*first, *tokens]).items():
        shard = shards[block]
        for index, (start, end) in spans.items():
            plain = states[start + len(first) : end + len(first)]
            key = f"problem {problem.problem_id}, sentence {index}, block {block}"
            if index >= len(shard.spans):
                yield Row(f"{key} is not stored", np.zeros(0), plain)
            elif shard.offsets is None:
                yield Row(key, shard.vectors[index], plain[-1] if asked.pooling == "last" else plain.mean(axis=0))
            else:
                yield Row(key, shard.vectors[shard.offsets[index] : shard.offsets[index + 1]], plain)


def _spans(reader: Reader, tokens: Sequence[int], problem: Problem) -> dict[int, tuple[int, int]]:
    """Spans of the sentences that lie within the tokens and in one place only, by their index."""
    text, decoded = bare(problem.trace_text), bare(reader.decode(tokens))
    if not text.startswith(decoded.rstrip(BROKEN)):
        return {}
    prompt = problem.base_solution.get("prompt")
    begin = len(bare(prompt)) if isinstance(prompt, str) and text.startswith(bare(prompt)) else 0
    try:
        found = places(text, [bare(sentence) for sentence in problem.sentences], begin)
    except ValueError:
        return {}
    ranges = token_ranges(reader, tokens)
    return {
        index: span_of(place, ranges)
        for index, (place, sentence) in enumerate(zip(found, problem.sentences, strict=True))
        if place is not None and place[1] <= ranges[-1][1] and sentence == sentence.strip()
    }


def _hidden_states(asked: _Asked, tokens: Sequence[int]) -> dict[int, np.ndarray]:
    """Block -> [n_tokens, d_model] float64, the residual stream after it.

    Most families hand out what enters the first block before the others, some do not. What enters does not depend
    on the tokens before, and what leaves it does.
    """
    import torch

    def states(given: Sequence[int]) -> Any:
        batch = asked.loaded.ids(given)
        return asked.loaded.model(input_ids=batch, use_cache=False, output_hidden_states=True).hidden_states

    a = tokens[0]
    b = next(token for token in tokens if token != a)
    with torch.inference_mode():
        shift = int(torch.equal(states([a, a])[0][0, 1], states([b, a])[0][0, 1]))
        whole = states(tokens)
        return {block: whole[block + shift][0].double().cpu().numpy() for block in asked.blocks}


def _depends_on_length(config: Any) -> bool:
    rotations = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rotations, *(one for one in rotations.values() if isinstance(one, dict))]
    return any(one.get("rope_type", one.get("type")) in LONG_ROTATIONS for one in kinds)
