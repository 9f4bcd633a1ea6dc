"""The language model as a resource: what identifies it, its tokenizer, and an extractor while it is open.

Belongs here: configuration, loading, freeing. Stays out: what happens to a trace (``extractor.py``), files
(``model_folder.py``). torch and transformers are imported inside functions, so that the graph loads without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ta_assets.core.errors import InputError, in_short
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.traces.pooling import POOLINGS
from ta_resources.language_model.attention_rows import require_readable
from ta_resources.language_model.capture import Layer, block_list, resolve_blocks
from ta_resources.language_model.devices import (
    STORAGE_DTYPES,
    is_out_of_memory,
    resolve_device,
    resolve_dtype,
    torch_dtype,
)
from ta_resources.language_model.extractor import Extractor
from ta_resources.language_model.forward import LoadedModel
from ta_resources.language_model.model_folder import CONFIG, HubAccess, ModelFolder, loadable, open_folder, weight_files
from ta_resources.language_model.tokenizing import TraceTokenizer

if TYPE_CHECKING:
    import torch

UNLIMITED_TOKENS = 10**30
"""What transformers writes where a length has no limit."""
_KNOWN_DECODER = "a decoder that this version of transformers knows by itself"


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
            InputError: as ``identity``, or no ``tokenizer.json``.
        """
        return TraceTokenizer.from_folder(self._folder(spec))

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
        tokenizer = TraceTokenizer.from_folder(folder)
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
        model_limit = getattr(model.config, "max_position_embeddings", None) or UNLIMITED_TOKENS
        extractor = Extractor(
            LoadedModel(
                model=model,
                tokenizer=tokenizer,
                identity=folder.identity(),
                blocks=blocks,
                n_blocks=n_blocks,
                context_length=min(model_limit, tokenizer.max_tokens or UNLIMITED_TOKENS),
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


def load_base_model(
    folder: ModelFolder, layer: Layer | Sequence[Layer], device: torch.device, dtype: torch.dtype
) -> tuple[Any, tuple[int, ...], int]:
    """The base model (no head) in eval mode with the blocks up to the deepest one that ``layer`` means, and no others.

    The configuration that is loaded names only so many blocks, so the upper ones are never created: neither the host
    nor the device holds them, and their tensors are not read. A block does not know how many others there are, which
    the parity tests hold for each supported family. Safetensors only, no code of the model's author, and no file but
    those of the identity, because transformers sees no other (``loadable``).

    Returns:
        The model, the blocks that ``layer`` means (the primary one first), and the number of blocks of the whole model.

    Raises:
        InputError: an unknown architecture, a layer out of range, or weights that do not fill the model.
    """
    weights = weight_files(folder)
    with loadable(folder, weights) as path:
        config, n_blocks = _configuration(folder, path)
        blocks = resolve_blocks(layer, n_blocks, folder.source)
        config.num_hidden_layers = max(blocks) + 1
        model, report = _with_weights(folder, path, config, dtype, weights[-1].name)
    absent = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if absent:
        raise InputError(folder.source, weights[0].name, absent[:5], "weights for every tensor of the architecture")
    if len(block_list(model)) != config.num_hidden_layers:
        raise InputError(
            folder.source, CONFIG, config.model_type, "an architecture whose blocks num_hidden_layers counts"
        )
    model = model.eval().requires_grad_(False).to(device)
    return model, blocks, n_blocks


def _configuration(folder: ModelFolder, path: Path) -> tuple[Any, int]:
    """The configuration at ``path``, and the number of blocks of the whole model."""
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)
        n_blocks = int(config.num_hidden_layers)
    except Exception as error:  # each architecture checks its configuration in its own way
        raise InputError(folder.source, CONFIG, in_short(error), _KNOWN_DECODER) from error
    if n_blocks < 1:
        raise InputError(folder.source, f"{CONFIG}: num_hidden_layers", n_blocks, "at least one block")
    return config, n_blocks


def _with_weights(
    folder: ModelFolder, path: Path, config: Any, dtype: torch.dtype, last_file: str
) -> tuple[Any, Mapping[str, Any]]:
    """The model that the configuration describes with its weights, and what transformers reports of them."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with _quiet_transformers():
            return AutoModel.from_pretrained(
                path,
                config=config,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported, and refused by the caller with the names of the tensors
            )
    except SafetensorError as error:
        raise InputError(folder.source, last_file, in_short(error), "whole safetensors files") from error
    except Exception as error:  # what a configuration asks for is built by code of each architecture
        if is_out_of_memory(error):
            raise
        raise InputError(folder.source, CONFIG, in_short(error), _KNOWN_DECODER) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars (a raw stream of them can freeze Dagster's UI) and no report of the blocks that are left out."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
