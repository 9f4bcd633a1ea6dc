"""``docs/models.md``: every decoder of the installed transformers, tiny and random, through the extractor.

Belongs here: what is measured of a family, and the table. Stays out: how a configuration becomes tiny
(``tiny_models``), and what follows from the table for a family, which ``ta_resources/language_model/checkpoint/families.py`` says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ta_assets.core.errors import InputError, in_short
from ta_assets.core.markdown import table
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem, Skip
from ta_resources.language_model.checkpoint.families import CUT, PIECES, TEXT_PARTS
from ta_resources.language_model.resource import LanguageModelResource
from tests.docs.tiny_models import N_BLOCKS, tiny_config

TITLE = """# Models

Written by `make docs`, which makes a tiny random model of every decoder of the installed transformers; do not edit.
Each goes through the extractor whole (`layer: all`), cut (two middle blocks) and with its text in pieces of 16 and 48
tokens, and each vector is compared with the hidden states of a plain forward (float32; the largest difference must be
below 1e-3 of the largest number). *loaded*: a family that is proven to be the same one without its upper blocks is
loaded up to the deepest wanted one; any other whole, and then it must give the hidden states of a plain forward of
itself before anything is read. *in pieces*: what becomes of a text that is longer than `tokens_per_forward`. Families
with images or sound are read as their text part. *not measured*: transformers makes no tiny model of these defaults;
such a family is loaded whole and has to prove itself, or is refused.
"""
SHOWN = 160
TOKENIZER = Path(__file__).parents[2] / "ta_resources" / "embedded" / "model" / "tokenizer.json"
SENTENCES = [f"Part {index}: {index + 5} less {index} leaves five, as it must." for index in range(5)]
TEXT = "How much is left?\n" + "  ".join(SENTENCES)
BOUND = 1e-3
"""Largest difference over the largest number; float32, another order of sums."""
PIECE_SIZES = (16, 48)
"""Below and above the windows and chunks of the tiny models."""


@dataclass(frozen=True)
class Row:
    """What came out for one family."""

    family: str
    whole: str
    cut: str
    pieces: str

    @property
    def is_clear(self) -> bool:
        """Whether each answer is right or one that refuses."""
        return all(one == "right" or one.startswith("refused") for one in (self.whole, self.cut, self.pieces))


def decoders() -> list[str]:
    """Every family of which transformers has a causal language model, or one with images and a text part."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *TEXT_PARTS})


def measured(family: str, room: Path) -> Row:
    """One family by the product, against a plain forward; ``room`` is an empty folder."""
    try:
        right = _saved(family, room)
    except Exception as error:  # whatever code of each architecture raises of sizes that do not fit together
        words = f"not measured: {in_short(error)[:80]}"
        return Row(family, words, words, words)
    whole = _answer(room, right, "all", 16384)
    cut = _worst(_answer(room, right, layer, 16384) for layer in (1, N_BLOCKS // 2))
    pieces = _worst(_answer(room, right, N_BLOCKS // 2, size) for size in PIECE_SIZES)
    return Row(family, whole, cut, pieces)


def _saved(family: str, room: Path) -> list[np.ndarray]:
    """Save a tiny random model; the hidden states of a plain forward of it as it was read again."""
    import torch
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as WITH_IMAGES

    kind = transformers.AutoModelForImageTextToText if family in WITH_IMAGES else transformers.AutoModelForCausalLM
    torch.manual_seed(1)
    made = kind.from_config(tiny_config(family))
    for parameter in made.parameters():
        if parameter.ndim >= 2:
            parameter.data.mul_(5)  # by default every block is nearly idle
    made.save_pretrained(room)
    shutil.copy(TOKENIZER, room / "tokenizer.json")
    ids = Tokenizer.from_file(str(TOKENIZER)).encode(TEXT, add_special_tokens=False).ids
    with torch.no_grad():
        whole = kind.from_pretrained(room, dtype=torch.float32).eval()
        out = whole(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return [state[0].numpy() for state in out.hidden_states]


def _worst(answers: Iterable[str]) -> str:
    found = list(answers)
    return next((one for one in found if one != "right"), "right")


def _answer(folder: Path, right: list[np.ndarray], layer: int | str, size: int) -> str:
    spec = ExtractionSpec(language_model=str(folder), layer=layer, storage_dtype="float32", pooling="tokens")
    try:
        with LanguageModelResource(device="cpu", tokens_per_forward=size).open(spec) as extractor:
            found = list(extractor.extract([(1, TEXT, SENTENCES)], log=lambda _: None))
    except InputError as error:
        return f"refused: {str(error).removeprefix(f'{folder}: ')}"
    except Exception as error:  # which the table is to show
        return f"CRASH: {in_short(error)}"
    if isinstance(found[0], Skip):
        return f"refused: {found[0].reason}"
    # the last entry is the stream after the final norm, which no block gives
    pooled = [one for one in found if isinstance(one, PooledProblem) and one.block + 2 < len(right)]
    # some families leave the embeddings out of their hidden states, and every other one moves down by one
    if not pooled:
        return "not measured: the last block alone"
    gap = min(max(_gap(one, right[one.block + shift]) for one in pooled) for shift in (1, 0))
    return "right" if gap <= BOUND else f"WRONG by {gap:.2g}"


def _gap(pooled: PooledProblem, state: np.ndarray) -> float:
    right = np.concatenate([state[start:end] for start, end in pooled.token_spans])
    if right.shape != pooled.vectors.shape:
        return float("inf")
    return float(np.abs(right - pooled.vectors).max() / np.abs(right).max())


def rows(families: Iterable[str]) -> Iterator[Row]:
    """One row after the other."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(50)  # nothing but what is fatal
    logging.disable_progress_bar()
    try:
        for family in families:
            with tempfile.TemporaryDirectory(prefix="tiny-") as room:
                yield measured(family, Path(room))
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


def render() -> str:
    """The document: some minutes of one core."""
    return written(list(rows(decoders())))


def written(found: Sequence[Row]) -> str:
    """The document of these rows."""
    import transformers

    right = sum(row.whole == row.cut == row.pieces == "right" for row in found)
    refused = sum(row.is_clear for row in found) - right
    counts = (
        f"transformers {transformers.__version__}: {len(found)} families, {right} right in all three, {refused} "
        f"refused in at least one by one clear line, {len(found) - right - refused} not measured.\n"
    )
    words = ["family", "loaded", "in pieces", "whole, cut, in pieces"]
    return "\n".join([TITLE, counts, table(words, [cells(row) for row in found])])


def cells(row: Row) -> list[str]:
    """A row as it is written."""
    kind = _text_kind(row.family)
    loaded = "up to the deepest block" if kind in CUT else "whole"
    joined = "by a cache" if kind in PIECES else "read whole"
    answers = list(dict.fromkeys((row.whole, row.cut, row.pieces)))
    said = "; ".join(one if len(one) < SHOWN else f"{one[: SHOWN - 1]}…" for one in answers).replace("|", "/")
    if answers != ["right"]:
        loaded = joined = "-"
    return [row.family, loaded, joined, said]


def _text_kind(family: str) -> str:
    """The ``model_type`` of the text part of a family, or its own."""
    try:
        return tiny_config(family).get_text_config(decoder=True).model_type
    except Exception:  # no sizes were found that fit together
        return family
