"""A loaded language model at work: traces in, pooled activations or recorded skips out.

Belongs here: one problem after the other, what can go wrong with one, progress. Stays out: finding and loading models
(``model_folder.py``, ``language_model.py``), storage. torch is imported inside functions.

One text per forward, never a batch of texts: a right-padded batch without a mask is exact in arithmetic, but not in
rounding. Measured on SmolLM2 (15 blocks, float32, one core, four texts of 64 to 500 tokens): rows of a batch differ
from the same rows alone by up to 5e-7 relative, and the batch was no faster (3.7 to 3.9 s against 3.9 to 4.4 s). A
problem's bytes must not depend on which other problems a resumed run still has to do.
"""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.core.pooling import segment_mean
from ta_assets.core.spans import UnalignedSentence
from ta_assets.core.values import PooledProblem, Skip
from ta_resources.capture import capture_blocks
from ta_resources.devices import free_device_memory
from ta_resources.tokenizing import AlignedTrace, TraceTokenizer

Log = Callable[[str], None]
MIN_TOKENS_PER_FORWARD = 16
"""Where halving stops: below this a piece needs hardly less memory than the cache of what came before it."""
OUT_OF_MEMORY_TEXTS = ("out of memory", "can't allocate memory", "not enough memory")
"""What CUDA, MPS and the cpu allocator write into a bare RuntimeError."""


@dataclass(frozen=True)
class LoadedModel:
    """What a loader hands over."""

    model: Any
    """Base model in eval mode on its device, without the blocks above ``block``."""
    tokenizer: TraceTokenizer
    identity: dict[str, str]
    block: int
    """0-based index of the block whose output is pooled."""
    n_blocks: int
    """Blocks of the whole model."""
    context_length: int
    """Tokens: the smaller of the model's and the tokenizer's limit."""
    storage_dtype: Any
    """torch.float16 or torch.float32."""
    tokens_per_forward: int
    progress_seconds: float


