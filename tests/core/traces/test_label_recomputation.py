"""Labels from rollouts: against counts by hand, and against the module that labels the embedded corpora."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.traces.label_recomputation import (
    ACCURACY,
    COUNTERFACTUAL,
    DIFFERENT,
    RESAMPLING,
    Rollout,
    different_text,
    recompute_labels,
)
from ta_resources.embedded.labels import label_chunks

GROUPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["a b", "a  b ", "c", ""]), st.booleans()), max_size=6), min_size=1, max_size=5
)


def rollouts(*groups: str) -> list[list[Rollout]]:
    """``s`` and ``d`` are rollouts with the same and with a different sentence, capital ones reach the right answer."""
    return [[Rollout("so", "so" if one in "sS" else "but", one.isupper()) for one in group] for group in groups]


def labels(groups: list[list[Rollout]]) -> dict[str, np.ndarray]:
    return recompute_labels(groups, [different_text(group) for group in groups])


def test_the_formula_is_filtered_accuracy_less_the_whole_next_accuracy() -> None:
    found = labels(rollouts("SSdD", "Sddd", "sD"))
    assert found[ACCURACY].tolist() == [0.75, 0.25, 0.5]
    assert found[COUNTERFACTUAL].tolist() == [0.5 - 0.25, 0.0 - 0.5, 0.0]
    assert found[RESAMPLING].tolist() == [0.25 - 0.75, 0.5 - 0.25, 0.0]
    assert found[DIFFERENT].tolist() == [0.5, 0.75, 0.5]


@pytest.mark.parametrize("groups", [("SS", "d"), ("", "D"), ("D", "")])
def test_an_importance_with_an_empty_group_is_zero(groups: tuple[str, ...]) -> None:
    assert labels(rollouts(*groups))[COUNTERFACTUAL][0] == 0


def test_answers_that_nobody_can_judge_are_in_no_accuracy_but_in_the_share_of_dissimilar_sentences() -> None:
    groups = rollouts("SdD", "Ss")
    groups[0].append(Rollout("so", "but", None))
    found = labels(groups)
    assert found[ACCURACY].tolist() == [pytest.approx(2 / 3), 0.5]
    assert found[COUNTERFACTUAL][0] == 0.5 - 0.5
    assert found[DIFFERENT][0] == 0.75
    unknown = [[Rollout("so", "but", None)], rollouts("S")[0]]
    assert labels(unknown)[COUNTERFACTUAL][0] == 0.0 - 1.0, "a group of unknown answers is not empty"


def test_a_folder_that_is_left_out_ends_the_resampling_label_and_not_the_counterfactual_one() -> None:
    groups = rollouts("SSdD", "Sddd", "sD")
    different = [different_text(group) for group in groups]
    found = recompute_labels(groups, different, folders=[0, 2, 3])
    assert found[COUNTERFACTUAL].tolist() == labels(groups)[COUNTERFACTUAL].tolist()
    assert found[RESAMPLING].tolist() == [0.0, 0.5 - 0.25, 0.0]


def test_flags_of_other_rollouts_are_refused() -> None:
    with pytest.raises(ValueError, match="flags"):
        recompute_labels(rollouts("SS", "d"), [np.array([True]), np.array([True])])


@given(GROUPS)
def test_the_embedded_corpora_are_labelled_alike(groups: list[list[tuple[str, bool]]]) -> None:
    made = [[Rollout("a b", text, right) for text, right in group] for group in groups]
    stored = [
        [
            {
                "chunk_removed": one.removed,
                "chunk_resampled": one.resampled,
                "answer": "5",
                "is_correct": one.is_correct,
            }
            for one in group
        ]
        for group in made
    ]
    found = labels(made)
    for index, entry in enumerate(label_chunks(["a b"] * len(groups), stored)):
        for name, values in found.items():
            assert values[index] == pytest.approx(entry[name], abs=1e-12)
