"""Student's test and Holm's correction of the checks, compared with scipy and with those of the comparison."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ta_assets.core.statistics import intervals
from ta_checks.rules.inference import holm, one_sided_p


@pytest.mark.parametrize("n", [5, 12, 40])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.4])
def test_a_p_value_is_that_of_scipy(n: int, mean: float) -> None:
    values = np.random.default_rng(n).normal(mean, 1, n)
    _, expected = ttest_1samp(values, 0, alternative="greater")
    assert one_sided_p(values, 1.0) == pytest.approx(expected, rel=1e-12)
    assert one_sided_p(values, 1.4) == intervals.one_sided_p(values, inflation=1.4)


@pytest.mark.parametrize("values", [[0.1] * 8, [0.0] * 8, [-0.1] * 8, [0.1, 0.2, 0.3]])
def test_equal_values_and_few_problems_are_judged_as_in_a_comparison(values: list[float]) -> None:
    assert one_sided_p(np.array(values), 1.0) == intervals.one_sided_p(np.array(values))


def test_the_correction_of_four_p_values_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 3 * 0.01, "b": 2 * 0.03, "c": 2 * 0.03, "d": 4 * 0.005})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert holm({}) == {}


@pytest.mark.parametrize("seed", range(5))
def test_the_correction_is_that_of_the_comparison(seed: int) -> None:
    p_values = np.random.default_rng(seed).choice([0.001, 0.01, 0.03, 0.2, 0.9], 7)
    adjusted = holm({f"probe {index}": float(p) for index, p in enumerate(p_values)})
    assert list(adjusted.values()) == intervals.holm(p_values).tolist()
