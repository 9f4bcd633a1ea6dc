"""The language model of a corpus as anybody would load it: whole, with its head, by transformers alone.

Belongs here: finding its files, what cannot be loaded plainly and why, its tokens. Stays out: what is asked of it
(``plain_forward_agrees``, ``model_is_as_stated``, ``model_reads_traces``). Knows nothing of the code that extracts.
torch and transformers are imported inside functions.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_checks.evidence import Evidence

ROOM = 1.25
"""Memory that a model needs over that of its weights."""
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class NotPlain(Exception):  # noqa: N818 - an answer, not a fault
    """Why a model cannot be loaded plainly, in words that follow ``because``."""


@dataclass(frozen=True)
class PlainModel:
    """A loaded model."""

    model: Any
    """With its head, in eval mode, in the dtype of the extraction."""
    folder: Path
    has_head: bool
    """Whether the files hold the weights of its head."""

    def ids(self, tokens: Sequence[int]) -> Any:
        """The tokens as a batch of one text."""
        import torch

        return torch.tensor([list(tokens)], device=self.model.device)


def folder_of(evidence: Evidence) -> Path:
    """Where the files of a corpus' model lie; of one from the Hub, those of the commit that was extracted with.

    Raises:
        NotPlain: they are not on this machine.
    """
    place = evidence.study.extraction_spec(evidence.partition).language_model
    if Path(place).is_absolute():
        return Path(place)
    from huggingface_hub import try_to_load_from_cache

    commit = evidence.value.record["extraction"]["language_model"].get("commit")
    found = try_to_load_from_cache(
        place, "config.json", cache_dir=evidence.world.language_model.cache_dir, revision=commit
    )
    if not isinstance(found, str):
        raise NotPlain(f"commit {commit} of {place} is not among the downloads")
    return Path(found).parent


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers reads, by name."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    shards = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(shards))]


@contextmanager
def plain_model(evidence: Evidence) -> Iterator[PlainModel]:
    """Load the model of a corpus; it is freed on the way out.

    Raises:
        NotPlain: it is no whole decoder with a head of its own, or there is no room for the whole of it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = folder_of(evidence)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if config.get_text_config(decoder=True) is not config:
        raise NotPlain(f"the text model is a part of {config.model_type}")
    if getattr(config, "quantization_config", None):
        raise NotPlain("its weights are quantized")
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise NotPlain(f"transformers has no head of a language model for {config.model_type}")
    device, dtype = _device(evidence), getattr(torch, evidence.value.record["extraction"]["dtype"])
    _require_room(folder, device, dtype.itemsize)
    with _quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    model, report = loaded
    head = model.get_output_embeddings()
    names = {f"{name}.weight" for name, module in model.named_modules() if module is head}
    if lacking := sorted(set(report["missing_keys"]) - names - {"lm_head.bias"}):
        raise NotPlain(f"under their usual names there are no weights for {', '.join(lacking[:3])}")
    try:
        yield PlainModel(model.eval().to(device), folder, not set(report["missing_keys"]))
    finally:
        del model, head, loaded
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class Reader:
    """A tokenizer of a model's folder, with the library that wrote its file or with transformers."""

    tokenizer: Any
    is_library: bool

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without special ones."""
        if self.is_library:
            return self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, as it is."""
        if self.is_library:
            return self.tokenizer.decode(list(tokens), skip_special_tokens=False)
        return self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def library_reader(folder: Path) -> Reader:
    """``tokenizer.json`` and nothing beside it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Reader(tokenizer, is_library=True)


def transformers_reader(folder: Path) -> Reader:
    """The tokenizer that transformers makes of the folder.

    Raises:
        NotPlain: it makes none.
    """
    from transformers import AutoTokenizer

    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # each class of tokenizers asks for files of its own
        raise NotPlain(f"transformers makes no tokenizer of the folder ({type(error).__name__})") from error
    return Reader(tokenizer, is_library=False)


def first_tokens(folder: Path, bos: str) -> list[int]:
    """What a study's ``extraction.bos`` puts before a text."""
    if bos == "never":
        return []
    tokenizer = transformers_reader(folder).tokenizer
    if bos == "always" and tokenizer.bos_token_id is not None:
        return [tokenizer.bos_token_id]
    with_all, bare = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
    return with_all[: with_all.index(bare[0])]


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no remarks: a raw stream of them can freeze Dagster's pages."""
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


def _device(evidence: Evidence) -> Any:
    import torch

    asked = evidence.world.language_model.device
    if asked != "auto":
        return torch.device(asked)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _require_room(folder: Path, device: Any, itemsize: int) -> None:
    """Refuse before the system ends the process for want of memory: extractions hold half of a model only."""
    import torch
    from safetensors import safe_open

    numbers = 0
    for path in weight_files(folder):
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            numbers += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    needed = ROOM * numbers * itemsize
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
    if free is not None and needed > free:
        raise NotPlain(f"the whole of it takes {needed / 2**30:.1f} GiB on {device}, {free / 2**30:.1f} are free")


def _free_memory() -> int | None:
    """Bytes of the host that can be had; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
