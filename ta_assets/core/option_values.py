"""The values that an option may have: numbers with bounds, layers, names of models.

Stays out: the options themselves (``options``), names and paths (``ta_assets.studies.fields``).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

MAX_SEED = 2**32 - 1
"""Largest seed that the generators of numpy and scikit-learn take."""
MAX_DRAWS = 1_000_000
"""Most draws of any resampling: more would not end, and the Monte Carlo error is below every figure shown."""
MAX_BLOCKS = 100_000
"""Above the depth of any model; a larger index is a slip of the keyboard, and can be too large to be written out."""
LAYER_WORDS = "mid, all, a block index (at least 0), a fraction of the depth in (0, 1), or a list of the others but all"
DEFAULT_MODELS = (
    "position_baseline",
    "text_only_baseline",
    "linear_probe",
    "mlp_probe",
    "activations_plus_position",
)
TOKEN_PROBES = ("attention_probe", "multimax_probe")
"""Models that read every token of a sentence; they need ``pooling: tokens``."""
VERTICAL_MODELS = ("vertical_attention_baseline", "vertical_attention_plus_position")
"""Models of how much later text attends to a sentence; they need ``vertical_attention``."""
KNOWN_MODELS = (*DEFAULT_MODELS, *TOKEN_PROBES, *VERTICAL_MODELS)


def _no_yes_or_no(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a yes or no")
    return value


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


def off_as_written(value: Any) -> Any:
    """``off``, which YAML reads as a no where it is bare; other values as they are."""
    return "off" if value is False else value


def _known(models: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(models) - set(KNOWN_MODELS))
    if unknown:
        raise ValueError(f"must not hold {', '.join(unknown)}; known are {', '.join(KNOWN_MODELS)}")
    if len(set(models)) < len(models):
        raise ValueError("must name each model once")
    return models


Integer = Annotated[int, BeforeValidator(_no_yes_or_no)]
Number = Annotated[float, Field(strict=True)]
"""Strict, because otherwise a yes would be 1.0."""
Seed = Annotated[Integer, Field(ge=0, le=MAX_SEED)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Share = Annotated[Number, Field(ge=0, le=1)]
Percentile = Annotated[Number, Field(gt=0, lt=100)]
Count = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Layers = Annotated[str | int | float | tuple[str | int | float, ...], PlainValidator(_layer)]
ModelNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known)]
