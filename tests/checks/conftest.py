"""Settings of the sizes that occur, for the rules on probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

N_PROBLEMS, N_TEST, N_VAL = 20, 3, 3


@dataclass(frozen=True)
class Recipe:
    """How to make the vectors and labels of a setting."""

    sentences: int = 12
    d_model: int = 128
    correlated: bool = True
    """Spectrum falling as 1/k, as the vectors of real models do roughly; else independent."""
    signal: float = 0.0
    """Weight of a linear function of the vectors in the importance."""
    long_first: float = 1.0
    """How many times longer the first sentence's vector is than the others."""
    uneven: bool = False
    """Problems differ in their share of anchors, from 5 % to 80 %."""


RECIPES = {
    "independent": Recipe(correlated=False),
    "correlated": Recipe(),
    "signal": Recipe(signal=3.0),
    "long first sentence": Recipe(signal=3.0, long_first=30.0),
    "uneven": Recipe(signal=3.0, uneven=True),
}


def make_labelled(recipe: Recipe, seed: int) -> LabelledVectors:
    """Draw a setting of 20 problems, 14 train, 3 val, 3 test; early sentences matter more where there is signal."""
    rng = np.random.default_rng(seed)
    n, d = recipe.sentences, recipe.d_model
    problems = np.repeat(np.arange(N_PROBLEMS) * 11 + 3, n)
    position = np.tile(np.arange(n) / n, N_PROBLEMS)
    vectors = rng.normal(size=(len(problems), d))
    if recipe.correlated:
        vectors = vectors / np.arange(1, d + 1) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    importance = rng.normal(size=len(problems))
    if recipe.signal:
        told = vectors @ rng.normal(size=d)
        importance += recipe.signal * told / told.std() - 2 * position
        vectors = vectors + 0.3 * np.outer(position, rng.normal(size=d))
        vectors += 0.3 * np.repeat(rng.normal(size=(N_PROBLEMS, d)), n, axis=0)
    vectors[position == 0] *= recipe.long_first
    anchors = np.zeros(len(problems), dtype=np.int64)
    for problem in np.unique(problems):
        rows = problems == problem
        percentile = rng.uniform(20, 95) if recipe.uneven else 90
        anchors[rows] = importance[rows] >= np.percentile(importance[rows], percentile)
    order = np.repeat(np.arange(N_PROBLEMS), n)
    train = order < N_PROBLEMS - N_TEST - N_VAL
    return LabelledVectors(vectors, anchors, problems, train, order >= N_PROBLEMS - N_TEST)


@pytest.fixture(params=list(RECIPES))
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Every kind of healthy setting, one after the other."""
    return RECIPES[request.param]


@pytest.fixture
def is_realistic(recipe: Recipe) -> bool:
    """Whether it is the kind that is nearest to real settings."""
    return recipe is RECIPES["signal"]


@pytest.fixture
def labelled() -> Callable[..., LabelledVectors]:
    """Draw one setting from a ``Recipe``'s fields and a seed, or from a whole recipe."""

    def draw(seed: int = 0, recipe: Recipe | None = None, **fields: object) -> LabelledVectors:
        return make_labelled(recipe or Recipe(**fields), seed)  # type: ignore[arg-type]

    return draw
