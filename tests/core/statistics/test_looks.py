"""Levels of repeated looks against simulation and against published boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from ta_assets.core.statistics import looks


@pytest.mark.parametrize("information", [(12,), (12, 20, 40, 80), (20, 21, 22, 23, 24), (10, 1000)])
def test_all_looks_together_err_as_often_as_was_spent(information: tuple[int, ...]) -> None:
    levels = looks.levels(information)
    draws = np.random.default_rng(0).normal(size=(200_000, len(information)))
    steps = np.sqrt(np.diff(information, prepend=0))
    statistic = np.cumsum(draws * steps, axis=1) / np.sqrt(information)
    wrong = (np.abs(statistic) > norm.isf(np.array(levels) / 2)).any(axis=1).mean()
    spent = 0.05 * (1 - (1 - looks.FIRST) * information[0] / information[-1])
    assert wrong == pytest.approx(spent, abs=4 * np.sqrt(0.05 * 0.95 / 200_000))
    assert wrong <= 0.0525


def test_the_first_look_spends_its_share() -> None:
    assert looks.levels([15])[0] == pytest.approx(0.05 * looks.FIRST, rel=1e-6)


def test_a_look_that_adds_nothing_has_the_level_of_the_one_before() -> None:
    first, again = looks.levels([15, 15])
    assert first == again


def test_no_look_and_no_information_are_refused() -> None:
    with pytest.raises(ValueError, match="positive information"):
        looks.levels([])
    with pytest.raises(ValueError, match="positive information"):
        looks.levels([0, 5])
