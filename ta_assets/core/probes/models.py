"""The models of the predecessor on one row a sentence, fitted on the train sentences and scoring all of them.

Belongs here: model definitions, their registry, one fit. Stays out: metrics, what a cell reports, permuted labels,
token-level probes.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.features import position_features, vertical_features
from ta_assets.core.probes.regressors import MLP_VALIDATION_FRACTION, mlp_settings, regression_twin, tfidf
from ta_assets.core.probes.targets import TARGETS, Target

LOGISTIC_MAX_ITER = 1_000


class TokenSource(Protocol):
    """The vectors of every token of some sentences; reads them when they are asked for."""

    @property
    def lengths(self) -> np.ndarray:
        """[n_rows] int64: tokens of each sentence."""
        ...

    def of_row(self, row: int) -> np.ndarray:
        """[n_tokens, d_model] float of one sentence."""
        ...

    def sha256(self) -> str:
        """Hex digest of all of them."""
        ...


@dataclass(frozen=True)
class ProbeData:
    """Sentences of one setting, ready to fit on."""

    rows: pd.DataFrame
    """One row a sentence: label columns, ``token_count``, ``split``."""
    vectors: np.ndarray | None
    """[n_rows, d_model] float, aligned to ``rows``; None when no activations are at hand."""
    train: np.ndarray
    """[n_rows] bool: the rows to fit on."""
    by_block: Mapping[int, np.ndarray] = field(default_factory=dict)
    """Block -> [n_rows, d_model] float32, sorted by block; ``vectors`` is one of them. Empty when nobody said which
    block ``vectors`` are of. May read a block anew whenever it is asked for: keep what is used twice."""
    tokens: TokenSource | None = None
    """Every token of every row, where they are stored; ``vectors`` are then their means."""

    def __post_init__(self) -> None:
        n = len(self.rows)
        if self.train.shape != (n,) or self.train.dtype != bool:
            raise ValueError(f"train mask is {self.train.shape} {self.train.dtype}, expected ({n},) bool")
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != n):
            raise ValueError(f"vectors have shape {self.vectors.shape}, expected ({n}, d_model)")

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame,
        vectors: np.ndarray | None,
        by_block: Mapping[int, np.ndarray] | None = None,
        tokens: TokenSource | None = None,
    ) -> ProbeData:
        """Take the train rows from the column ``split``."""
        return cls(rows, vectors, (rows["split"] == "train").to_numpy(dtype=bool), by_block or {}, tokens)

    def sha256(self) -> str:
        """Hex digest of all that the models here are fitted on, so not of other blocks; equal data, equal digest."""
        digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in self.rows.dtypes.items()]).encode())
        rows = pd.util.hash_pandas_object(self.rows, index=False)  # pyright: ignore[reportAttributeAccessIssue]
        for array in (rows.to_numpy(), self.train, *(() if self.vectors is None else (self.vectors,))):
            digest.update(np.ascontiguousarray(array).tobytes())
        if self.tokens is not None:
            digest.update(self.tokens.sha256().encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Fit:
    """What one fit gave."""

    scores: np.ndarray
    """[n_rows] float32, for every row: predicted probability of being an anchor, or predicted importance."""
    converged: bool
    """Whether the solver stopped by its own criterion and not at its limit."""
    n_iter: int
    """Iterations (lbfgs, conjugate gradients) or epochs (MLP); 0 for a solution in closed form."""
    seconds: float
    """Wall time of fitting and scoring."""
    warnings: tuple[str, ...]
    """Every distinct warning of the fit, ``Category: message``."""

    def facts(self) -> dict[str, Any]:
        """What is worth recording; no time, so that the record of equal fits is equal."""
        return {"converged": self.converged, "n_iter": self.n_iter, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class _Model:
    inputs: Callable[[ProbeData], Any]
    build: Callable[[np.ndarray, ProbeOptions, int], Pipeline]


def fit_scores(model: str, data: ProbeData, options: ProbeOptions, seed: int = 0) -> Fit:
    """Fit one model on the train rows and score all rows, with one BLAS thread.

    One thread, because sums in another order give other digits, and because these fits are too small to share.
    ``seed`` matters to the models in ``SEEDED`` only. A continuous ``options.target`` is fitted by the model's
    regression twin (``regressors``) on the same inputs.

    Raises:
        ValueError: unknown model or target, train rows of one class or with one importance, activations absent or
            not finite, vertical scores absent.
    """
    if model not in _MODELS:
        raise ValueError(f"unknown model {model!r}, expected one of {', '.join(MODELS)}")
    if options.target not in TARGETS:
        raise ValueError(f"unknown target {options.target!r}, expected one of {', '.join(TARGETS)}")
    target = TARGETS[options.target]
    _require_fittable(model, data, target)
    definition = _MODELS[model]
    labels = target.values(data.rows)[data.train]
    started = time.perf_counter()
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inputs = definition.inputs(data)
        if target.continuous:
            pipeline: Any = regression_twin(model, len(labels), options, seed).fit(inputs[data.train], labels)
            scores = pipeline.predict(inputs).astype(np.float32)
        else:
            pipeline = definition.build(labels, options, seed).fit(inputs[data.train], labels)
            scores = pipeline.predict_proba(inputs)[:, 1].astype(np.float32)
    return Fit(
        scores=scores,
        converged=not any(issubclass(one.category, ConvergenceWarning) for one in caught),
        n_iter=0 if pipeline[-1].n_iter_ is None else int(np.max(pipeline[-1].n_iter_)),
        seconds=time.perf_counter() - started,
        warnings=tuple(dict.fromkeys(f"{one.category.__name__}: {one.message}" for one in caught)),
    )


def require_spread(model: str, data: ProbeData, target: Target) -> None:
    """Refuse train rows that are all alike.

    Raises:
        ValueError: they are of one class, or have one importance.
    """
    values = target.values(data.rows)[data.train]
    if len(np.unique(values)) < 2:
        held = f"do not differ in {target.column}"
        if not target.continuous:
            held = f"hold {values.sum()} anchors; both classes are needed"
        raise ValueError(f"cannot fit {model}: the {len(values)} train sentences {held}")


def _require_fittable(model: str, data: ProbeData, target: Target) -> None:
    require_spread(model, data, target)
    if model not in NEEDS_ACTIVATIONS:
        return
    if data.vectors is None:
        raise ValueError(f"cannot fit {model}: it needs activations")
    bad = np.count_nonzero(~np.isfinite(data.vectors).all(axis=1))
    if bad:
        raise ValueError(f"cannot fit {model}: {bad} of {len(data.vectors)} vectors hold NaN or infinity")


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=1.0, class_weight="balanced", solver="lbfgs", max_iter=LOGISTIC_MAX_ITER)


def _scaled_logistic(labels: np.ndarray, options: ProbeOptions, seed: int) -> Pipeline:
    return make_pipeline(StandardScaler(), _logistic())


def _text_logistic(labels: np.ndarray, options: ProbeOptions, seed: int) -> Pipeline:
    return make_pipeline(tfidf(), _logistic())


def _mlp(labels: np.ndarray, options: ProbeOptions, seed: int) -> Pipeline:
    classifier = MLPClassifier(early_stopping=_can_hold_back(labels), **mlp_settings(options, seed))
    return make_pipeline(StandardScaler(), classifier)


def _can_hold_back(labels: np.ndarray) -> bool:
    """Whether a stratified hold-out is possible: two of each class (the predecessor's rule) and two rows held back.

    Without the second condition scikit-learn refuses ten train sentences or fewer, where the predecessor crashed.
    """
    held_back = int(np.ceil(MLP_VALIDATION_FRACTION * len(labels)))
    return bool(np.unique(labels, return_counts=True)[1].min() >= 2 and held_back >= 2)


def _activations(data: ProbeData) -> np.ndarray:
    return np.asarray(data.vectors, dtype=np.float32)


def _text(data: ProbeData) -> np.ndarray:
    return data.rows["chunk_text"].to_numpy(dtype=object)


_MODELS: Mapping[str, _Model] = {
    "position_baseline": _Model(lambda data: position_features(data.rows), _scaled_logistic),
    "text_only_baseline": _Model(_text, _text_logistic),
    "linear_probe": _Model(_activations, _scaled_logistic),
    "mlp_probe": _Model(_activations, _mlp),
    "activations_plus_position": _Model(
        lambda data: np.hstack([_activations(data), position_features(data.rows)]), _scaled_logistic
    ),
    "vertical_attention_baseline": _Model(lambda data: vertical_features(data.rows), _scaled_logistic),
    "vertical_attention_plus_position": _Model(
        lambda data: np.hstack([vertical_features(data.rows), position_features(data.rows)]), _scaled_logistic
    ),
}

MODELS: tuple[str, ...] = tuple(_MODELS)
SEEDED: tuple[str, ...] = ("mlp_probe", *TOKEN_PROBES)
"""Models whose scores depend on the seed: fitted in every cell."""
SEED_FREE: tuple[str, ...] = tuple(name for name in MODELS if name not in SEEDED)
"""Models that any seed fits alike: fitted once per setting."""
NEEDS_ACTIVATIONS: tuple[str, ...] = ("linear_probe", "mlp_probe", "activations_plus_position")
