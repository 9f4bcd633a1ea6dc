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
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import UnalignedSentence
from ta_assets.core.values import PooledProblem, Skip, VerticalScores, Wanted
from ta_resources.language_model.checkpoint.families import is_prefix_stable, is_read_in_pieces
from ta_resources.language_model.devices import free_device_memory, is_out_of_memory
from ta_resources.language_model.forward import Job, LoadedModel, read
from ta_resources.language_model.progress import Log, Progress
from ta_resources.language_model.tokenizing import AlignedTrace

MIN_TOKENS_PER_FORWARD = 16
"""Where halving stops: below this a piece needs hardly less memory than the cache of what came before it."""


class Extractor:
    """Turns traces into pooled activations until it is closed; made by ``LanguageModelResource.open``."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded: LoadedModel | None = loaded
        self.identity, self.tokenizer = loaded.identity, loaded.tokenizer
        self.blocks, self.n_blocks, self.pooling = loaded.blocks, loaded.n_blocks, loaded.pooling
        self.block = loaded.blocks[0]
        self.context_length = loaded.context_length
        self.d_model: int = loaded.model.config.hidden_size
        self.storage_bytes: int = loaded.storage_dtype.itemsize
        self.dtype, self.vertical = loaded.dtype, loaded.vertical
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
        self,
        problems: Iterable[tuple[int, str, Sequence[str]]],
        *,
        log: Log,
        wanted: Mapping[int, Wanted] | None = None,
    ) -> Iterator[PooledProblem | VerticalScores | Skip]:
        """Pool every problem, in order, one at a time: nothing is kept of a problem once it was yielded.

        All blocks of a problem come out of one forward pass, which ends at the deepest of them. A problem's vectors
        depend on its own text and sentences alone, to the byte, on one machine, with 1 thread as with 2 (``make prove``
        compares them); only after out-of-memory is a text cut into smaller pieces, which changes rounding, and so does
        reading only its beginning.

        Args:
            problems: (problem_id, trace text, sentences); any iterable, also an endless one.
            log: receives progress every ``progress_seconds``, and every retry.
            wanted: problem id -> what of it; by default all of ``self.blocks``, and vertical scores if they are on.
                Of the first sentences alone the whole text is tokenized all the same, since a token may reach over the
                end of a sentence; then its first tokens are read.

        Yields:
            One ``PooledProblem`` for each block of a problem, in the order of the blocks, then its ``VerticalScores``;
            or, for whatever can be wrong with one problem, one ``Skip``: never an exception for one.

        Raises:
            InputError: the tokenizer makes tokens that the model does not have.
        """
        if self._loaded is None:
            raise RuntimeError("the language model is closed: use the extractor inside `with resource.open(spec)`")
        everything = Wanted(self.blocks, vertical=self.vertical is not None)
        total = len(problems) if isinstance(problems, Sized) else None
        progress = Progress(total, self._loaded.progress_seconds, log)
        for problem_id, text, sentences in problems:
            progress.before()
            of = everything if wanted is None else wanted[problem_id]
            job = self._job((problem_id, text, sentences), of)
            result = job if isinstance(job, Skip) else self._read_within_memory(job, log)
            if isinstance(result, Skip):
                progress.skipped(result)
                yield result
            elif isinstance(job, Job):
                progress.extracted(len(job.trace.ids))
                yield from result
        progress.finish()

    def _job(self, problem: tuple[int, str, Sequence[str]], wanted: Wanted) -> Job | Skip:
        problem_id, text, sentences = problem
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
        return Job(problem_id, trace if wanted.sentences is None else self._beginning(trace, wanted.sentences), wanted)

    def _beginning(self, trace: AlignedTrace, n_sentences: int) -> AlignedTrace:
        """The first sentences, and the tokens up to the last of theirs; all tokens where more of them matter."""
        assert self._loaded is not None
        token_spans = trace.token_spans[:n_sentences]
        end = token_spans[:, 1].max() if is_prefix_stable(self._loaded.model.config) else len(trace.ids)
        return AlignedTrace(trace.text, trace.ids[:end], token_spans)

    def _refuse_unknown_tokens(self, ids: np.ndarray) -> None:
        """A tokenizer that belongs to another model is no fault of one problem; on CUDA it would end the process."""
        assert self._loaded is not None
        rows = self._loaded.model.get_input_embeddings().num_embeddings
        if ids.max() >= rows:
            source = self.identity.get("language_model", "model folder")
            raise InputError(source, "tokenizer.json: token id", int(ids.max()), f"ids below {rows}, the model's own")

    def _read_within_memory(self, job: Job, log: Log) -> list[PooledProblem | VerticalScores] | Skip:
        """Read the trace in one forward if it may be that long, in ever smaller pieces when memory runs out.

        A family of which pieces are not proven is read whole, however long the text.
        """
        assert self._loaded is not None
        n_tokens, in_pieces = len(job.trace.ids), is_read_in_pieces(self._loaded.model.config)
        size = min(n_tokens, self._loaded.tokens_per_forward) if in_pieces else n_tokens
        while True:
            try:
                return read(self._loaded, job, size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                message = str(error).split("\n")[0]
            # Outside the handler: there the traceback would keep the failed forward's tensors alive.
            gc.collect()
            free_device_memory(self._loaded.model.device)
            if not in_pieces:
                family = self._loaded.model.config.model_type
                reason = f"{n_tokens} tokens of a {family} model, which is not read in pieces: {message}"
                return Skip(job.problem_id, "out_of_memory", f"{reason}; use a device with more memory")
            if size <= MIN_TOKENS_PER_FORWARD:
                reason = f"{n_tokens} tokens, also in pieces of {size}: {message}; use a device with more memory"
                return Skip(job.problem_id, "out_of_memory", reason)
            size = max(MIN_TOKENS_PER_FORWARD, size // 2)
            log(f"problem {job.problem_id}: out of memory, trying pieces of {size} tokens")


def _device_name(device: Any) -> str:
    """``cpu``, ``mps`` or the GPU's product name."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
