"""The size of a campaign told from fractions of known counts."""

from __future__ import annotations

import numpy as np
import pytest

from ta_assets.core.traces.campaign import TELLING, campaign, contradiction
from ta_assets.core.traces.rollout_counts import rollout_counts


def traces(size: int, *, answered: float = 1.0, n_problems: int = 10, n_sentences: int = 20) -> list[list[dict]]:
    """Entries as the dataset stores them, of rollouts of which a share is answered."""
    rng, found = np.random.default_rng(size), []
    for _ in range(n_problems):
        n = rng.binomial(size, answered, n_sentences)
        different = rng.binomial(n, 0.4)
        right_other, right_same = rng.binomial(different, 0.5), rng.binomial(n - different, 0.6)
        accuracy = (right_other + right_same) / n
        following = np.append(accuracy[1:], 0.0)
        importance = np.where(different > 0, right_other / np.maximum(different, 1) - following, 0.0)
        importance[-1] = 0.0
        found.append(
            [
                {
                    "accuracy": float(accuracy[i]),
                    "different_trajectories_fraction": float(different[i] / n[i]),
                    "counterfactual_importance_accuracy": float(importance[i]),
                }
                for i in range(n_sentences)
            ]
        )
    return found


@pytest.mark.parametrize("size", [20, 25, 30, 50, 60, 100, 200])
@pytest.mark.parametrize("answered", [1.0, 0.97])
def test_a_campaign_is_counted_rightly_or_contradicts_what_a_study_says(size: int, answered: float) -> None:
    found = campaign(traces(size, answered=answered))
    assert found.size is not None
    assert 0.95 * size <= found.size <= size
    assert contradiction(found, size) is None
    assert contradiction(found, 2 * size) is not None
    assert contradiction(found, size // 2) is not None


def test_counts_of_a_small_campaign_are_not_multiplied() -> None:
    of_twenty = traces(20)
    size = campaign(of_twenty).size
    assert size == 20
    counts = rollout_counts(of_twenty[0], size)
    assert np.nanmax(counts["n_next"]) == 20


def test_a_few_edited_fractions_do_not_decide() -> None:
    edited = traces(50)
    edited[0][3]["accuracy"] = 0.123456789
    found = campaign(edited)
    assert (found.size, found.unexplained >= 1) == (50, True)


def test_fractions_of_all_or_nothing_tell_no_size() -> None:
    plain = {"accuracy": 1.0, "different_trajectories_fraction": 0.0, "counterfactual_importance_accuracy": 0.0}
    found = campaign([[dict(plain) for _ in range(TELLING * 2)]])
    assert found.size is None
    assert contradiction(found, 100) is None
