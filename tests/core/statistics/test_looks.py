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


def test_a_study_that_never_grows_may_spend_all_and_then_has_nothing_left() -> None:
    first, second = looks.levels([15, 30], first=1.0)
    assert first == pytest.approx(0.05, rel=1e-6)
    assert second < 1e-12


@pytest.mark.parametrize("information", [[], [0, 5], [5, 5], [9, 5]])
def test_no_look_and_information_that_does_not_grow_are_refused(information: list[float]) -> None:
    with pytest.raises(ValueError, match="grows from above 0"):
        looks.levels(information)


def test_looks_at_grown_sets_are_group_sequential_over_the_settings() -> None:
    looked = looks.Looked(2, (frozenset(range(12)), frozenset(range(20))))
    assert looked.levels(range(40)) == pytest.approx(looks.levels([12, 20, 40], 0.025))


def test_looks_at_other_problems_share_the_error_and_no_new_problem_has_none() -> None:
    looked = looks.Looked(earlier=(frozenset(range(20)),))
    other, subset = looked.levels(range(10, 30)), looked.levels(range(15))
    assert other[0] == subset[0] == pytest.approx(0.04)
    assert other[1] == pytest.approx(0.05 * 0.2 * (1 - 20 / 30))
    assert subset[1] == 0


def test_the_level_of_a_next_look_grows_with_its_problems() -> None:
    sizes, levels = looks.Looked().next_levels(range(100, 120))
    assert np.all(np.diff(levels[1:]) > 0), "next to the present one a look repeats it, and may spend more"
    assert levels[-1] < 0.04
    double = looks.Looked(earlier=(frozenset(range(20)),)).levels(range(40))[-1]
    assert np.interp(40, sizes, levels) == pytest.approx(double, rel=0.05)