class Extractor:
    """Turns traces into pooled activations until it is closed; made by ``LanguageModelResource.open``."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded: LoadedModel | None = loaded
        self.identity, self.tokenizer = loaded.identity, loaded.tokenizer
        self.block, self.n_blocks = loaded.block, loaded.n_blocks
        self.context_length = loaded.context_length
        self.d_model: int = loaded.model.config.hidden_size
        self.dtype = str(loaded.model.dtype).removeprefix("torch.")
        self.device_name = _device_name(loaded.model.device)

    def close(self) -> None:
        """Drop the weights and give their memory back; calling it twice is harmless."""
        if self._loaded is None:
            return
        device, alive = self._loaded.model.device, weakref.ref(self._loaded.model)
        self._loaded = None
        if alive() is not None:  # a reference cycle; collecting is slow (0.3 s with transformers loaded), so only then
            gc.collect()
        free_device_memory(device)

    def decode_spans(self, text: str, token_spans: np.ndarray) -> list[str]:
        """The text that each token span decodes to; see ``TraceTokenizer.decode_spans``."""
        return self.tokenizer.decode_spans(text, token_spans)

    def extract(
        self, problems: Iterable[tuple[int, str, Sequence[str]]], *, log: Log
    ) -> Iterator[PooledProblem | Skip]:
        """Pool every problem, in order, one at a time: nothing is kept of a problem once it was yielded.

        A problem's vectors depend on its own text and sentences alone, to the byte, on one machine with one number of
        threads; only after out-of-memory is a text cut into smaller pieces, which changes rounding.

        Args:
            problems: (problem_id, trace text, sentences); any iterable, also an endless one.
            log: receives progress every ``progress_seconds``, and every retry.

        Yields:
            ``PooledProblem`` or, for whatever can be wrong with one problem, ``Skip``: never an exception for one.

        Raises:
            InputError: the tokenizer makes tokens that the model does not have.
        """
        if self._loaded is None:
            raise RuntimeError("the language model is closed: use the extractor inside `with resource.open(spec)`")
        total = len(problems) if isinstance(problems, Sized) else None
        progress = _Progress(total, self._loaded.progress_seconds, log)
        for problem_id, text, sentences in problems:
            progress.before()
            result = self._extract_one(problem_id, text, sentences, log)
            progress.done(result)
            yield result
        progress.finish()

    def _extract_one(self, problem_id: int, text: str, sentences: Sequence[str], log: Log) -> PooledProblem | Skip:
        if not sentences:
            return Skip(problem_id, "no_sentences", "the trace has no sentences")
        try:
            trace = self.tokenizer.align(text, sentences)
        except UnalignedSentence as error:
            return Skip(problem_id, "unaligned", str(error))
        n_tokens = len(trace.ids)
        if n_tokens > self.context_length:
            reason = f"{n_tokens} tokens, the model reads at most {self.context_length}"
            return Skip(problem_id, "context_length", reason)
        self._refuse_unknown_tokens(trace.ids)
        stored = self._pool_within_memory(problem_id, trace, log)
        if isinstance(stored, Skip):
            return stored
        return PooledProblem(problem_id, self.block, stored, trace.token_spans, n_tokens, trace.text)

    def _refuse_unknown_tokens(self, ids: np.ndarray) -> None:
        """A tokenizer that belongs to another model is no fault of one problem; on CUDA it would end the process."""
        assert self._loaded is not None
        rows = self._loaded.model.get_input_embeddings().num_embeddings
        if ids.max() >= rows:
            source = self.identity.get("language_model", "model folder")
            raise InputError(source, "tokenizer.json: token id", int(ids.max()), f"ids below {rows}, the model's own")

    def _pool_within_memory(self, problem_id: int, trace: AlignedTrace, log: Log) -> np.ndarray | Skip:
        """Pool the trace in one forward if it may be that long, in ever smaller pieces when memory runs out."""
        assert self._loaded is not None
        n_tokens = len(trace.ids)
        size = min(n_tokens, self._loaded.tokens_per_forward)
        while True:
            try:
                return self._pool(problem_id, trace, size)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                message = str(error).split("\n")[0]
            # Outside the handler: there the traceback would keep the failed forward's tensors alive.
            gc.collect()
            free_device_memory(self._loaded.model.device)
            if size <= MIN_TOKENS_PER_FORWARD:
                reason = f"{n_tokens} tokens, also in pieces of {size}: {message}; use a device with more memory"
                return Skip(problem_id, "out_of_memory", reason)
            size = max(MIN_TOKENS_PER_FORWARD, size // 2)
            log(f"problem {problem_id}: out of memory, trying pieces of {size} tokens")

    def _pool(self, problem_id: int, trace: AlignedTrace, size: int) -> np.ndarray | Skip:
        """[n_sentences, d_model] storage dtype on the host, or why it must not be stored."""
        import torch

        assert self._loaded is not None
        with torch.inference_mode():
            pooled = segment_mean(self._residual_stream(trace.ids, size), trace.token_spans)
            wrong = (~torch.isfinite(pooled)).any(dim=1)
            if wrong.any():
                reason = f"NaN or infinity in the vectors of {int(wrong.sum())} of {len(wrong)} sentences"
                return Skip(problem_id, "not_finite", f"{reason} (computed in {self.dtype})")
            stored = pooled.to(self._loaded.storage_dtype)
            if not torch.isfinite(stored).all():
                reason = f"a coordinate of {float(pooled.abs().max()):.6g} does not fit {self._loaded.storage_dtype}"
                return Skip(problem_id, "overflow", f"{reason}; set extraction.storage_dtype to float32")
            return stored.cpu().numpy()

    def _residual_stream(self, ids: np.ndarray, size: int) -> Any:
        """[n_tokens, d_model] compute dtype on the device; ``size`` tokens a forward, joined by a key-value cache."""
        import torch
        from transformers import DynamicCache

        assert self._loaded is not None
        model = self._loaded.model
        tokens = torch.from_numpy(ids).to(model.device)[None]
        with capture_blocks(model, [self.block]) as run:
            if size >= len(ids):
                return run(input_ids=tokens, use_cache=False)[self.block][0]
            cache = DynamicCache(config=model.config)
            pieces = [
                run(input_ids=piece, past_key_values=cache, use_cache=True)[self.block][0]
                for piece in tokens.split(size, dim=1)
            ]
        return torch.cat(pieces)


class _Progress:
    """Says every few seconds how far the corpus is, and at the end what came of it."""

    def __init__(self, total: int | None, interval: float, log: Log) -> None:
        self._total, self._interval, self._log = total, interval, log
        self._problems = self._tokens = self._skipped = 0
        self._start = self._last = time.monotonic()

    def before(self) -> None:
        """Log when the interval has passed; called before each problem, so that a slow one is announced."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        seconds = now - self._start
        text = f"problem {self._problems + 1}" + ("" if self._total is None else f" of {self._total}")
        text += f", {self._tokens / max(seconds, 1e-9):,.0f} tokens/s"
        if self._total is not None and self._problems:
            text += f", about {seconds / self._problems * (self._total - self._problems):.0f} s left"
        self._log(text)

    def done(self, result: PooledProblem | Skip) -> None:
        """Count one problem."""
        self._problems += 1
        if isinstance(result, Skip):
            self._skipped += 1
            self._log(f"problem {result.problem_id}: skipped, {result.kind}: {result.reason}")
        else:
            self._tokens += result.n_tokens

    def finish(self) -> None:
        """Log the sum."""
        seconds = time.monotonic() - self._start
        counts = f"{self._problems - self._skipped} problems extracted, {self._skipped} skipped"
        self._log(f"{counts}, {self._tokens:,} tokens in {seconds:.1f} s")


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        known in text for known in OUT_OF_MEMORY_TEXTS
    )


def _device_name(device: Any) -> str:
    """``cpu``, ``mps`` or the GPU's product name."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
