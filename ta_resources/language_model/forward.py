"""One text through the model: everything that is wanted of it comes out of this one pass.

Belongs here: the forward, what is kept of it, what must not be stored. Stays out: finding and loading models, which
texts there are, memory that runs out (``extractor.py``). torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError, in_short
from ta_assets.core.options import VerticalAttention
from ta_assets.core.traces.pooling import SpanPooler, span_offsets
from ta_assets.core.traces.vertical_attention import full_scores, light_scores, masses
from ta_assets.core.values import PooledProblem, Skip, VerticalScores, Wanted
from ta_resources.language_model.attention_rows import AttentionRows
from ta_resources.language_model.capture import capture_blocks
from ta_resources.language_model.devices import is_out_of_memory
from ta_resources.language_model.tokenizing import AlignedTrace, TraceTokenizer


@dataclass(frozen=True)
class LoadedModel:
    """What a loader hands over."""

    model: Any
    """Base model in eval mode on its device, without the blocks above the deepest of ``blocks``."""
    tokenizer: TraceTokenizer
    identity: dict[str, str]
    blocks: tuple[int, ...]
    """0-based indices of the blocks whose output is pooled, the primary one first."""
    n_blocks: int
    """Blocks of the whole model."""
    context_length: int
    """Tokens: the smaller of the model's and the tokenizer's limit."""
    pooling: str
    """One of ``pooling.POOLINGS``."""
    storage_dtype: Any
    """torch.float16 or torch.float32."""
    vertical: VerticalAttention | None
    tokens_per_forward: int
    progress_seconds: float

    @property
    def dtype(self) -> str:
        """What it computes in: float32, float16 or bfloat16."""
        return str(self.model.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Job:
    """One aligned problem and what is wanted of it."""

    problem_id: int
    trace: AlignedTrace
    wanted: Wanted


def read(loaded: LoadedModel, job: Job, size: int) -> list[PooledProblem | VerticalScores] | Skip:
    """Every wanted block of a problem, then its vertical scores, or why none of it must be stored.

    Args:
        loaded: the model.
        job: the problem.
        size: tokens a forward; a longer text is read in pieces that are joined by a key-value cache.
    """
    import torch

    results: list[PooledProblem | VerticalScores] = []
    with torch.inference_mode():
        poolers = {block: SpanPooler(job.trace.token_spans, loaded.pooling) for block in job.wanted.blocks}
        attention = _attention(loaded, job)
        with attention or nullcontext():
            _feed(loaded, job, size, poolers)
        for block in job.wanted.blocks:
            # popped: the rows of a block that was stored need not wait for the others
            rows = _storable(loaded, job, block, poolers.pop(block).result())
            if isinstance(rows, Skip):
                return rows
            results.append(_pooled(loaded, job, block, rows))
        if attention is not None:
            scores = _scored(loaded, job, attention)
            if not np.isfinite(scores.scores).all():
                return Skip(job.problem_id, "not_finite", f"NaN in the attention weights of block {loaded.blocks[0]}")
            results.append(scores)
    return results


def _feed(loaded: LoadedModel, job: Job, size: int, poolers: dict[int, SpanPooler]) -> None:
    import torch
    from transformers import DynamicCache

    model, ids = loaded.model, job.trace.ids
    tokens = torch.from_numpy(ids).to(model.device)[None]

    def keep(block: int, hidden: Any) -> None:
        if block in poolers:
            poolers[block].feed(hidden[0])

    # the primary block must run for its attention, also when its vectors are stored already
    blocks = [*poolers, loaded.blocks[0]] if job.wanted.vertical else list(poolers)
    with capture_blocks(model, blocks, keep) as run, _faults_named(model.config.model_type, len(ids), size):
        if size >= len(ids):
            run(input_ids=tokens, use_cache=False)
            return
        cache = DynamicCache(config=model.config)
        for piece in tokens.split(size, dim=1):
            run(input_ids=piece, past_key_values=cache, use_cache=True)


@contextmanager
def _faults_named(family: str, n_tokens: int, size: int) -> Iterator[None]:
    """What the code of an architecture raises, but for want of memory, as an input's fault: its configuration is one
    that reads a short text and not this one.

    Raises:
        InputError: with what was raised.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        field = f"a forward of {n_tokens} tokens" + (f" in pieces of {size}" if size < n_tokens else "")
        expected = "a configuration whose numbers fit together, or a shorter text"
        raise InputError(f"model of family {family}", field, in_short(error), expected) from error


def _storable(loaded: LoadedModel, job: Job, block: int, pooled: Any) -> np.ndarray | Skip:
    """Rows in the storage dtype on the host."""
    import torch

    what = "tokens" if loaded.pooling == "tokens" else "sentences"
    wrong = (~torch.isfinite(pooled)).any(dim=1)
    if wrong.any():
        reason = f"NaN or infinity in the vectors of {int(wrong.sum())} of {len(wrong)} {what} at block {block}"
        return Skip(job.problem_id, "not_finite", f"{reason} (computed in {loaded.dtype})")
    rows = pooled.to(loaded.storage_dtype)
    if not torch.isfinite(rows).all():
        reason = f"a coordinate of {float(pooled.abs().max()):.6g} at block {block} does not fit {loaded.storage_dtype}"
        return Skip(job.problem_id, "overflow", f"{reason}; set extraction.storage_dtype to float32")
    return rows.cpu().numpy()


def _pooled(loaded: LoadedModel, job: Job, block: int, rows: np.ndarray) -> PooledProblem:
    trace = job.trace
    offsets = span_offsets(trace.token_spans) if loaded.pooling == "tokens" else None
    return PooledProblem(job.problem_id, block, rows, trace.token_spans, len(trace.ids), trace.text, offsets)


def _is_full(loaded: LoadedModel, job: Job) -> bool:
    options = loaded.vertical
    return options is not None and options.mode == "full" and len(job.trace.ids) <= options.max_full_length


def _attention(loaded: LoadedModel, job: Job) -> AttentionRows | None:
    if not job.wanted.vertical or loaded.vertical is None:
        return None
    first = 0 if _is_full(loaded, job) else max(len(job.trace.ids) - loaded.vertical.last_tokens, 0)
    return AttentionRows(loaded.model, loaded.blocks[0], first)


def _scored(loaded: LoadedModel, job: Job, attention: AttentionRows) -> VerticalScores:
    assert loaded.vertical is not None
    spans, depth_control = job.trace.token_spans, loaded.vertical.depth_control
    chunks = [(first, masses(weights, spans)) for first, weights in attention.weights()]
    mass = np.concatenate([rows for _, rows in chunks])
    if _is_full(loaded, job):
        return VerticalScores(job.problem_id, full_scores(mass, spans, depth_control), "full")
    positions = np.concatenate([np.arange(first, first + len(rows)) for first, rows in chunks])
    mode = "light" if loaded.vertical.mode == "light" else "light_fallback"
    return VerticalScores(job.problem_id, light_scores(mass, positions, spans, depth_control), mode)
