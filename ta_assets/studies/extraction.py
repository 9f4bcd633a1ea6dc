"""The section ``extraction`` of a study file: its keys, their defaults and bounds.

Stays out: the other sections (``study_sections.py``), what the options mean to a model (``ta_resources``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from ta_assets.core.options import VerticalAttention

MAX_BLOCKS = 100_000
"""No model has as many; a larger index is a slip of the keyboard, and can be too large to be written out."""
LAYER_WORDS = "mid, all, a block index (at least 0), a fraction of the depth in (0, 1), or a list of the others but all"


def _layer(value: Any) -> Any:
    """A layer as it is written; a list becomes a tuple."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"must be {LAYER_WORDS}; the list is empty")
        return tuple(_one_layer(one) for one in value)
    return value if value == "all" else _one_layer(value)


def _one_layer(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a layer, not a yes or no")
    index = isinstance(value, int) and 0 <= value < MAX_BLOCKS
    fraction = isinstance(value, float) and 0 < value < 1
    if not (value == "mid" or index or fraction):
        raise ValueError(f"must be {LAYER_WORDS}")
    return value


def _off(value: Any) -> Any:
    """YAML reads a bare ``off`` as a no."""
    return "off" if value is False else value


Layers = Annotated[str | int | float | tuple[str | int | float, ...], PlainValidator(_layer)]


class Vertical(BaseModel):
    """Scores of the attention of later text on a sentence, at the primary block; see ``VerticalAttention``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    mode: Annotated[Literal["off", "light", "full"], BeforeValidator(_off)] = "off"
    last_tokens: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    depth_control: Annotated[bool, Field(strict=True)] = True
    max_full_length: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1024

    def options(self) -> VerticalAttention | None:
        """As the extraction takes them; None is off."""
        return None if self.mode == "off" else VerticalAttention(**self.model_dump())


class Extraction(BaseModel):
    """Which activations are taken; see ``ExtractionSpec``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    layer: Layers = "mid"
    pooling: Literal["mean", "last", "tokens"] = "mean"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    storage_dtype: Literal["float16", "float32"] = "float16"
    bos: Literal["never", "auto", "always"] = "never"
    vertical_attention: Vertical = Vertical()
