"""Numbers of problems against statsmodels' definition, enumeration and pilots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ta_assets.core.statistics import power
from ta_assets.core.statistics.intervals import sign_flip_max_t


@pytest.mark.parametrize(("two_sided", "least"), [(True, 6), (False, 5)])
def test_below_the_least_number_of_problems_no_score_reaches_the_level(two_sided: bool, least: int) -> None:
    assert power.least_problems(two_sided=two_sided) == least
    for n, reached in ((least - 1, False), (least, True)):
        perfect = np.linspace(0.5, 0.6, n)[:, None]
        found = sign_flip_max_t(perfect, flips=1000, seed=0, two_sided=two_sided)
        assert (found.adjusted[0] <= 0.05) == reached


def test_planned_power_is_reached_in_four_pilots_of_five() -> None:
    rng, lead, deviation, pilots = np.random.default_rng(0), 0.05, 0.15, 400
    reached = 0
    for _ in range(pilots):
        seen = float(rng.normal(0, deviation, 12).std(ddof=1))
        planned = power.needed_for_lead(lead, seen, 12)
        assert planned.problems is not None
        reached += power.power(lead, deviation, planned.problems) >= power.TARGET
    assert reached / pilots == pytest.approx(power.PLANNED, abs=0.06)


def test_the_range_holds_the_number_and_narrows_with_more_problems() -> None:
    few, many = (power.needed_for_lead(0.05, 0.15, n) for n in (8, 80))
    for found in (few, many):
        assert found.low is not None
        assert found.problems is not None
        assert found.high is not None
        assert found.low < found.problems < found.high
    assert few.high / few.low > many.high / many.low  # type: ignore[operator]


def test_a_later_look_has_a_smaller_level_and_needs_more_problems() -> None:
    plain = power.problems_needed(0.05, 0.15, alpha=0.04)
    later = power.problems_needed(0.05, 0.15, alpha=lambda n: 0.04 if n <= 20 else 0.02)
    assert plain is not None
    assert later is not None
    assert later == power.problems_needed(0.05, 0.15, alpha=0.02)
    assert later > plain
    assert power.problems_needed(0.05, 0.0, alpha=lambda n: 0.04) == power.least_problems(0.04) == 6
    assert power.problems_needed(0.05, 0.15, alpha=lambda n: 0.0) is None


@pytest.mark.parametrize("n", [2, 40, 5_000, 100_000])
@pytest.mark.parametrize("delta", [1e-4, 0.05, 1.0])
def test_power_is_scipys_noncentral_t_and_a_number_at_every_size(n: int, delta: float) -> None:
    noncentrality = delta * math.sqrt(n) / 0.25
    expected = stats.nct.sf(stats.t.isf(5e-5, n - 1), n - 1, noncentrality)
    assert power.power(delta, 0.25, n, alpha=1e-4) == pytest.approx(expected, abs=1e-12)
