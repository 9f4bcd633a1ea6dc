"""The search for one penalty a block against scikit-learn's fits, and what it finds in blocks of known worth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ta_assets.core.crossfit.bands import GRID, OFF, Bands
from ta_assets.core.crossfit.spectrum import prepare, within_problems

PROBLEMS = np.repeat(np.arange(10), 12)


def made(widths: tuple[int, ...], seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Blocks of which only the first tells the target, and the target."""
    rng = np.random.default_rng(seed)
    blocks = [prepare(rng.normal(size=(len(PROBLEMS), width)), PROBLEMS) for width in widths]
    target = blocks[0] @ rng.normal(size=widths[0]) + rng.normal(size=len(PROBLEMS))
    return blocks, within_problems(target, PROBLEMS)


@pytest.mark.parametrize("widths", [(3, 5), (3, 200)])
def test_the_error_is_that_of_scikit_learns_ridge_over_the_inner_folds(widths: tuple[int, ...]) -> None:
    blocks, target = made(widths)
    bands = Bands.of(blocks, target, PROBLEMS)
    features, total = bands.scaled(blocks, (1, 3)), 0.0
    for fold in range(5):
        train = fold != PROBLEMS % 5
        plain = Ridge(alpha=1.0, fit_intercept=False).fit(features[train], target[train])
        total += np.square(target[~train] - plain.predict(features[~train])).sum()
    assert bands.error((1, 3)) == pytest.approx(total)


@pytest.mark.parametrize("steady", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_what_is_eliminated_first_does_not_change_the_error(steady: tuple[int, ...]) -> None:
    blocks, target = made((3, 5, 60))
    plain, bands = Bands.of(blocks, target, PROBLEMS), Bands.of(blocks, target, PROBLEMS)
    for at in ((1, 3, 2), (1, 3, 4), (0, 0, 2), (5, 1, 2)):
        assert bands.error(at, steady) == pytest.approx(plain.error(at), rel=1e-9)


@pytest.mark.parametrize("width", [20, 200])
def test_a_block_of_noise_costs_more_than_one_that_tells(width: int) -> None:
    blocks, target = made((3, width))
    bands = Bands.of(blocks, target, PROBLEMS)
    tells, noise = bands.chosen()
    assert GRID[noise] > GRID[tells]
    assert bands.error((tells, noise)) <= min(bands.error((index, index)) for index in range(len(GRID)))


def test_a_block_that_adds_nothing_is_left_out_and_one_that_does_is_not() -> None:
    blocks, target = made((3, 4, 40), seed=1)
    known = Bands.of(blocks[1:], target, PROBLEMS).chosen()
    telling = Bands.of([*blocks[1:], blocks[0]], target, PROBLEMS)
    assert telling.chosen(known)[-1] != OFF
    noise = Bands.of([blocks[0], np.zeros_like(blocks[2])], target, PROBLEMS)
    chosen = noise.chosen((1,))
    assert chosen == (1, OFF)
    assert noise.scaled([blocks[0], blocks[2]], chosen).shape == blocks[0].shape
