"""Faults of the language model, and of the code that reads it, wrong for whoever extracts and for whoever checks.

The checks that extract again by the same code see none of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

from ta_assets.core.traces import pooling
from ta_resources.language_model import forward
from ta_resources.language_model.checkpoint import loading
from tests.proof.faults import Fault
from tests.proof.faults.planting import edit_json, replace
from tests.proof.faults.vectors import change_weights
from tests.proof.world import CORPUS, NAME, World

STATED, READS = ("model_is_as_stated", "activations"), ("model_reads_traces", "activations")
PLAIN = ("plain_forward_agrees", "activations")


def _weights(edit: Callable[[str, np.ndarray], np.ndarray]) -> Callable[[World], None]:
    return lambda world: change_weights(world, edit)


def _untrained(name: str, tensor: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(sum(name.encode())).normal(scale=0.02, size=tensor.shape)
    return np.ones_like(tensor) if "norm" in name else drawn.astype(tensor.dtype)


def _without_block(name: str, tensor: np.ndarray) -> np.ndarray:
    return np.zeros_like(tensor) if "layers.1." in name and ("o_proj" in name or "down_proj" in name) else tensor


def _other_ids(name: str, tensor: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tensor[::-1]) if name.endswith("embed_tokens.weight") else tensor


def _other_rotations(world: World) -> None:
    rotations = {"rope_type": "default", "rope_theta": 30.0}
    edit_json(world.model / "config.json", lambda config: {**config, "rope_parameters": rotations})
    world.forget()


def _state(world: World, **stated: Any) -> None:
    models = yaml.safe_load(world.study_file.read_text(encoding="utf-8"))["models"]
    world.change_study(models={NAME: {**models[NAME], **stated}})


def _another_pinned(world: World) -> None:
    _state(world, sha256="0" * 64)


def _ignorant_reader(world: World) -> None:
    _state(world, wrote_traces=False)
    change_weights(world, _untrained)


def _extracting(owner: object, name: str, wrong: Callable[[Any], Any]) -> Callable[[World], None]:
    """A part of the extraction is ``wrong`` of it for good, and the corpus is extracted anew."""

    def plant(world: World) -> None:
        replace(owner, name, wrong(getattr(owner, name)))
        world.make("activations", CORPUS, {"reuse": False})

    return plant


def _block_before(right: Any) -> Any:
    """What a hook before the block would give."""

    def hooked(model: Any, blocks: Any, keep: Any) -> Any:
        return right(model, [block - 1 for block in blocks], lambda block, hidden: keep(block + 1, hidden))

    return hooked


def _one_token_late(right: Any) -> Any:
    return lambda self, hidden: right(self, hidden.roll(1, dims=0))


def _without_last(right: Any) -> Any:
    """The mean of a sentence leaves its last token out."""
    return lambda self, tokens: right(self, tokens[:-1] if len(tokens) > 1 else tokens)


def _clipped(right: Any) -> Any:
    def storable(loaded: Any, job: Any, block: int, pooled: Any) -> Any:
        return right(loaded, job, block, pooled.clamp(-float(pooled.std()), float(pooled.std())))

    return storable


def _deeper(right: Any) -> Any:
    """The middle is another block than it was."""
    return lambda layer, n_blocks, source: right(n_blocks // 2 - 1 if layer == "mid" else layer, n_blocks, source)


FAULTS = (
    *(
        Fault(name, *STATED, plant)
        for name, plant in (
            ("the model is untrained", _weights(_untrained)),
            ("a block of the model does nothing", _weights(_without_block)),
            ("the words of the model have other ids", _weights(_other_ids)),
            ("positions are rotated otherwise than in training", _other_rotations),
            ("the weights are not those that the study pins", _another_pinned),
        )
    ),
    Fault("an untrained model reads the traces", *READS, _ignorant_reader, status="warned"),
    *(
        Fault(name, *PLAIN, plant)
        for name, plant in (
            ("whoever extracts reads what enters the block", _extracting(forward, "capture_blocks", _block_before)),
            ("whoever extracts is one token late", _extracting(pooling.SpanPooler, "feed", _one_token_late)),
            (
                "whoever extracts loses a token of every sentence",
                _extracting(pooling.SpanPooler, "_pooled", _without_last),
            ),
            ("whoever extracts clips large coordinates", _extracting(forward, "_storable", _clipped)),
            ("the middle of the model is another block", _extracting(loading, "resolve_blocks", _deeper)),
        )
    ),
)
