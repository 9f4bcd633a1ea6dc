"""The language model as a resource: what identifies it, its tokenizer, and an extractor while it is open.

Belongs here: configuration, freeing. Stays out: what happens to a trace (``extractor.py``), loading
(``loading.py``), files (``model_folder.py``). torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.traces.pooling import POOLINGS
from ta_resources.language_model.attention_rows import require_readable
from ta_resources.language_model.checkpoint.loading import load_base_model
from ta_resources.language_model.checkpoint.model_folder import HubAccess, ModelFolder, open_folder
from ta_resources.language_model.devices import (
    STORAGE_DTYPES,
    is_out_of_memory,
    resolve_device,
    resolve_dtype,
    torch_dtype,
)
from ta_resources.language_model.extractor import Extractor
from ta_resources.language_model.forward import LoadedModel
from ta_resources.language_model.tokenizing import TraceTokenizer

UNLIMITED_TOKENS = 10**30
"""What transformers writes where a length has no limit."""
POSITIONS = ("max_position_embeddings", "max_seq_len", "max_target_positions")
"""Names of the longest text in the configurations of transformers."""


class LanguageModelResource(dg.ConfigurableResource):
    """Text and sentences -> pooled activations of one or more blocks, on a GPU, on MPS or on a cpu."""

    device: str = Field(default="auto", description="auto (cuda, else mps, else cpu), cpu, mps, cuda or cuda:<number>.")
    tokens_per_forward: int = Field(
        default=16384,
        ge=16,
        description="Longer texts are read in pieces of so many tokens, joined by a key-value cache; "
        "halved for a text that does not fit into memory.",
    )
    progress_seconds: float = Field(default=5.0, ge=0, description="Seconds between two lines of progress.")
    offline: bool = Field(default=False, description="Use only models that were downloaded before.")
    endpoint: str | None = Field(default=None, description="Address of a Hub other than the public one.")
    cache_dir: str | None = Field(default=None, description="Folder of downloads other than huggingface_hub's own.")

    def identity(self, spec: ExtractionSpec) -> dict[str, str]:
        """What decides the weights and the tokens, for a fingerprint; no path, no device.

        A Hub id gives ``{"kind": "hub", "language_model", "commit"}`` (one small request; the cached commit when the
        Hub cannot be reached). A folder gives ``{"kind": "folder", "sha256"}`` over the content of its config,
        tokenizer and safetensors files, read once in a process (about 1 s per GB) while size and time stay. Those are
        all files that are ever read: a pickle beside safetensors is not, and does no harm.

        Raises:
            InputError: the model cannot be found, or is one that is never loaded: one that names code of its author or
                other files, or a folder without safetensors (pickles alone) or with an adapter. Of a model on the Hub,
                ``open`` says the latter, because only it asks for weights.
        """
        return self._folder(spec).identity()

    def tokenizer(self, spec: ExtractionSpec) -> TraceTokenizer:
        """The tokenizer alone: no weights, no torch.

        Raises:
            InputError: as ``identity``, or as ``TraceTokenizer.from_folder``.
        """
        return TraceTokenizer.from_folder(self._folder(spec), spec.bos)

    @contextmanager
    def open(self, spec: ExtractionSpec) -> Iterator[Extractor]:
        """Load the model up to the deepest wanted block, and free it on the way out.

        Raises:
            InputError: as ``identity``; or a layer, dtype, pooling or device that is not there; or too little memory.
        """
        if spec.pooling not in POOLINGS:
            raise InputError(spec.language_model, "extraction.pooling", spec.pooling, f"one of {', '.join(POOLINGS)}")
        device = resolve_device(self.device)
        storage_dtype = torch_dtype("extraction.storage_dtype", spec.storage_dtype, STORAGE_DTYPES)
        folder = self._folder(spec)
        tokenizer = TraceTokenizer.from_folder(folder, spec.bos)
        dtype = resolve_dtype(spec.dtype, device)
        try:
            model, blocks, n_blocks = load_base_model(folder, spec.layer, device, dtype)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            expected = f"enough of it on {device} for the model up to its deepest wanted block; free some, choose an "
            expected += "earlier extraction.layer or another device, then start the command again"
            raise InputError(folder.source, "memory", str(error).split("\n")[0], expected) from error
        if spec.scored_attention is not None:
            require_readable(model, blocks[0], folder.source)
        limits = [getattr(model.config, name, None) for name in POSITIONS]
        extractor = Extractor(
            LoadedModel(
                model=model,
                tokenizer=tokenizer,
                identity=folder.identity(),
                blocks=blocks,
                n_blocks=n_blocks,
                context_length=min(limit for limit in [*limits, tokenizer.max_tokens, UNLIMITED_TOKENS] if limit),
                pooling=spec.pooling,
                vertical=spec.scored_attention,
                storage_dtype=storage_dtype,
                tokens_per_forward=self.tokens_per_forward,
                progress_seconds=self.progress_seconds,
            )
        )
        del model  # else this frame would hold the weights beyond close()
        try:
            yield extractor
        finally:
            extractor.close()

    def _folder(self, spec: ExtractionSpec) -> ModelFolder:
        access = HubAccess(offline=self.offline, endpoint=self.endpoint, cache_dir=self.cache_dir)
        return open_folder(spec.language_model, spec.revision, access)
