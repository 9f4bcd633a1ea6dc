"""Which probes a study fits, and the section ``probes.token_probes`` of a study file.

Stays out: the other sections (``study_sections.py``), the probes themselves (``core``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ta_assets.core.options import DEFAULT_MODELS, TOKEN_PROBES, VERTICAL_MODELS

KNOWN_MODELS = (*DEFAULT_MODELS, *TOKEN_PROBES, *VERTICAL_MODELS)


def _known(models: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(models) - set(KNOWN_MODELS))
    if unknown:
        raise ValueError(f"must not hold {', '.join(unknown)}; known are {', '.join(KNOWN_MODELS)}")
    if len(set(models)) < len(models):
        raise ValueError("must name each model once")
    return models


ModelNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known)]
Count = Annotated[int, Field(ge=1, le=100_000, strict=True)]


class TokenProbes(BaseModel):
    """Shape and training of the token probes; see ``TokenProbeOptions``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    depth: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    width: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 128
    heads: Annotated[int, Field(ge=1, le=1000, strict=True)] = 4
    learning_rate: float = Field(default=1e-3, gt=0, lt=1, strict=True)
    weight_decay: float = Field(default=0.0, ge=0, lt=1, strict=True)
    batch: Count = 32
    epochs: Count = 50
    patience: Count = 5
    loss: Literal["bce", "huber", "mse"] = "bce"
