"""Stored labels against rollouts: quiet on right ones, red on each way to be wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ta_assets.core.traces.label_recomputation import COUNTERFACTUAL, Rollout, different_text, recompute_labels
from ta_checks.rules.data.labels_recomputable import StoredLabels, labels_recomputable

N_SENTENCES, N_ROLLOUTS = 30, 100
PREDECESSORS_BOUND = 0.025
Labels = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def groups() -> list[list[Rollout]]:
    """Rollouts whose accuracy wanders along the trace, as real ones do, and depends on the resampled sentence."""
    rng = np.random.default_rng(0)
    made = []
    for accuracy in np.clip(0.6 + np.cumsum(rng.normal(0, 0.05, N_SENTENCES)), 0.1, 0.9):
        other = rng.random(N_ROLLOUTS) < 0.4
        right = rng.random(N_ROLLOUTS) < accuracy - 0.2 * other
        made.append([Rollout("so", "but" if o else "so", bool(r)) for o, r in zip(other, right, strict=True)])
    return made


@pytest.fixture(scope="module")
def right(groups: list[list[Rollout]]) -> Labels:
    return recompute_labels(groups, [different_text(group) for group in groups])


def filtered_less_filtered(groups: list[list[Rollout]]) -> np.ndarray:
    """The predecessor's formula: the next group is filtered too."""
    other = [np.mean([bool(one.is_correct) for one in group if one.resampled != one.removed]) for group in groups]
    return np.array([here - there for here, there in zip(other, [*other[1:], other[-1]], strict=True)])


def judged(stored: np.ndarray, right: Labels):
    return labels_recomputable([StoredLabels("label", stored, right[COUNTERFACTUAL])], required=["label"])


def test_right_labels_pass_which_the_predecessors_formula_would_refuse(
    groups: list[list[Rollout]], right: Labels
) -> None:
    verdict = judged(right[COUNTERFACTUAL], right)
    assert (verdict.status, verdict.n, verdict.n_offenders) == ("passed", N_SENTENCES, 0)
    assert np.abs(right[COUNTERFACTUAL] - filtered_less_filtered(groups))[:-1].mean() > PREDECESSORS_BOUND


def test_rounding_in_the_last_digits_is_no_difference(right: Labels) -> None:
    assert judged(right[COUNTERFACTUAL] * (1 + 1e-13), right).passed


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda stored, _: np.roll(stored, 1), id="shifted by one sentence"),
        pytest.param(lambda stored, _: -stored, id="sign flipped"),
        pytest.param(lambda _, groups: filtered_less_filtered(groups), id="next group filtered"),
        pytest.param(lambda stored, _: np.where(np.arange(len(stored)) == 7, stored + 1e-6, stored), id="one edited"),
        pytest.param(lambda stored, _: np.where(np.arange(len(stored)) == 7, np.nan, stored), id="one missing"),
    ],
)
def test_wrong_labels_fail(groups: list[list[Rollout]], right: Labels, edit: Callable) -> None:
    verdict = judged(edit(right[COUNTERFACTUAL], groups), right)
    assert verdict.status == "failed"
    assert verdict.offenders


def test_a_label_that_is_nowhere_stored_is_not_passed_over(right: Labels) -> None:
    nothing = np.full(N_SENTENCES, np.nan)
    verdict = judged(nothing, right)
    assert (verdict.status, verdict.offenders) == ("failed", ("label",))
    columns = [StoredLabels("label", right[COUNTERFACTUAL], right[COUNTERFACTUAL])]
    verdict = labels_recomputable([*columns, StoredLabels("extra", nothing, nothing)], required=["label"])
    assert (verdict.status, verdict.details["not_stored"]) == ("passed", ["extra"])


def test_columns_of_another_length_are_refused(right: Labels) -> None:
    with pytest.raises(ValueError, match="recomputed"):
        StoredLabels("label", np.zeros(3), right[COUNTERFACTUAL])
